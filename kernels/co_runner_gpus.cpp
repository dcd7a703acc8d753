// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// All-reduces between the GPUs of this process as a co-runner of what runs on the first one: NCCL's
// on so many thread blocks (its maxCTAs), or ours over peer memory.
#include "kernels/co_runner.hpp"
#include "kernels/collective_cuda.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBucketBytes = 32 << 20;  // of a rank: what a step hands over at a time
constexpr DType kType = DType::bf16;
constexpr std::chrono::seconds kPatience{10};  // for a run, which takes milliseconds
constexpr std::size_t kInFlight = 3;  // runs that are queued: the GPUs never wait for the host

class GpuAllReduce final : public CoRunner {
 public:
  explicit GpuAllReduce(const CoRunnerProblem& problem) : problem_(problem) {
    RankGroup group{.members = std::vector<int>(static_cast<std::size_t>(problem.ranks))};
    std::iota(group.members.begin(), group.members.end(), 0);
    for (int r = 0; r < problem.ranks; ++r) {
      const OnDevice here(r);
      group.me = r;
      // As the other co-runners': its blocks get an SM before the operation's. And streams of one
      // priority may share a queue of the GPU's, in which one waits for another.
      ranks_.push_back(
          {.device = r, .group = group, .stream = CudaStream(CudaStream::Priority::first)});
    }
    backend_ = ours() ? make_peer(ranks_, problem.sms) : make_nccl(ranks_, problem.sms);
    if (backend_ == nullptr) {
      throw Unavailable(ours() ? "peer_allreduce: these GPUs don't reach each other's memory"
                               : "allreduce: NCCL: not found when trainmeter was built");
    }
    // Buckets come from memory, as a step's do: more of them than the L2 holds, in turn.
    all_reduce_ = backend_->make(
        {.dtype = kType, .bytes = kBucketBytes},
        {.rotate_bytes = 3 * std::int64_t{device_attribute(cudaDevAttrL2CacheSize)}});
  }
  ~GpuAllReduce() override { end(); }

