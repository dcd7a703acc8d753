// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Hopper's instructions on the CPU, for a kernel that takes them as a parameter
// (kernels/hopper_ptx.cuh has the real ones).
//
// They are as unkind as the hardware may be. Copies land the moment they are issued, so that one
// into a stage still being read shows. wgmma and stores read shared memory only when somebody waits
// for them. Writes to shared memory reach TMA only by a fence.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/fp8_model.hpp"
#include "kernels/hopper_layout.hpp"

#include "hopper_cluster_model.hpp"

#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter::hopper {

// Element (line, k) of an operand, `line` of m or n.
inline float operand_element(ModelBlock& block, const Descriptor& d, bool mn_major, int line,
                             int k) {
  const auto l = static_cast<std::uint32_t>(line);
  const auto depth = static_cast<std::uint32_t>(k);
  const std::uint32_t offset =
      mn_major ? l / 64 * d.leading + l % 64 * 2 + depth / 8 * d.stride + depth % 8 * kRowBytes
               : l / 8 * d.stride + l % 8 * kRowBytes + depth * 2;
  return float_from_bf16(block.word(swizzled(d.start + offset)));
}

inline float fp8_element(ModelBlock& block, const Descriptor& d, int line, int k) {
  const auto l = static_cast<std::uint32_t>(line);
  const std::uint32_t offset = l / 8 * d.stride + l % 8 * kRowBytes + static_cast<std::uint32_t>(k);
  static const std::vector<float> values = [] {
    std::vector<float> all;
    for (int bits = 0; bits < 256; ++bits)
      all.push_back(float_from_fp8(static_cast<std::uint8_t>(bits)));
    return all;
  }();
  return values[block.shared.at(swizzled(d.start + offset))];
}

// The models, by the names of Ptx.
struct ModelPtx {
  using TensorMap = ModelTensorMap;

  static void barrier_init(std::uint32_t barrier, int arrivals) {
    const std::lock_guard lock(me.cluster->mutex);
    me.block().barriers[barrier] = {.arrivals = arrivals, .missing = arrivals};
  }
  static void barrier_init_fence() {}
  static void prefetch(const TensorMap& map) { require_acquired(map); }
  static void acquire(const TensorMap& map) { me.acquired.insert(&map); }
  static void require_acquired(const TensorMap& map) {
    if (map.in_memory && !me.acquired.contains(&map))
      throw std::runtime_error("a tensor map in memory that the thread didn't acquire");
  }
  template <class Value>
  static Value uniform(Value value) {
    return value;
  }
  static void cluster_sync() {
    me.cluster->meet("cluster", me.cluster->blocks() * threads_of_block);
  }
  static void warp_sync() {
    me.cluster->meet(std::to_string(me.rank) + " warp " + std::to_string(me.thread / kWarpThreads),
                     kWarpThreads);
  }
  static void bar_arrive(int name) { bar_sync(name); }  // harsher: it waits
  static void bar_sync(int name) {
    me.cluster->meet(std::to_string(me.rank) + " pair " + std::to_string(name),
                     2 * kWarpgroupThreads);
  }
  static void arrive_expecting(std::uint32_t barrier, int bytes) {
    const std::lock_guard lock(me.cluster->mutex);
    ModelBarrier& at = me.block().barriers.at(barrier);
    --at.missing;
    at.bytes += bytes;
    me.cluster->update(at);
  }
  static void arrive_at(std::uint32_t barrier, int rank) {
    const std::lock_guard lock(me.cluster->mutex);
    ModelBarrier& at = me.cluster->block(rank).barriers.at(barrier);
    --at.missing;
    me.cluster->update(at);
  }
  static void wait(std::uint32_t barrier, std::uint32_t parity) {
    std::unique_lock lock(me.cluster->mutex);
    const ModelBarrier& at = me.block().barriers.at(barrier);
    me.cluster->while_parity_is(parity, at, lock);
  }

