// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where the blocks of consecutive steps lie in a ring of bytes. One goes behind the other, so that
// a line is written again as late as possible: by then the core that read it has let go of it, and
// the write needn't wait until that core has been told. Pure arithmetic: all ranks find the same
// places, since they place the same lengths in the same order.
#pragma once

#include "kernels/rounding.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace trainmeter {

class BlockRing {
 public:
  // A block's bytes stay as they are until kSteps later ones have been placed.
  static constexpr std::uint64_t kSteps = 4;
  // Of a ring for blocks of at most `most` bytes: one more than are in use, since a block that
  // doesn't fit at the end begins anew.
  static constexpr std::int64_t bytes_for(std::int64_t most) {
    return static_cast<std::int64_t>(kSteps + 1) * most;
  }

  explicit BlockRing(std::int64_t bytes) : bytes_(bytes) {}

  // The offset of step `step`, which is larger than the last one's.
  std::int64_t place(std::uint64_t step, std::int64_t bytes) {
    constexpr std::int64_t kLine = 64;
    const std::int64_t whole = round_up(bytes, kLine);
    if (next_ + whole > bytes_) next_ = 0;
    const std::int64_t at = next_;
    next_ += whole;
    return offsets_[step % kSteps] = at;
  }
  [[nodiscard]] std::int64_t at(std::uint64_t step) const { return offsets_[step % kSteps]; }

 private:
  std::int64_t bytes_;
  std::int64_t next_ = 0;
  std::array<std::int64_t, kSteps> offsets_ = {};
};

}  // namespace trainmeter
