// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ends what waits for ranks that don't come: work on a device whose host thread only waits for it.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace trainmeter {

class RankWatch {
 public:
  struct Over {                           // called by the watch's thread
    std::function<bool()> finished;       // whether all that was queued is done
    std::function<std::string()> failed;  // an error that came up by itself, "" where there is none
    std::function<void()> abort;          // lets go whoever waits for the work; once
  };

  // From now on work must be finished `timeout_s` after the last started().
  RankWatch(Over over, double timeout_s);
  ~RankWatch();
  RankWatch(const RankWatch&) = delete;  // owns a thread
  RankWatch& operator=(const RankWatch&) = delete;

  void started();        // something was queued
  void require() const;  // RankLost, with the reason, once it was aborted

 private:
  void watch();
  [[nodiscard]] std::string reason() const;

  Over over_;
  double timeout_s_;
  std::atomic<double> last_s_;
  std::atomic<bool> ending_ = false;
  mutable std::mutex mutex_;  // of why_
  std::string why_;
  std::thread thread_;
};

}  // namespace trainmeter
