// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One target as a libFuzzer program; FUZZ_TARGET is its function.
#include "targets.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
    return 0;
  } catch (const trainmeter::fuzz::Broken& broken) {
    std::fprintf(stderr, "%s\n", broken.what.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "thrown, and no refusal: %s\n", error.what());
  }
  std::abort();
}
