// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A block of threads and the instructions of kernels/mma_ptx.cuh on the CPU, as the PTX ISA
// describes them. Each thread is a fibre that runs until an instruction needs other lanes of its
// warp, or the block. Harsher than a GPU: a warp runs as far ahead of the others as barriers let
// it, copies land as late as they may, and shared memory is NaN until then.
#pragma once

#include "kernels/dtype.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <ucontext.h>
#include <utility>
#include <vector>

namespace trainmeter::mma {

class WarpModel;

struct ModelThread {
  ucontext_t context{};
  std::vector<std::byte> stack = std::vector<std::byte>(256 << 10);
  int index = 0;
  bool over = false;
  std::vector<std::function<void()>> copies;              // of the group at hand
  std::deque<std::vector<std::function<void()>>> groups;  // ended, not waited for
};

// Threads that do an instruction together.
struct Meeting {
  int come = 0;
  std::int64_t round = 0;
  std::string what;
};

class WarpModel {
 public:
  WarpModel(int threads, std::size_t shared_bytes)
      : shared(shared_bytes, std::byte{0xff}),
        warps_(static_cast<std::size_t>(threads / 32)),
        threads_(static_cast<std::size_t>(threads)) {}

  // body(thread) in every thread; throws what went wrong first.
  void run(const std::function<void(int)>& body) {
    current_ = this;
    body_ = &body;
    std::vector<std::size_t> warps;
    for (std::size_t t = 0; t < threads_.size(); ++t) {
      ModelThread& thread = threads_[t];
      thread.index = static_cast<int>(t);
      thread.over = false;
      prepare(thread);
      if (t % 32 == 0) warps.push_back(t / 32);
    }
    while (std::ranges::any_of(threads_, [](const ModelThread& t) { return !t.over; })) {
      const std::int64_t before = events_;
      std::ranges::shuffle(warps, random_);
      for (const std::size_t warp : warps) run_warp(warp);
      if (events_ == before) throw std::runtime_error("deadlock");
    }
  }

  static WarpModel& now() { return *current_; }
  [[nodiscard]] ModelThread& me() { return *at_; }
  [[nodiscard]] int lane() const { return at_->index % 32; }

  // The lanes of a warp, or all threads: each leaves what it brings before; the last one does it.
  template <class F>
  void with_warp(const char* what, F all_are_here) {
    meet(warps_[static_cast<std::size_t>(at_->index / 32)], 32, what, all_are_here);
  }
  void with_block() {
    meet(block_, static_cast<int>(threads_.size()), "sync", [] {});
  }

  // Shared memory, checked; `bytes` at an address that is a multiple of them.
  std::byte* at(std::uint32_t address, std::uint32_t bytes) {
    if (address % bytes != 0 || address + bytes > shared.size())
      throw std::runtime_error("shared memory at " + std::to_string(address));
    return shared.data() + address;
  }

  // What lane `lane` of this warp brings to the instruction at hand, and gets from it.
  struct Lane {
    std::uint32_t address = 0;
    float value = 0;
    const std::uint32_t* a = nullptr;
    std::uint32_t b[2] = {};
    float* sum = nullptr;
    std::uint32_t* to = nullptr;
  };
  Lane& of_lane(int lane) { return lanes_[static_cast<std::size_t>(at_->index / 32 * 32 + lane)]; }
  Lane& mine() { return of_lane(lane()); }

  std::vector<std::byte> shared;

 private:
  static void begin() {
    WarpModel& model = *current_;
    try {
      (*model.body_)(model.at_->index);
      if (!model.at_->copies.empty()) throw std::runtime_error("copies of no group");
      if (!model.at_->groups.empty()) throw std::runtime_error("ended with copies in flight");
    } catch (const std::exception& error) {
      if (model.why_.empty()) model.why_ = error.what();
    }
    model.at_->over = true;
    ++model.events_;
  }

  // Apart, since the compiler takes getcontext() for something that returns twice.
  [[gnu::noinline]] void prepare(ModelThread& thread) {
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = &scheduler_;
    makecontext(&thread.context, &WarpModel::begin, 0);
  }

  // As far as it gets without the others.
  void run_warp(std::size_t warp) {
    for (std::int64_t before = -1; before != events_;) {
      before = events_;
      for (std::size_t t = 32 * warp; t < 32 * warp + 32; ++t) {
        if (threads_[t].over) continue;
        at_ = &threads_[t];
        swapcontext(&scheduler_, &at_->context);
        if (!why_.empty()) throw std::runtime_error(why_);  // fibres are left where they are
      }
    }
  }

  template <class F>
  void meet(Meeting& meeting, int threads, const char* what, F all_are_here) {
    if (meeting.come == 0) meeting.what = what;
    if (meeting.what != what)
      throw std::runtime_error("lanes diverge: " + meeting.what + " and " + what);
    const std::int64_t round = meeting.round;
    if (++meeting.come == threads) {
      all_are_here();
      meeting.come = 0;
      ++meeting.round;
      ++events_;
      return;
    }
    while (meeting.round == round) swapcontext(&at_->context, &scheduler_);
  }

