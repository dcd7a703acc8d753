// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a rank hands over in a step is one block of each section of its send buffer; readers know
// where by their own rank. In place works because a block is handed over before anybody writes
// where it came from.
#include "kernels/exchange_shm.hpp"

#include "kernels/allreduce_sum.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kLine = 64;

class Exchange {
 public:
  Exchange(ShmGroup& group, DType dtype, const CollectiveLayout& layout)
      : group_(group),
        dtype_(dtype),
        size_(size_of(dtype)),
        layout_(layout),
        arrays_(static_cast<std::size_t>(group.ranks())) {
    const bool sums = std::ranges::any_of(layout_.parts, [](const CollectiveLayout::Part& part) {
      return part.from == CollectiveLayout::kSum;
    });
    if (sums && !can_sum(dtype)) {
      throw std::invalid_argument("no sums in " + std::string(to_string(dtype)));
    }
    // Every rank has one section, or every rank one for each; where only the root sends, its one.
    const std::int64_t sections = layout_.sections.size() > 1 ? group.ranks() : 1;
    block_ = kMostBlockBytes / sections / kLine * kLine / size_;
    if (block_ < 1) throw std::invalid_argument("too many ranks for a block");
    mine_ = sections > 1 ? group.rank() * block_ * size_ : 0;
  }

  void run(const char* send, char* receive) {
    group_.exchange(
        ceil_div(layout_.longest, block_),
        {[&](std::int64_t step) { return bytes(step); },
         [&](std::int64_t step, char* to, bool past_caches) { put(step, send, to, past_caches); }},
        [&](std::int64_t step, std::span<const char* const> from) { take(step, from, receive); });
  }

 private:
  // Elements of block `step` of `all`, none beyond its end.
  [[nodiscard]] Piece block_of(Piece all, std::int64_t step) const {
    const std::int64_t begin = std::min(step * block_, all.count);
    return {all.first + begin, std::min(block_, all.count - begin)};
  }

  [[nodiscard]] std::int64_t bytes(std::int64_t step) const {
    std::int64_t sum = 0;
    for (const Piece& section : layout_.sections) sum += block_of(section, step).count * size_;
    return sum;
  }

  void put(std::int64_t step, const char* send, char* to, bool past_caches) const {
    for (const Piece& section : layout_.sections) {
      const Piece block = block_of(section, step);
      copy_bytes(to, send + block.first * size_, block.count * size_, {.past_caches = past_caches});
      to += block_ * size_;
    }
  }

  void take(std::int64_t step, std::span<const char* const> blocks, char* receive) {
    for (const CollectiveLayout::Part& part : layout_.parts) {
      const Piece block = block_of(part.at, step);
      char* const to = receive + block.first * size_;
      if (part.from == CollectiveLayout::kSum) {
        for (std::size_t rank = 0; rank < blocks.size(); ++rank)
          arrays_[rank] = blocks[rank] + mine_;
        sum_arrays(dtype_, to, arrays_, block.count);
      } else {
        copy_bytes(to, blocks[static_cast<std::size_t>(part.from)] + mine_, block.count * size_);
      }
    }
  }

  ShmGroup& group_;
  DType dtype_;
  std::int64_t size_;
  CollectiveLayout layout_;
  std::int64_t block_ = 0;  // elements
  std::int64_t mine_ = 0;   // bytes: where in a block what is for this rank lies
  std::vector<const void*> arrays_;
};

}  // namespace

std::function<void(const void* send, void* receive)> shm_exchange(ShmGroup& group, DType dtype,
                                                                  const CollectiveLayout& layout) {
  return [exchange = Exchange(group, dtype, layout)](const void* send, void* receive) mutable {
    exchange.run(static_cast<const char*>(send), static_cast<char*>(receive));
  };
}

}  // namespace trainmeter
