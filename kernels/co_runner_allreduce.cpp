// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce between threads on the last cores as a co-runner. As a step hands gradients
// over: bucket by bucket, out of arrays that the caches don't hold.
#include "kernels/allreduce_shm.hpp"
#include "kernels/co_runner.hpp"
#include "kernels/collective.hpp"
#include "kernels/collective_check.hpp"
#include "kernels/host_buffer.hpp"
#include "kernels/machine.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <sched.h>
#include <stdexcept>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBucketBytes = 1 << 20;   // of a rank: one run
constexpr std::int64_t kLeastMemory = 64 << 20;  // of all ranks' arrays together
constexpr DType kType = DType::fp32;
constexpr std::uint64_t kSeed = 11;

std::shared_ptr<void> zeros(std::int64_t bytes) {
  constexpr std::int64_t kPage = 4096;
  const auto whole = static_cast<std::size_t>(round_up(bytes, kPage));
  void* const region = std::aligned_alloc(kPage, whole);
  if (region == nullptr) throw Unavailable("no memory for an all-reduce between threads");
  std::memset(region, 0, whole);
  return {region, std::free};
}

class AllReduceCoRunner final : public CoRunner {
 public:
  explicit AllReduceCoRunner(const CoRunnerProblem& problem)
      : problem_(problem),
        cpu_(cpu_info()),
        plan_(plan_all_reduce(problem.ranks, kBucketBytes)),
        buckets_(std::max(2 * cpu_.last_level_cache_bytes, kLeastMemory) /
                 (2 * kBucketBytes * problem.ranks)) {
    const auto region = zeros(ShmGroup::region_bytes(problem.ranks));
    for (int r = 0; r < problem.ranks; ++r)
      ranks_.push_back(std::make_unique<Rank>(region, r, problem.ranks, buckets_ * kBucketBytes));
    on_cores([this](Rank& rank) {  // so each rank's pages are near its core
      for (std::int64_t b = 0; b < buckets_; ++b)
        fill_payload(rank.send.as<char>() + b * kBucketBytes, kType, true, seed_of(b),
                     rank.group.rank(), 0, kBucketBytes / size_of(kType));
      spoil(rank);
    });
    join();
  }
  ~AllReduceCoRunner() override {
    stop_ = true;
    try {
      join();
    } catch (...) {  // what a rank threw, stop() says
    }
  }