  // Idle, nothing holds its SMs.
  void start(bool works, double limit_s) override {
    stop_ = false;
    ended_ = false;
    limit_ = Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit_s));
    runs_.clear();
    looks_.clear();
    thrown_ = nullptr;
    if (!works) return;
    begun_ = false;
    thread_ = std::thread([this] { work(); });
    while (!begun_) std::this_thread::yield();  // its thread ends by itself where it can't
    if (!thrown_) return;
    end();
    std::rethrow_exception(std::exchange(thrown_, nullptr));
  }

  void look(void* stream) override {
    looks_.emplace_back(true);
    void* const on = stream != nullptr ? stream : beside_.get();
    cuda_check(cudaEventRecord(looks_.back().get(), static_cast<cudaStream_t>(on)),
               "cudaEventRecord");
  }

  // Whole runs: from the end of one to the end of another, by the first GPU's clock.
  Moved stop() override {
    end();
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    if (ended_) throw std::runtime_error("a co-runner ended by itself: it ran for too long");
    if (looks_.size() != 2 || runs_.empty()) return {};
    for (const CudaEvent& look : looks_)
      cuda_check(cudaEventSynchronize(look.get()), "cudaEventSynchronize");
    const CudaEvent* first = nullptr;
    const CudaEvent* last = nullptr;
    int between = 0;
    for (const CudaEvent& run : runs_) {
      if (ms(looks_[0], run) < 0 || ms(run, looks_[1]) < 0) continue;
      if (first == nullptr) first = &run;
      if (last != nullptr) ++between;
      last = &run;
    }
    if (between < 1) return {};
    return {static_cast<double>(between) * bytes_of_run(), ms(*first, *last) / 1e3};
  }

  // What the last run from start() to stop() left in the first set, and in that of its last
  // all-reduce. Afterwards nothing is received again, so that what isn't written shows.
  Check check() override {
    auto& payloads = dynamic_cast<GpuCollective&>(*all_reduce_);
    Check out = payloads.compare(0);
    if (runs_.empty()) out.error = 1;  // nothing added is wrong, too
    if (const int last = last_set(); last > 0) {
      const Check other = payloads.compare(last);
      out.error = std::max(out.error, other.error);
      out.wrong += other.wrong;
    }
    out.ok = out.error < out.bound;
    payloads.prepare();
    return out;
  }

  [[nodiscard]] double bytes_of_run() const override { return kBucketBytes; }
  [[nodiscard]] std::string backend() const override { return ours() ? "peer" : "nccl"; }
  [[nodiscard]] std::string dtype() const override { return std::string(to_string(kType)); }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    auto out = all_reduce_->notes();
    if (!ours()) out["most_ctas"] = std::to_string(problem_.sms);
    return out;
  }

 private:
  [[nodiscard]] int last_set() const {
    return runs_.empty() ? 0 : static_cast<int>(runs_.size() - 1) % all_reduce_->sets();
  }
  [[nodiscard]] bool ours() const { return problem_.kind == CoRunnerKind::peer_all_reduce; }
  static double ms(const CudaEvent& from, const CudaEvent& to) {
    float out = 0;
    cuda_check(cudaEventElapsedTime(&out, from.get(), to.get()), "cudaEventElapsedTime");
    return out;
  }

  // Of a GPU that hangs, or that others are on, CUDA's own waits have no end.
  static void wait_for(const CudaEvent& run) {
    const auto end = Clock::now() + kPatience;
    for (;;) {
      const cudaError_t code = cudaEventQuery(run.get());
      if (code != cudaErrorNotReady) return cuda_check(code, "an all-reduce as a co-runner");
      (void)cudaGetLastError();  // which it isn't
      if (Clock::now() > end) {
        throw std::runtime_error("an all-reduce as a co-runner isn't done within " +
                                 std::to_string(kPatience.count()) +
                                 " s: a GPU hangs, or others are on it");
      }
      std::this_thread::yield();
    }
  }

  void work() {
    try {
      const OnDevice here(ranks_.front().device);
      const auto begin = Clock::now();
      auto* const stream = static_cast<cudaStream_t>(all_reduce_->stream());
      while (!stop_) {
        if (Clock::now() > limit_) {
          ended_ = true;
          break;
        }
        const double due_s = problem_.bytes_per_s > 0 ? static_cast<double>(runs_.size()) *
                                                            bytes_of_run() / problem_.bytes_per_s
                                                      : 0;
        if (std::chrono::duration<double>(Clock::now() - begin).count() < due_s) continue;
        all_reduce_->run(static_cast<int>(runs_.size()) % all_reduce_->sets());
        runs_.emplace_back(true);
        cuda_check(cudaEventRecord(runs_.back().get(), stream), "cudaEventRecord");
        if (runs_.size() < kInFlight) continue;
        wait_for(runs_[runs_.size() - kInFlight]);
        begun_ = true;
      }
      if (!runs_.empty()) wait_for(runs_.back());
    } catch (...) {
      thrown_ = std::current_exception();
    }
    begun_ = true;
  }
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  CoRunnerProblem problem_;
  std::vector<GpuRank> ranks_;
  std::unique_ptr<GpuCollectives> backend_;
  std::unique_ptr<Operation> all_reduce_;
  CudaStream beside_;
  std::thread thread_;
  std::atomic<bool> stop_ = false, ended_ = false, begun_ = false;
  Clock::time_point limit_;
  std::deque<CudaEvent> runs_, looks_;
  std::exception_ptr thrown_;
};

}  // namespace

std::unique_ptr<CoRunner> make_gpus_all_reduce_co_runner(const CoRunnerProblem& problem) {
  int count = 0;
  cuda_check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (count < 2 || problem.ranks < 2) {
    throw Unavailable("an all-reduce beside a GEMM needs 2 GPUs, this process sees " +
                      std::to_string(count));
  }
  return std::make_unique<GpuAllReduce>(problem);
}

}  // namespace trainmeter
