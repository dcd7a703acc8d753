// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Into the caches or past them: how to write what another core reads next. In the caches it is read
// faster. But to write a line that the other core still holds, its copy must go first: quick where
// both share a last-level cache, several times slower where they don't, while stores past the
// caches take the same time. Which of the two it is depends on where the cores are, which a virtual
// machine isn't told and which changes while it runs. So who writes times its own stores.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace trainmeter {

class StoreChoice {
 public:
  // Past the caches only where that is so many times as fast: it costs memory's time later, when
  // the block is read. On an EPYC it was about as fast where two cores share a cache, and several
  // times where they don't (docs/how-it-is-measured.md).
  static constexpr double kTimesAsFast = 2;
  // The other way is tried again after so many blocks.
  static constexpr int kBlocksUntilTrial = 64;

  // How to write the next block.
  [[nodiscard]] bool past_caches() const { return better() != on_trial(); }

  // What took(past_caches(), ...) of a block's writing was seen.
  void took(bool past_caches, std::int64_t bytes, double seconds) {
    since_trial_ = on_trial() ? 0 : since_trial_ + 1;
    std::array<double, 2>& last = last_[past_caches ? 1 : 0];
    last = {last[1], seconds / static_cast<double>(bytes)};
    ++blocks_[past_caches ? 1 : 0];
  }

  // What was seen until now: blocks written either way, and bytes a second of the last of them (0
  // before the first).
  [[nodiscard]] std::int64_t blocks(bool past_caches) const { return blocks_[past_caches ? 1 : 0]; }
  [[nodiscard]] double bytes_per_s(bool past_caches) const {
    return 1 / seconds_a_byte(past_caches);
  }

 private:
  // The quicker of the last two, since what interrupts a rank lengthens one.
  [[nodiscard]] double seconds_a_byte(bool past_caches) const {
    const std::array<double, 2>& last = last_[past_caches ? 1 : 0];
    return std::min(last[0], last[1]);
  }
  [[nodiscard]] bool better() const {
    return kTimesAsFast * seconds_a_byte(true) < seconds_a_byte(false);
  }
  [[nodiscard]] bool on_trial() const { return since_trial_ >= kBlocksUntilTrial; }

  static constexpr double kNever = std::numeric_limits<double>::infinity();
  std::array<std::array<double, 2>, 2> last_ = {{{kNever, kNever}, {kNever, kNever}}};
  std::array<std::int64_t, 2> blocks_ = {};
  int since_trial_ = kBlocksUntilTrial - 4;
};

}  // namespace trainmeter
