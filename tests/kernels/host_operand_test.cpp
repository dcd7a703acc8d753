// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operand sets in host memory: as many as caches of hundreds of MB ask for.
#include "kernels/host_operand.hpp"

#include "kernels/gemm.hpp"
#include "kernels/memory.hpp"
#include "kernels/operation.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

std::int64_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::int64_t lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

TEST(HostOperand, GivesEverySetTheContentOfTheFirst) {
  for (const std::int64_t bytes : {3LL, 1000LL, 70'001LL, (2LL << 20) + 5}) {
    const HostOperand operand(bytes, 5);
    for (std::int64_t i = 0; i < bytes; ++i) operand.as<char>(0)[i] = static_cast<char>(i % 127);
    operand.repeat_first();
    for (int set = 1; set < operand.sets(); ++set) {
      EXPECT_EQ(std::memcmp(operand.data(set), operand.data(0), static_cast<std::size_t>(bytes)), 0)
          << bytes << " bytes, set " << set;
    }
  }
}

TEST(HostOperand, SetsDoNotOverlap) {
  const HostOperand operand(1000, 4);
  operand.repeat_first();
  std::memset(operand.data(1), 0x55, 1000);
  for (const int other : {0, 2, 3}) {
    EXPECT_EQ(operand.as<char>(other)[0], 0);
    EXPECT_EQ(operand.as<char>(other)[999], 0);
  }
}

TEST(HostOperand, RefusesWhatIsNotThere) {
  const HostOperand operand(64, 2);
  EXPECT_THROW((void)operand.data(2), std::out_of_range);
  EXPECT_THROW((void)operand.data(-1), std::out_of_range);
  EXPECT_THROW(HostOperand(64, 0), std::invalid_argument);
  EXPECT_THROW(HostOperand(std::int64_t{1} << 62, 4), Unavailable);
}

// Linux grants 65,530 mappings to a process: a mapping for each operand of each set runs out here.
TEST(OperandSets, ByTheHundredThousandLieInAHandfulOfMappings) {
  const OperandOptions options = {.rotate_bytes = std::int64_t{512} << 20};
  const std::int64_t before = mappings();
  for (const GemmBackend& backend : gemm_backends()) {
    const GemmProblem problem = {.m = 16, .n = 16, .k = 16, .dtype = DType::fp32};
    if (backend.device != DeviceKind::cpu || !backend.why_not(problem).empty()) continue;
    const auto operation = backend.make(problem, options);
    EXPECT_GT(operation->sets(), 65'530);
    EXPECT_LT(mappings(), before + 1000);
    operation->run(operation->sets() - 1);
    EXPECT_TRUE(operation->verify().ok);
  }
  for (const MemoryBackend& backend : memory_backends()) {
    const MemoryProblem problem = {.kernel = MemoryKernel::copy, .array_bytes = 4096};
    if (backend.device != DeviceKind::cpu || !backend.why_not(problem).empty()) continue;
    const auto operation = backend.make(problem, options);
    EXPECT_GT(operation->sets(), 65'530);
    operation->run(operation->sets() - 1);
    EXPECT_TRUE(operation->verify().ok);
  }
}

}  // namespace
}  // namespace trainmeter
