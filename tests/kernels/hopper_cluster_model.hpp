// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A cluster of Hopper's thread blocks on the CPU, a std::thread each of their threads: shared
// memory, which starts as NaN, and barriers. Who waits for what never comes, fails.
#pragma once

#include "kernels/hopper_layout.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace trainmeter::hopper {

struct ModelTensorMap {
  std::uint8_t* data = nullptr;
  int element = 2;             // bytes
  std::int64_t sizes[3] = {};  // {contiguous, other, group}, in elements
  int box[2] = {};
  bool swizzles = true;
  std::int64_t row = 0;    // elements from one row to the next; 0: packed
  bool in_memory = false;  // not a parameter of the kernel: who uses it must acquire it

  [[nodiscard]] std::uint8_t* at(std::int64_t x, std::int64_t y, std::int64_t z) const {
    const bool inside = x >= 0 && y >= 0 && z >= 0 && x < sizes[0] && y < sizes[1] && z < sizes[2];
    const std::int64_t stride = row == 0 ? sizes[0] : row;
    return inside ? data + ((z * sizes[1] + y) * stride + x) * element : nullptr;
  }
  // Where element (column, row) of a box lies in shared memory.
  [[nodiscard]] std::uint32_t place(std::uint32_t start, int column, int line) const {
    const auto offset = static_cast<std::uint32_t>((line * box[0] + column) * element);
    return swizzles ? swizzled(start + offset) : start + offset;
  }
};

struct ModelBarrier {
  int arrivals = 0;
  int missing = 0;
  std::int64_t bytes = 0;  // expected and not there; below zero where they came first
  std::uint32_t parity = 0;
  // For those who wait at this one: hundreds of threads at others needn't wake up for it.
  std::shared_ptr<std::condition_variable> over = std::make_shared<std::condition_variable>();
};

struct ModelBlock {
  std::vector<std::uint8_t> shared = std::vector<std::uint8_t>(kSharedBytes, 0xff);
  std::map<std::uint32_t, ModelBarrier> barriers;

  [[nodiscard]] std::uint16_t& word(std::uint32_t address) {
    if (address % 2 != 0) throw std::runtime_error("an odd address");
    return reinterpret_cast<std::uint16_t&>(shared.at(address));
  }
};

class ModelCluster {
 public:
  ModelCluster(int blocks, int threads) : blocks_(blocks), threads_(threads) {}

  // Runs body(rank, thread) in every thread; throws what the first that failed threw.
  void run(const std::function<void(int, int)>& body);

  [[nodiscard]] ModelBlock& block(int rank) { return blocks_.at(rank); }
  [[nodiscard]] int blocks() const { return static_cast<int>(blocks_.size()); }

  // Until the barrier's parity isn't this one, which the lock guards.
  void while_parity_is(std::uint32_t parity, const ModelBarrier& at,
                       std::unique_lock<std::mutex>& lock) {
    const auto over = [&] { return failed_ || at.parity != parity; };
    if (!at.over->wait_for(lock, std::chrono::seconds(60), over)) {
      fail();
      throw std::runtime_error("deadlock");
    }
    if (failed_) throw std::runtime_error("another thread failed");
  }

  // All `threads` threads that name the same meeting.
  void meet(const std::string& name, int threads) {
    std::unique_lock lock(mutex);
    ModelBarrier& meeting = meetings_[name];
    const std::uint32_t before = meeting.parity;
    if (++meeting.arrivals == threads) {
      meeting.arrivals = 0;
      ++meeting.parity;
      meeting.over->notify_all();
    }
    while_parity_is(before, meeting, lock);
  }

  // With the lock held: whether the phase is over.
  void update(ModelBarrier& barrier) {
    if (barrier.missing < 0) throw std::runtime_error("more arrivals than the barrier has");
    if (barrier.missing > 0 || barrier.bytes != 0) return;
    barrier.parity ^= 1;
    barrier.missing = barrier.arrivals;
    barrier.over->notify_all();
  }

  std::mutex mutex;

 private:
  void fail() {
    failed_ = true;
    for (auto& [name, meeting] : meetings_) meeting.over->notify_all();
    for (ModelBlock& block : blocks_) {
      for (auto& [address, barrier] : block.barriers) barrier.over->notify_all();
    }
  }

  std::vector<ModelBlock> blocks_;
  std::map<std::string, ModelBarrier> meetings_;
  int threads_;
  bool failed_ = false;
  std::string why_;
};

struct ModelThread {
  ModelCluster* cluster = nullptr;
  int rank = 0;
  int thread = 0;
  std::vector<std::function<void()>> issued;              // wgmma of the group not yet committed
  std::deque<std::vector<std::function<void()>>> groups;  // of wgmma
  std::deque<std::function<void()>> stores;               // not yet read
  std::vector<std::pair<std::uint32_t, std::uint32_t>> unfenced;  // writes: address, word
  std::set<const ModelTensorMap*> acquired;

  [[nodiscard]] ModelBlock& block() const { return cluster->block(rank); }
};

inline thread_local ModelThread me;

inline void ModelCluster::run(const std::function<void(int, int)>& body) {
  std::vector<std::thread> all;
  for (int rank = 0; rank < blocks(); ++rank) {
    for (int thread = 0; thread < threads_; ++thread) {
      all.emplace_back([this, rank, thread, &body] {
        me = {.cluster = this, .rank = rank, .thread = thread};
        try {
          body(rank, thread);
          if (!me.issued.empty() || !me.groups.empty() || !me.stores.empty()) {
            throw std::runtime_error("ended with work in flight");
          }
        } catch (const std::exception& error) {
          const std::lock_guard lock(mutex);
          if (why_.empty()) why_ = error.what();
          fail();
        }
      });
    }
  }
  for (std::thread& one : all) one.join();
  if (failed_) throw std::runtime_error(why_);
}

}  // namespace trainmeter::hopper
