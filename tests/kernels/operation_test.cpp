// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How many operand sets are made.
#include "kernels/operation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

namespace trainmeter {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

TEST(SetsFor, ReachesTheBytesToRotateOver) {
  EXPECT_EQ(sets_for(100, {.rotate_bytes = 0}, 1000), 1);
  EXPECT_EQ(sets_for(100, {.rotate_bytes = 100}, 1000), 1);
  EXPECT_EQ(sets_for(100, {.rotate_bytes = 101}, 1000), 2);
  EXPECT_EQ(sets_for(100, {.rotate_bytes = 1000}, 1000), 10);
}

TEST(SetsFor, StaysWithinMemory) {
  EXPECT_EQ(sets_for(100, {.rotate_bytes = 100'000}, 350), 3);
  EXPECT_EQ(sets_for(1, {.rotate_bytes = std::numeric_limits<std::int64_t>::max()},
                     std::numeric_limits<std::int64_t>::max()),
            std::numeric_limits<int>::max());
}

std::string text_of_refusal(std::int64_t needed, std::int64_t available) {
  try {
    sets_for(needed, {}, available);
  } catch (const Unavailable& error) {
    return error.what();
  }
  return "";
}

TEST(SetsFor, SaysWhatIsNeededAndWhatIsFree) {
  EXPECT_EQ(text_of_refusal(12 * kGiB + kGiB * 3 / 10, 8 * kGiB),
            "needs 12.3 GiB, 8.0 GiB is free");
  EXPECT_EQ(text_of_refusal(2048, 100), "needs 2.0 KiB, 100 B is free");
  EXPECT_EQ(text_of_refusal(std::numeric_limits<std::int64_t>::max(), -5),
            "needs 8.0 EiB, 0 B is free");
}

TEST(OperandStride, SharesNoCacheLineAndWastesLittle) {
  for (const std::int64_t bytes :
       {1LL, 8LL, 255LL, 256LL, 257LL, 1024LL, 61439LL, 61440LL, 65537LL, 1LL << 40}) {
    const std::int64_t stride = operand_stride(bytes);
    EXPECT_GE(stride, bytes);
    EXPECT_LE(stride, std::max<std::int64_t>(256, 2 * bytes));
    EXPECT_EQ(stride % (bytes >= 65536 ? 4096 : 256), 0);
  }
  EXPECT_EQ(operand_stride(1024), 1024);
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(operand_stride(most), most);  // no overflow
}

TEST(SetsFor, RefusesNonsense) {
  EXPECT_THROW(sets_for(0, {}, 100), std::invalid_argument);
  EXPECT_THROW(sets_for(10, {.rotate_bytes = -1}, 100), std::invalid_argument);
}

}  // namespace
}  // namespace trainmeter