  static void load_multicast(std::uint32_t to, const TensorMap& map, std::uint32_t barrier, int x,
                             int y, int z, std::uint16_t mask) {
    require_acquired(map);
    if (to % (map.swizzles ? kAtomBytes : 128) != 0)
      throw std::runtime_error("TMA to an address that isn't aligned");
    const std::lock_guard lock(me.cluster->mutex);
    for (int rank = 0; rank < me.cluster->blocks(); ++rank) {
      if ((mask >> rank & 1) == 0) continue;
      ModelBlock& block = me.cluster->block(rank);
      for (int row = 0; row < map.box[1]; ++row) {
        for (int column = 0; column < map.box[0]; ++column) {
          const std::uint8_t* from = map.at(x + column, y + row, z);
          std::uint8_t* const at = &block.shared.at(map.place(to, column, row));
          from == nullptr ? std::memset(at, 0, map.element) : std::memcpy(at, from, map.element);
        }
      }
      ModelBarrier& at = block.barriers.at(barrier);
      at.bytes -= map.box[0] * map.box[1] * map.element;
      me.cluster->update(at);
    }
  }
  static void load(std::uint32_t to, const TensorMap& map, std::uint32_t barrier, int x, int y,
                   int z) {
    load_multicast(to, map, barrier, x, y, z, static_cast<std::uint16_t>(1 << me.rank));
  }
  // Each element of a box of shared memory with its place in C.
  static void store_by(const TensorMap& map, std::uint32_t from, int x, int y, int z,
                       void (*one)(std::uint8_t* to, const std::uint8_t* value, int bytes)) {
    require_acquired(map);
    me.stores.emplace_back([&map, from, x, y, z, one, &block = me.block()] {
      for (int row = 0; row < map.box[1]; ++row) {
        for (int column = 0; column < map.box[0]; ++column) {
          std::uint8_t* to = map.at(x + column, y + row, z);
          if (to != nullptr) one(to, &block.shared.at(map.place(from, column, row)), map.element);
        }
      }
    });
  }
  static void store(const TensorMap& map, std::uint32_t from, int x, int y, int z,
                    std::uint64_t /*policy*/) {
    store_by(map, from, x, y, z, [](std::uint8_t* to, const std::uint8_t* value, int bytes) {
      std::memcpy(to, value, static_cast<std::size_t>(bytes));
    });
  }
  static void add(const TensorMap& map, std::uint32_t from, int x, int y, int z) {
    store_by(map, from, x, y, z, [](std::uint8_t* to, const std::uint8_t* value, int /*bytes*/) {
      reinterpret_cast<float&>(*to) += reinterpret_cast<const float&>(*value);
    });
  }
  static void wait_for_reads() {
    const std::lock_guard lock(me.cluster->mutex);
    for (; !me.stores.empty(); me.stores.pop_front()) me.stores.front()();
  }
  static void fence_proxy_async() {
    const std::lock_guard lock(me.cluster->mutex);
    for (const auto& [address, word] : me.unfenced) {
      me.block().word(address) = static_cast<std::uint16_t>(word);
      me.block().word(address + 2) = static_cast<std::uint16_t>(word >> 16);
    }
    me.unfenced.clear();
  }

  template <int kRegisters>
  static void setmaxnreg_dec() {}
  template <int kRegisters>
  static void setmaxnreg_inc() {}

  static void wgmma_fence() {}
  template <bool kMnA, bool kMnB, int kValues>
  static void wgmma(float (&d)[kValues], std::uint64_t a, std::uint64_t b, bool accumulate) {
    me.issued.emplace_back([=, to = &d[0], &block = me.block(), thread = me.thread % 128] {
      const Descriptor da = decoded(a);
      const Descriptor db = decoded(b);
      if (da.swizzle != 1 || db.swizzle != 1) throw std::runtime_error("not the 128-byte swizzle");
      for (int k = 0; k < 16; ++k) {
        const float rows[2] = {operand_element(block, da, kMnA, fragment_row(thread, 0), k),
                               operand_element(block, da, kMnA, fragment_row(thread, 2), k)};
        for (int i = 0; i < kValues; i += 4) {
          for (int j = i; j < i + 2; ++j) {  // d[j] and d[j + 2] are of one column
            const float column = operand_element(block, db, kMnB, fragment_column(thread, j), k);
            for (int row = 0; row < 2; ++row) {
              float& sum = to[j + 2 * row];
              sum = (k == 0 && !accumulate ? 0 : sum) + rows[row] * column;
            }
          }
        }
      }
    });
  }
  template <int kValues>
  static void wgmma_fp8(float (&d)[kValues], std::uint64_t a, std::uint64_t b, bool accumulate) {
    me.issued.emplace_back([=, to = &d[0], &block = me.block(), thread = me.thread % 128] {
      const Descriptor da = decoded(a);
      const Descriptor db = decoded(b);
      if (da.swizzle != 1 || db.swizzle != 1) throw std::runtime_error("not the 128-byte swizzle");
      float rows[2][32];
      for (int row = 0; row < 2; ++row) {
        for (int k = 0; k < 32; ++k)
          rows[row][k] = fp8_element(block, da, fragment_row(thread, 2 * row), k);
      }
      for (int i = 0; i < kValues; i += i % 2 == 0 ? 1 : 3) {  // d[i] and d[i + 2]: one column
        float column[32];
        for (int k = 0; k < 32; ++k)
          column[k] = fp8_element(block, db, fragment_column(thread, i), k);
        for (int row = 0; row < 2; ++row) {
          float products[32];
          for (int k = 0; k < 32; ++k) products[k] = rows[row][k] * column[k];
          float& sum = to[i + 2 * row];
          sum = fp8_sum(accumulate ? sum : 0, products);
        }
      }
    });
  }
  static void wgmma_commit() {
    me.groups.push_back(std::move(me.issued));
    me.issued.clear();
  }
  // The warp's threads meet: one that arrives at a barrier afterwards speaks for all.
  template <int kPending>
  static void wgmma_wait() {
    for (; me.groups.size() > kPending; me.groups.pop_front()) {
      for (const auto& product : me.groups.front()) product();
    }
    warp_sync();
  }
  template <int kValues>
  static void fence_operand(float (&)[kValues]) {}

