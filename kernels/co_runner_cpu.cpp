// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Co-runners on a CPU: a thread on each of the last cores.
#include "kernels/co_runner.hpp"
#include "kernels/host_buffer.hpp"
#include "kernels/machine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kStepWords = 16'384;  // 64 KiB
constexpr std::int64_t kPolls = 1024;        // counted together
constexpr std::int64_t kLeastMemory = 64 << 20;

CoParts parts_of(const CoRunnerProblem& problem, std::int64_t cache_bytes) {
  // Both arrays together: twice the cache, or a quarter of it.
  const std::int64_t all = problem.kind == CoRunnerKind::memory_mover
                               ? std::max(2 * cache_bytes, kLeastMemory)
                               : cache_bytes / 4;
  const auto of_step = static_cast<std::int64_t>(2 * sizeof(CoWord)) * kStepWords;
  return {.workers = problem.sms,
          .steps = std::max<std::int64_t>(1, all / of_step / problem.sms),
          .step_words = kStepWords};
}

class CpuCoRunner final : public CoRunner {
 public:
  explicit CpuCoRunner(const CoRunnerProblem& problem)
      : problem_(problem),
        cpu_(cpu_info()),
        parts_(parts_of(problem, cpu_.last_level_cache_bytes)),
        from_(moves() ? bytes() : 1),
        to_(moves() ? bytes() : 1),
        workers_(static_cast<std::size_t>(problem.sms)) {
    if (!moves()) return;
    run_on_cores([this](std::int64_t worker) {  // so each part's pages are near its core
      const std::int64_t first = worker * parts_.steps * kStepWords;
      for (std::int64_t i = first; i < first + parts_.steps * kStepWords; ++i) {
        from_.as<CoWord>()[i] = co_content(static_cast<CoWord>(i));
        to_.as<CoWord>()[i] = 0;
      }
    });
    join();
  }
  ~CpuCoRunner() override {
    stop_ = true;
    join();
  }

  void start(bool works, double limit_s) override {
    ++starts_;
    stop_ = false;
    ended_ = false;
    ready_ = 0;
    looks_.clear();
    for (Worker& worker : workers_) worker.done = 0;
    begin_ = Clock::now();
    limit_ = begin_ +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit_s));
    if (!works) return;
    run_on_cores([this](std::int64_t worker) {
      ++ready_;
      moves() ? move(worker) : poll(worker);
    });
    while (ready_ < problem_.sms) std::this_thread::yield();
  }

  void look(void* /*stream*/) override {
    std::int64_t steps = 0;
    for (const Worker& worker : workers_) steps += worker.done.load(std::memory_order_relaxed);
    looks_.emplace_back(Clock::now(), steps);
  }

  Moved stop() override {
    stop_ = true;
    join();
    if (ended_) throw std::runtime_error("a co-runner ended by itself: it ran for too long");
    if (looks_.size() != 2) return {};
    return {static_cast<double>(looks_[1].second - looks_[0].second) * bytes_of_step(),
            std::chrono::duration<double>(looks_[1].first - looks_[0].first).count()};
  }

  Check check() override {
    if (!moves()) return {.ok = true, .error = 0, .bound = 0.5, .how = "moves nothing"};
    std::vector<std::int64_t> done;
    for (const Worker& worker : workers_) done.push_back(worker.done);
    return check_moved(parts_, to_.as<CoWord>(), starts_, done);
  }

  [[nodiscard]] double bytes_of_run() const override {
    return moves() ? 2.0 * static_cast<double>(bytes()) : 4.0 * problem_.sms;
  }

 private:
  struct alignas(64) Worker {  // a line each: threads don't share
    std::atomic<std::int64_t> done = 0;
    std::atomic<int> flag = 0;
    std::thread thread;
  };

  [[nodiscard]] bool moves() const { return problem_.kind != CoRunnerKind::poller; }
  [[nodiscard]] std::int64_t bytes() const {
    return parts_.words() * static_cast<std::int64_t>(sizeof(CoWord));
  }
  [[nodiscard]] double bytes_of_step() const {
    return moves() ? 2.0 * sizeof(CoWord) * kStepWords : 4.0 * kPolls;
  }

  template <class F>
  void run_on_cores(F work) {
    for (std::int64_t i = 0; i < problem_.sms; ++i) {
      workers_[static_cast<std::size_t>(i)].thread = std::thread([this, i, work] {
        pin_thread(*(cpu_.core_ids.end() - problem_.sms + i));
        work(i);
      });
    }
  }
  void join() {
    for (Worker& worker : workers_) {
      if (worker.thread.joinable()) worker.thread.join();
    }
  }

  // Whether a worker that did so many steps goes on; waits where it is ahead of the rate.
  bool goes_on(std::int64_t done) {
    using std::chrono::duration;
    const auto due =
        begin_ + std::chrono::duration_cast<Clock::duration>(duration<double>(
                     problem_.bytes_per_s > 0 ? static_cast<double>(done * problem_.sms) *
                                                    bytes_of_step() / problem_.bytes_per_s
                                              : 0));
    do {
      if (stop_.load(std::memory_order_relaxed)) return false;
      if (Clock::now() > limit_) {
        ended_ = true;
        return false;
      }
    } while (problem_.bytes_per_s > 0 && Clock::now() < due);
    return true;
  }

  void move(std::int64_t number) {
    Worker& worker = workers_[static_cast<std::size_t>(number)];
    const std::int64_t first = number * parts_.steps * kStepWords;
    for (std::int64_t done = 0; goes_on(done);) {
      const std::int64_t at = first + done % parts_.steps * kStepWords;
      const CoWord tag = co_tag(starts_, static_cast<CoWord>(done / parts_.steps));
      const CoWord* from = from_.as<CoWord>() + at;
      CoWord* to = to_.as<CoWord>() + at;
      for (std::int64_t i = 0; i < kStepWords; ++i) to[i] = from[i] ^ tag;
      worker.done.store(++done, std::memory_order_relaxed);
    }
  }

  void poll(std::int64_t number) {
    Worker& worker = workers_[static_cast<std::size_t>(number)];
    for (std::int64_t done = 0; goes_on(done);) {
      for (int i = 0; i < kPolls; ++i) {
        if (worker.flag.load(std::memory_order_acquire) != 0) return;
      }
      worker.done.store(++done, std::memory_order_relaxed);
    }
  }

  CoRunnerProblem problem_;
  CpuInfo cpu_;
  CoParts parts_;
  HostBuffer from_, to_;
  std::vector<Worker> workers_;
  CoWord starts_ = 0;
  std::atomic<bool> stop_ = false, ended_ = false;
  std::atomic<int> ready_ = 0;
  Clock::time_point begin_, limit_;
  std::vector<std::pair<Clock::time_point, std::int64_t>> looks_;
};

}  // namespace

std::unique_ptr<CoRunner> make_cpu_co_runner(const CoRunnerProblem& problem) {
  const int cores = cpu_info().cores;
  if (problem.sms < 1 || problem.sms >= cores) {
    throw Unavailable("a co-runner on " + std::to_string(problem.sms) +
                      " cores leaves none: there are " + std::to_string(cores));
  }
  if (problem.kind == CoRunnerKind::peer_all_reduce)
    throw Unavailable("peer_allreduce: between GPUs only");
  if (is_collective(problem.kind)) return make_all_reduce_co_runner(problem);
  return std::make_unique<CpuCoRunner>(problem);
}

}  // namespace trainmeter