  inline static WarpModel* current_ = nullptr;
  const std::function<void(int)>* body_ = nullptr;
  ModelThread* at_ = nullptr;
  ucontext_t scheduler_{};
  std::int64_t events_ = 0;
  std::string why_;
  std::mt19937 random_{1};
  std::vector<Meeting> warps_;
  Meeting block_;
  std::vector<ModelThread> threads_;
  std::array<Lane, 1024> lanes_{};
};

// The models, by the names of Ptx.
struct ModelPtx {
  static void copy_chunk(std::uint32_t to, const void* from, bool inside) {
    WarpModel& model = WarpModel::now();
    std::byte* place = model.at(to, 16);
    if (std::bit_cast<std::uintptr_t>(from) % 16 != 0)
      throw std::runtime_error("from an odd place");
    std::memset(place, 0xff, 16);  // until it is there
    model.me().copies.emplace_back(
        [=] { inside ? std::memcpy(place, from, 16) : std::memset(place, 0, 16); });
  }
  static void end_group() {
    ModelThread& me = WarpModel::now().me();
    me.groups.push_back(std::move(me.copies));
    me.copies.clear();
  }
  template <int kPending>
  static void wait_for_groups() {
    auto& groups = WarpModel::now().me().groups;
    for (; groups.size() > kPending; groups.pop_front()) {
      for (const auto& copy : groups.front()) copy();
    }
  }
  static void sync() { WarpModel::now().with_block(); }

  // Matrix m's row r is 16 bytes at the address that lane 8 m + r gives; lane l gets elements
  // 2 (l % 4), + 1 of row l / 4, or of column l / 4.
  template <bool kTransposes>
  static void load_matrices(std::uint32_t (&to)[4], std::uint32_t from) {
    WarpModel& model = WarpModel::now();
    model.mine().address = from;
    model.mine().to = to;
    model.with_warp(kTransposes ? "ldmatrix.trans" : "ldmatrix", [&] {
      for (int matrix = 0; matrix < 4; ++matrix) {
        const auto element = [&](int row, int column) {
          std::uint16_t bits = 0;
          std::memcpy(&bits, model.at(model.of_lane(8 * matrix + row).address, 16) + 2 * column, 2);
          return static_cast<std::uint32_t>(bits);
        };
        for (int lane = 0; lane < 32; ++lane) {
          const int major = lane / 4, minor = lane % 4 * 2;
          model.of_lane(lane).to[matrix] =
              kTransposes ? element(minor, major) | element(minor + 1, major) << 16
                          : element(major, minor) | element(major, minor + 1) << 16;
        }
      }
    });
  }

  static void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                           std::uint32_t b1) {
    WarpModel& model = WarpModel::now();
    WarpModel::Lane& mine = model.mine();
    mine.a = a;
    mine.b[0] = b0;
    mine.b[1] = b1;
    mine.sum = sum;
    model.with_warp("mma", [&] {
      float of_a[16][16], of_b[16][8];
      for (int lane = 0; lane < 32; ++lane) {
        const WarpModel::Lane& of = model.of_lane(lane);
        const int group = lane / 4, pair = lane % 4 * 2;
        for (int i = 0; i < 2; ++i) {
          for (int r = 0; r < 4; ++r)
            of_a[group + r % 2 * 8][pair + r / 2 * 8 + i] = half_of(of.a[r], i);
          for (int r = 0; r < 2; ++r) of_b[pair + r * 8 + i][group] = half_of(of.b[r], i);
        }
      }
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
          float products = 0;
          for (int k = 0; k < 16; ++k) products += of_a[row][k] * of_b[k][column];
          model.of_lane(lane).sum[i] += products;
        }
      }
    });
  }

  static float other_lanes(float value, int mask) {
    WarpModel& model = WarpModel::now();
    model.mine().value = value;
    float out = 0;
    model.with_warp("all lanes' values", [] {});
    out = model.of_lane(model.lane() ^ mask).value;
    model.with_warp("all lanes have read", [] {});
    return out;
  }
  static float exp2(float x) { return std::exp2(x); }
  static float log2(float x) { return std::log2(x); }

  static std::uint32_t bf16_pair(float first, float second) {
    return bf16_from_float(first) | static_cast<std::uint32_t>(bf16_from_float(second)) << 16;
  }
  static float bf16_value(std::uint16_t bits) { return half_of(bits, 0); }
  static void store_shared(std::uint32_t to, std::uint32_t word) {
    std::memcpy(WarpModel::now().at(to, 4), &word, 4);
  }
  static void store_pair(std::uint16_t* to, std::uint32_t pair) { std::memcpy(to, &pair, 4); }
  static void add_pair(float* to, float first, float second) {
    if (reinterpret_cast<std::uintptr_t>(to) % 8 != 0)
      throw std::runtime_error("a pair at no multiple of 8 bytes");
    to[0] += first;
    to[1] += second;
  }

 private:
  static float half_of(std::uint32_t word, int half) {
    return std::bit_cast<float>(half == 0 ? word << 16 : word & 0xffff0000U);
  }
};

}  // namespace trainmeter::mma
