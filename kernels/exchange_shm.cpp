// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A slot holds one block of each section of its rank's send buffer; readers know where by their own
// rank. In place works because a block is in the slots before anybody writes where it came from.
#include "kernels/exchange_shm.hpp"

#include "kernels/allreduce_sum.hpp"

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
    if (block_ < 1) throw std::invalid_argument("too many ranks for a slot");
    mine_ = sections > 1 ? group.rank() * block_ * size_ : 0;
  }

  void run(const char* send, char* receive) {
    group_.exchange(
        (layout_.longest + block_ - 1) / block_,
        [&](std::int64_t step, char* slot) { put(step, send, slot); },
        [&](std::int64_t step, std::span<const char* const> slots) { take(step, slots, receive); });
  }

 private:
  // Elements of block `step` of `all`, none beyond its end.
  [[nodiscard]] Piece block_of(Piece all, std::int64_t step) const {
    const std::int64_t begin = std::min(step * block_, all.count);
    return {all.first + begin, std::min(block_, all.count - begin)};
  }

  void put(std::int64_t step, const char* send, char* slot) const {
    for (const Piece& section : layout_.sections) {
      const Piece block = block_of(section, step);
      copy_bytes(slot, send + block.first * size_, block.count * size_, false);
      slot += block_ * size_;
    }
  }

  void take(std::int64_t step, std::span<const char* const> slots, char* receive) {
    for (const CollectiveLayout::Part& part : layout_.parts) {
      const Piece block = block_of(part.at, step);
      char* const to = receive + block.first * size_;
      if (part.from == CollectiveLayout::kSum) {
        for (std::size_t rank = 0; rank < slots.size(); ++rank) arrays_[rank] = slots[rank] + mine_;
        sum_arrays(dtype_, to, arrays_, block.count, false);
      } else {
        copy_bytes(to, slots[static_cast<std::size_t>(part.from)] + mine_, block.count * size_,
                   false);
      }
    }
  }

  ShmGroup& group_;
  DType dtype_;
  std::int64_t size_;
  CollectiveLayout layout_;
  std::int64_t block_ = 0;  // elements
  std::int64_t mine_ = 0;   // bytes: where in a slot what is for this rank lies
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
