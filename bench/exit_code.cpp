// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Errors to exit codes.
#include "bench/exit_code.hpp"

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
  } catch (const OwnMistake& mistake) {
    const Launch launch = launched();
    const bool one_of_several = launch.rank > 0 && launch.rank < launch.ranks;
    const std::string whose = one_of_several ? fmt::format("rank {}: ", launch.rank) : "";
    fmt::print(stderr, "{}: {}{}\n", program, whose, mistake.what());
    return kBadInput;
  } catch (...) {
    const Failure failure = failure_in_flight();
    const Launch launch = launched();  // a rank that is none has nobody to speak for it
    if (launch.rank == 0 || launch.rank >= launch.ranks) {
      fmt::print(stderr, "{}: {}\n", program, failure.text);
    } else {  // mpirun ends all ranks when one fails: let rank 0 say why first
      constexpr std::chrono::seconds kForTheSpeaker{1};
      std::this_thread::sleep_for(kForTheSpeaker);
    }
    return failure.code;
  }
}

int launched_rank() {
  return launched().rank;
}

}  // namespace trainmeter
