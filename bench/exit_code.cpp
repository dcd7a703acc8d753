// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Errors to exit codes.
#include "bench/exit_code.hpp"

#include "bench/interrupt.hpp"
#include "kernels/launch.hpp"
#include "kernels/operation.hpp"
#include "record/error.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <thread>

namespace trainmeter {

Failure failure_in_flight() {
  try {
    throw;
  } catch (const BadInput& error) {
    return {kBadInput, error.what()};
  } catch (const Unavailable& error) {
    return {kUnavailable, error.what()};
  } catch (const std::bad_alloc&) {
    return {kUnavailable, "not enough memory"};
  } catch (const std::exception& error) {  // EnvironmentFailed, or a library's own error
    return {kEnvironmentFailed, error.what()};
  }
}

void throw_failure(const Failure& failure) {
  if (failure.code == kBadInput) throw BadInput(failure.text);
  if (failure.code == kUnavailable) throw Unavailable(failure.text);
  throw EnvironmentFailed(failure.text);
}

namespace {

bool have_met = false;

// mpirun ends all ranks when one fails.
void let_rank_0_speak() {
  constexpr std::chrono::milliseconds kLook{50};
  constexpr std::chrono::seconds kLongEnough{2};  // it may start later
  for (auto waited = kLook; waited < kLongEnough && interrupted_by() == 0; waited += kLook)
    std::this_thread::sleep_for(kLook);
}

// What was printed last may still lie in a buffer, and earlier failures are remembered by it.
void require_printed() {
  errno = 0;
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  const std::string why = errno == 0 ? "" : std::string(": ") + std::strerror(errno);
  if (!flushed || std::ferror(stdout) != 0 || !std::cout)
    throw EnvironmentFailed("stdout: writing failed" + why);
}

}  // namespace

int run_program(const std::string& program, const std::function<int()>& body) {
  try {
    const int code = body();
    require_printed();
    return code;
  } catch (...) {
    const Failure failure = failure_in_flight();
    const Launch launch = launched();  // a rank that is none has nobody to speak for it
    const bool first = launch.rank == 0 || launch.rank >= launch.ranks;
    if (!first) let_rank_0_speak();
    if (first) {
      fmt::print(stderr, "{}: {}\n", program, failure.text);
    } else if (!have_met && interrupted_by() == 0) {
      fmt::print(stderr, "{}: rank {}: {}\n", program, launch.rank, failure.text);
    }
    return failure.code;
  }
}

void note_meeting() {
  have_met = true;
}

int launched_rank() {
  return launched().rank;
}

}  // namespace trainmeter