  // Lane 8 q + r gives the row of 8 x 16 bits, and holds elements 2 (lane % 4), + 1 of row lane / 4
  // of each matrix: so its words go to rows that other lanes give. Lanes leave their addresses.
  static void stmatrix(std::uint32_t to, const std::uint32_t (&words)[4]) {
    const int lane = me.thread % kWarpThreads;
    const int first = me.thread - lane;
    if (to % 16 != 0) throw std::runtime_error("stmatrix to an address that isn't aligned");
    const std::string warp = std::to_string(me.rank) + " warp " + std::to_string(first);
    {
      const std::lock_guard lock(me.cluster->mutex);
      addresses[{me.rank, me.thread}] = to;
    }
    me.cluster->meet(warp, kWarpThreads);
    {
      const std::lock_guard lock(me.cluster->mutex);
      for (int matrix = 0; matrix < 4; ++matrix) {
        const std::uint32_t row = addresses.at({me.rank, first + matrix * 8 + lane / 4});
        me.unfenced.emplace_back(row + static_cast<std::uint32_t>(lane % 4 * 4), words[matrix]);
      }
    }
    me.cluster->meet(warp, kWarpThreads);
  }
  static void store_pair(std::uint32_t to, float first, float second) {
    const std::lock_guard lock(me.cluster->mutex);
    me.unfenced.emplace_back(to, std::bit_cast<std::uint32_t>(first));
    me.unfenced.emplace_back(to + 4, std::bit_cast<std::uint32_t>(second));
  }
  static void st_async_v4(std::uint32_t to, const float* values, std::uint32_t barrier, int rank) {
    if (to % 16 != 0) throw std::runtime_error("16 bytes to an address that isn't aligned");
    const std::lock_guard lock(me.cluster->mutex);
    ModelBlock& block = me.cluster->block(rank);
    for (std::uint32_t i = 0; i < 4; ++i)
      std::memcpy(&block.shared.at(to + 4 * i), values + i, sizeof(float));
    ModelBarrier& at = block.barriers.at(barrier);
    at.bytes -= 16;
    me.cluster->update(at);
  }
  static void read_shared_four(std::uint32_t from, float (&values)[4]) {
    for (std::uint32_t i = 0; i < 4; ++i) values[i] = read_shared(from + 4 * i);
  }
  static float read_shared(std::uint32_t from) {
    return reinterpret_cast<const float&>(me.block().shared.at(from));
  }
  static void read_shared_pair(std::uint32_t from, float (&pair)[2]) {
    pair[0] = read_shared(from);
    pair[1] = read_shared(from + 4);
  }
  static float read(const float* from) { return *from; }
  static std::uint32_t bf16_pair(float low, float high) {
    return bf16_from_float(low) | static_cast<std::uint32_t>(bf16_from_float(high)) << 16;
  }

  inline static int threads_of_block = 0;  // set before a cluster runs
  inline static std::map<std::pair<int, int>, std::uint32_t> addresses;  // by rank and thread
};

}  // namespace trainmeter::hopper
