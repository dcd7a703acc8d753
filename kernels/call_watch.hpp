// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Notices that a thread doesn't come back from a call that waits for other ranks, where the call
// itself has no time-out: MPI's.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

namespace trainmeter {

class CallWatch {
 public:
  // `stuck` is called once, by the watch's thread, when a call has lasted `timeout_s`.
  CallWatch(double timeout_s, std::function<void()> stuck);
  ~CallWatch();
  CallWatch(const CallWatch&) = delete;  // owns a thread
  CallWatch& operator=(const CallWatch&) = delete;

  // The watched thread is in a call as long as one of these lives; two plain stores, since it is
  // around what is measured. Null: not watched.
  class Call {
   public:
    explicit Call(CallWatch* watch) : watch_(watch) { step(); }
    ~Call() { step(); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    void step() {
      if (watch_ != nullptr) watch_->step();
    }
    CallWatch* watch_;
  };

 private:
  void step() {
    steps_.store(steps_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void watch(double timeout_s, const std::function<void()>& stuck);

  std::atomic<std::int64_t> steps_ = 0;  // odd: in a call; one thread writes it
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace trainmeter
