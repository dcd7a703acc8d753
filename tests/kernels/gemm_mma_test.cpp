// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The generic tensor-core kernel's arithmetic of places, on the CPU: ldmatrix and mma as the PTX
// ISA describes them, fed by the kernel's own functions, multiply what they should.
#include "kernels/mma_layout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

namespace trainmeter::mma {
namespace {

constexpr int kLanes = 32;

// A stage of one operand: element (other, k) of 128 x 32, by the kernel's places.
class Stage {
 public:
  Stage(Along of_lines, int factor) : along_(of_lines), elements_(kTile * kStepK) {
    for (int line = 0; line < kTileChunks / chunks_of_line(of_lines); ++line) {
      for (int chunk = 0; chunk < chunks_of_line(of_lines); ++chunk) {
        for (int i = 0; i < kChunk; ++i) {
          const int along = chunk * kChunk + i;
          const auto at = static_cast<std::size_t>(place_of(of_lines, {line, chunk}) * kChunk + i);
          elements_[at] =
              of_lines == Along::k ? value(line, along, factor) : value(along, line, factor);
        }
      }
    }
  }

  static int value(int other, int k, int factor) { return (other * factor + k * 5) % 11 - 5; }

  // What ldmatrix.x4 leaves in each lane: four pairs.
  using Registers = std::array<std::array<std::array<int, 2>, 4>, kLanes>;
  [[nodiscard]] Registers load(Side side, int other, int k) const {
    Registers found{};
    for (int matrix = 0; matrix < 4; ++matrix) {
      const auto element = [&](int row, int column) {  // row's address comes from its lane
        const ChunkAt at = chunk_for_lane(side, along_, 8 * matrix + row, other, k);
        return elements_[static_cast<std::size_t>(place_of(along_, at) * kChunk + column)];
      };
      for (int lane = 0; lane < kLanes; ++lane) {
        for (int i = 0; i < 2; ++i) {
          const int major = lane / 4, minor = lane % 4 * 2 + i;
          found[lane][matrix][i] =
              along_ == Along::k ? element(major, minor) : element(minor, major);
        }
      }
    }
    return found;
  }

 private:
  Along along_;
  std::vector<int> elements_;
};

// D = A B of 16 x 8 x 16, by the fragments of mma.m16n8k16.
std::array<std::array<int, 8>, 16> multiplied(const Stage::Registers& a, const Stage::Registers& b,
                                              int first_of_b) {
  std::array<std::array<int, 16>, 16> of_a{};
  std::array<std::array<int, 8>, 16> of_b{};
  for (int lane = 0; lane < kLanes; ++lane) {
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 2; ++i) {
      for (int r = 0; r < 4; ++r) of_a[group + r % 2 * 8][pair + r / 2 * 8 + i] = a[lane][r][i];
      for (int r = 0; r < 2; ++r) of_b[pair + r * 8 + i][group] = b[lane][first_of_b + r][i];
    }
  }
  std::array<std::array<int, 8>, 16> sums{};
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      for (int k = 0; k < 16; ++k) sums[row][column] += of_a[row][k] * of_b[k][column];
    }
  }
  return sums;
}

TEST(MmaLayout, EachChunkHasAPlaceOfItsOwn) {
  for (const Along along : {Along::other, Along::k}) {
    std::set<int> places;
    const int chunks = chunks_of_line(along);
    for (int index = 0; index < kTileChunks; ++index) {
      const int place = place_of(along, {index / chunks, index % chunks});
      EXPECT_TRUE(0 <= place && place < kTileChunks);
      EXPECT_TRUE(places.insert(place).second) << static_cast<int>(along) << " " << index;
    }
  }
}

// Eight lanes' chunks of 16 bytes lie in eight different places of 128 bytes: all 32 banks.
TEST(MmaLayout, NeitherLoadsNorCopiesMeetInABank) {
  for (const Along along : {Along::other, Along::k}) {
    for (const Side side : {Side::b, Side::a}) {
      for (int other = 0; other < kTile; other += 16) {
        for (int k = 0; k < kStepK; k += 16) {
          for (int matrix = 0; matrix < 4; ++matrix) {
            std::set<int> banks;
            for (int row = 0; row < 8; ++row) {
              const ChunkAt at = chunk_for_lane(side, along, 8 * matrix + row, other, k);
              banks.insert(place_of(along, at) % 8);
            }
            EXPECT_EQ(banks.size(), 8U)
                << static_cast<int>(along) << static_cast<int>(side) << " " << other << " " << k;
          }
        }
      }
    }
    const int chunks = chunks_of_line(along);
    for (int index = 0; index < kTileChunks; index += 8) {  // eight successive threads' copies
      std::set<int> banks;
      for (int i = index; i < index + 8; ++i)
        banks.insert(place_of(along, {i / chunks, i % chunks}) % 8);
      EXPECT_EQ(banks.size(), 8U) << static_cast<int>(along) << " " << index;
    }
  }
}

TEST(MmaLayout, FragmentsMultiplyToTheProduct) {
  for (const Along of_a : {Along::other, Along::k}) {
    for (const Along of_b : {Along::other, Along::k}) {
      const Stage a(of_a, 3), b(of_b, 7);
      for (const int k : {0, 16}) {
        for (const int row : {0, 48, 112}) {
          for (const int column : {0, 80}) {
            const Stage::Registers in_a = a.load(Side::a, row, k);
            const Stage::Registers in_b = b.load(Side::b, column, k);
            for (int tile = 0; tile < 2; ++tile) {  // the kernel's b[j / 2][j % 2 * 2]
              const auto found = multiplied(in_a, in_b, 2 * tile);
              for (int i = 0; i < 16; ++i) {
                for (int j = 0; j < 8; ++j) {
                  int sum = 0;
                  for (int depth = k; depth < k + 16; ++depth)
                    sum += Stage::value(row + i, depth, 3) *
                           Stage::value(column + 8 * tile + j, depth, 7);
                  ASSERT_EQ(found[i][j], sum) << static_cast<int>(of_a) << static_cast<int>(of_b)
                                              << " " << k << " " << row << " " << column;
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST(MmaLayout, LanesHoldEachSumOnce) {
  std::set<int> sums;
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int half = 0; half < 2; ++half) {
      const SumAt at = sum_of_lane(lane, half);
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(sums.insert(at.row * 8 + at.column + i).second);
    }
  }
  EXPECT_EQ(sums.size(), 128U);
  EXPECT_EQ(*sums.rbegin(), 127);
}

}  // namespace
}  // namespace trainmeter::mma