  void start(bool works, double limit_s) override {
    stop_ = false;
    ended_ = false;
    over_ = false;
    allowed_ = 0;
    progress_ = {Clock::now(), 0};
    looks_.clear();
    begin_ = Clock::now();
    limit_ = begin_ +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit_s));
    if (!works) return;
    on_cores([this](Rank& rank) { rank.group.rank() == 0 ? lead(rank) : follow(rank); });
    while (!over_ && progress().second < 1) std::this_thread::yield();
  }

  void look(void* /*stream*/) override { looks_.push_back(progress()); }

  // Whole runs: from the end of one to the end of another.
  Moved stop() override {
    stop_ = true;
    join();
    if (ended_) throw std::runtime_error("a co-runner ended by itself: it ran for too long");
    if (looks_.size() != 2) return {};
    return {static_cast<double>((looks_[1].second - looks_[0].second) * kBucketBytes),
            std::chrono::duration<double>(looks_[1].first - looks_[0].first).count()};
  }

  Check check() override {
    Check out{.ok = false, .error = 0, .bound = 1, .how = "all elements on every rank, fp64"};
    const std::int64_t done = std::min(progress_.second, buckets_);
    if (done < 1) out.error = 1;  // nothing added is wrong, too
    for (const auto& rank : ranks_) {
      RankGroup group{.members = std::vector<int>(ranks_.size()), .me = rank->group.rank()};
      std::iota(group.members.begin(), group.members.end(), 0);
      const CollectiveLayout layout =
          layout_of({.dtype = kType, .bytes = kBucketBytes}, group.me, problem_.ranks);
      for (std::int64_t b = 0; b < done; ++b) {
        const PayloadError error = check_payload(rank->receive.as<char>() + b * kBucketBytes, kType,
                                                 layout, group, seed_of(b));
        out.error = std::max(out.error, error.worst);
        out.wrong += error.wrong;
      }
      spoil(*rank);
    }
    out.ok = out.error < out.bound;
    return out;
  }

  [[nodiscard]] double bytes_of_run() const override { return kBucketBytes; }
  [[nodiscard]] std::string backend() const override { return "shm"; }
  [[nodiscard]] std::string dtype() const override { return std::string(to_string(kType)); }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return {{"algorithm", std::string(to_string(plan_.algorithm)) + ", blocks of " +
                              std::to_string(plan_.block_bytes) + " bytes"}};
  }

 private:
  struct Rank {
    Rank(std::shared_ptr<void> region, int rank, int ranks, std::int64_t bytes)
        : group(std::move(region), rank, ranks, rank_timeout_s()), send(bytes), receive(bytes) {}
    ShmGroup group;
    HostBuffer send, receive;
    std::thread thread;
    std::exception_ptr thrown;
  };
  using Progress = std::pair<Clock::time_point, std::int64_t>;  // end of a run; how many there were

  static std::uint64_t seed_of(std::int64_t bucket) {
    return kSeed + static_cast<std::uint64_t>(bucket);
  }
  // So that a sum that isn't written shows.
  static void spoil(Rank& rank) {
    std::memset(rank.receive.data(), 0xff, static_cast<std::size_t>(rank.receive.bytes()));
  }

  [[nodiscard]] Progress progress() {
    const std::lock_guard lock(guard_);
    return progress_;
  }

  // Where there are more ranks than cores they share them, and wait without spinning.
  template <class F>
  void on_cores(F work) {
    for (auto& one : ranks_) {
      Rank& rank = *one;
      if (problem_.sms < problem_.ranks) rank.group.set_spins(0);
      rank.thread = std::thread([this, &rank, work] {
        try {
          pin_thread(*(cpu_.core_ids.end() - problem_.sms + rank.group.rank() % problem_.sms));
          work(rank);
        } catch (...) {
          rank.thrown = std::current_exception();
          rank.group.give_up();
          over_ = true;
        }
      });
    }
  }
  void join() {
    for (auto& rank : ranks_) {
      if (rank->thread.joinable()) rank->thread.join();
    }
    for (auto& rank : ranks_) {
      if (const auto thrown = std::exchange(rank->thrown, nullptr)) std::rethrow_exception(thrown);
    }
  }

  void run(Rank& rank, std::int64_t done) {
    const std::int64_t at = done % buckets_ * kBucketBytes;
    rank.group.all_reduce(rank.send.as<char>() + at, rank.receive.as<char>() + at,
                          kBucketBytes / size_of(kType), kType, plan_);
  }

  // The first rank says when there is another run.
  void lead(Rank& rank) {
    for (std::int64_t done = 0; goes_on(done);) {
      allowed_.store(done + 1, std::memory_order_release);
      run(rank, done++);
      const std::lock_guard lock(guard_);
      progress_ = {Clock::now(), done};
    }
    over_ = true;
  }
  void follow(Rank& rank) {
    for (std::int64_t done = 0;; ++done) {
      while (allowed_.load(std::memory_order_acquire) <= done) {
        if (over_ && allowed_.load(std::memory_order_acquire) <= done) return;
        ::sched_yield();
      }
      run(rank, done);
    }
  }

  // Waits where it is ahead of the rate.
  bool goes_on(std::int64_t done) {
    const double due_s = problem_.bytes_per_s > 0
                             ? static_cast<double>(done) * bytes_of_run() / problem_.bytes_per_s
                             : 0;
    do {
      if (stop_) return false;
      if (Clock::now() > limit_) {
        ended_ = true;
        return false;
      }
    } while (std::chrono::duration<double>(Clock::now() - begin_).count() < due_s);
    return true;
  }

  CoRunnerProblem problem_;
  CpuInfo cpu_;
  AllReducePlan plan_;
  std::int64_t buckets_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::atomic<bool> stop_ = false, ended_ = false, over_ = false;
  std::atomic<std::int64_t> allowed_ = 0;  // runs that have begun
  std::mutex guard_;
  Progress progress_;
  Clock::time_point begin_, limit_;
  std::vector<Progress> looks_;
};

}  // namespace

std::unique_ptr<CoRunner> make_all_reduce_co_runner(const CoRunnerProblem& problem) {
  if (problem.ranks < 2) throw Unavailable("an all-reduce needs two ranks");
  return std::make_unique<AllReduceCoRunner>(problem);
}

}  // namespace trainmeter
