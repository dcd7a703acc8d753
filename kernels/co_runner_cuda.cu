// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Co-runners on a GPU: as many blocks as SMs. Each asks for all of an SM's shared memory, so that
// nothing fits beside it, and they come by twos, so that the SMs which are left still make
// clusters. Sixteen warps of a block work, one step after the other and each by itself; another one
// waits for the end. That is a number in mapped host memory, which one block polls and passes on.
#include "kernels/co_runner.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <new>
#include <set>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr int kWarps = 16;  // of a block, that work
constexpr int kThreads = 32 * (kWarps + 1);
constexpr int kUnroll = 8;                             // loads of a lane in flight
constexpr std::int64_t kStepVectors = 32 * kUnroll;    // of 16 bytes
constexpr std::int64_t kStepWords = 4 * kStepVectors;  // 4 KiB
constexpr std::int64_t kPolls = 64;                    // counted together
constexpr int kMostSms = 1024;
constexpr std::chrono::seconds kPatience{5};

// In mapped host memory.
struct Shared {
  volatile unsigned stop;               // the last start() that is to end
  volatile unsigned overdue;            // the last one that ended by itself
  volatile int held[kMostSms];          // SM + 1 of each block, when it is there
  volatile unsigned long long look[4];  // steps and nanoseconds, twice
};

struct Task {
  uint4* to;
  const uint4* from;
  unsigned long long* done;  // steps of each worker
  unsigned* relay;           // Shared::stop for the blocks that don't read it
  const int* flags;          // of each block, a line apart
  Shared* shared;
  std::int64_t steps;  // of a pass
  double step_ns;      // least time of a step; 0: any
  long long limit_ns;
  unsigned start;  // number of this start()
  CoRunnerKind kind;
  bool works;
};
constexpr int kLine = 32;  // flags

__device__ long long now_ns() {
  long long now = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

__device__ int this_sm() {
  int sm = 0;
  asm volatile("mov.u32 %0, %smid;" : "=r"(sm));
  return sm;
}

__device__ int poll(const int* flag) {
  int value = 0;
  asm volatile("ld.acquire.sys.global.s32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
}

// The one thread of a block that waits for the end, and tells the others.
__device__ void wait_for_end(const Task& task, volatile bool& stop) {
  const long long begin = now_ns();
  volatile unsigned* relay = task.relay;
  task.shared->held[blockIdx.x] = this_sm() + 1;
  for (;;) {
    if (blockIdx.x == 0 && task.shared->stop == task.start) *relay = task.start;
    if (*relay == task.start) break;
    if (now_ns() - begin > task.limit_ns) {
      task.shared->overdue = task.start;
      break;
    }
    __nanosleep(2000);
  }
  stop = true;
}

// Of a whole warp, all of whose lanes get the same answer. Waits where it is ahead of the rate.
__device__ bool goes_on(const Task& task, long long begin, unsigned long long done,
                        volatile bool& stop) {
  for (;;) {
    if (__any_sync(~0U, stop)) return false;
    const bool early = task.step_ns > 0 && static_cast<double>(now_ns() - begin) <
                                               static_cast<double>(done) * task.step_ns;
    if (!__any_sync(~0U, early)) return true;
    __nanosleep(200);
  }
}

__device__ void move(const Task& task, int worker, volatile bool& stop) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t first = worker * task.steps * kStepVectors + lane;
  volatile unsigned long long* counted = task.done + worker;
  const long long begin = now_ns();
  unsigned long long done = 0;
  std::int64_t step = 0;
  CoWord pass = 0;
  while (goes_on(task, begin, done, stop)) {
    const uint4* from = task.from + first + step * kStepVectors;
    uint4* to = task.to + first + step * kStepVectors;
    const CoWord tag = co_tag(task.start, pass);
    uint4 words[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) words[u] = __ldcg(from + 32 * u);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const uint4 w = words[u];
      __stcg(to + 32 * u, make_uint4(w.x ^ tag, w.y ^ tag, w.z ^ tag, w.w ^ tag));
    }
    ++done;
    if (lane == 0) *counted = done;
    if (++step == task.steps) {
      step = 0;
      ++pass;
    }
  }
}

__device__ void poll_flags(const Task& task, int worker, volatile bool& stop) {
  volatile unsigned long long* counted = task.done + worker;
  const int* flag = task.flags + kLine * blockIdx.x;
  const long long begin = now_ns();
  unsigned long long done = 0;
  while (goes_on(task, begin, done, stop)) {
    int found = 0;
    if (threadIdx.x % 32 == 0) {
      for (int i = 0; i < kPolls; ++i) found |= poll(flag);
      *counted = ++done;
    }
    done = __shfl_sync(~0U, done, 0);
    if (__any_sync(~0U, found != 0)) return;
  }
}

__global__ void __launch_bounds__(kThreads) co_run(const Task task) {
  extern __shared__ char all_of_it[];  // not touched: it keeps others off the SM
  __shared__ volatile bool stop;
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int worker = static_cast<int>(blockIdx.x) * kWarps + warp;
  if (warp < kWarps && threadIdx.x % 32 == 0) task.done[worker] = 0;
  if (threadIdx.x == 0) stop = false;
  __threadfence();
  __syncthreads();
  if (warp == kWarps) {
    if (threadIdx.x % 32 == 0) wait_for_end(task, stop);
  } else if (task.works) {
    task.kind == CoRunnerKind::poller ? poll_flags(task, worker, stop) : move(task, worker, stop);
  }
}

__global__ void look_kernel(const unsigned long long* done, int workers, Shared* shared,
                            int number) {
  __shared__ unsigned long long sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  unsigned long long mine = 0;
  const volatile unsigned long long* now = done;
  for (int i = static_cast<int>(threadIdx.x); i < workers; i += static_cast<int>(blockDim.x))
    mine += now[i];
  atomicAdd(&sum, mine);
  __syncthreads();
  if (threadIdx.x != 0) return;
  shared->look[2 * number] = sum;
  shared->look[2 * number + 1] = static_cast<unsigned long long>(now_ns());
}

__global__ void fill(CoWord* from, std::int64_t words) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < words;
       i += step)
    from[i] = co_content(static_cast<CoWord>(i));
}

CoParts parts_of(const CoRunnerProblem& problem) {
  const std::int64_t cache = device_attribute(cudaDevAttrL2CacheSize);
  // Both arrays together: four times the L2, or a quarter of it.
  const std::int64_t all = problem.kind == CoRunnerKind::memory_mover ? 4 * cache : cache / 4;
  const std::int64_t workers = static_cast<std::int64_t>(problem.sms) * kWarps;
  const auto of_step = static_cast<std::int64_t>(2 * sizeof(CoWord)) * kStepWords;
  return {.workers = workers,
          .steps = std::max<std::int64_t>(1, all / of_step / workers),
          .step_words = kStepWords};
}

class GpuCoRunner final : public CoRunner {
 public:
  explicit GpuCoRunner(const CoRunnerProblem& problem)
      : problem_(problem),
        parts_(parts_of(problem)),
        stream_(CudaStream::Priority::first),
        done_(parts_.workers * static_cast<std::int64_t>(sizeof(unsigned long long))),
        relay_(sizeof(unsigned)),
        flags_(static_cast<std::int64_t>(sizeof(int)) * kLine * problem.sms) {
    relay_.fill_bytes(0);
    flags_.fill_bytes(0);
    done_.fill_bytes(0);
    if (moves()) {
      from_ = DeviceBuffer(bytes());
      to_ = DeviceBuffer(bytes());
      fill<<<1024, 256, 0, stream_.get()>>>(static_cast<CoWord*>(from_.data()), parts_.words());
      cuda_check(cudaGetLastError(), "co-runner's content");
    }
    cudaFuncAttributes kernel{};
    cuda_check(cudaFuncGetAttributes(&kernel, co_run), "cudaFuncGetAttributes");
    constexpr int kUnit = 128;  // of shared memory
    const int own = round_up(static_cast<int>(kernel.sharedSizeBytes), kUnit);
    all_shared_ = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) - own;
    cuda_check(
        cudaFuncSetAttribute(co_run, cudaFuncAttributeMaxDynamicSharedMemorySize, all_shared_),
        "cudaFuncSetAttribute");
    void* shared = nullptr;
    cuda_check(cudaHostAlloc(&shared, sizeof(Shared), cudaHostAllocMapped), "cudaHostAlloc");
    shared_ = new (shared) Shared{};
    // Once, so that it is on the device: a kernel that is loaded later may wait for all that runs.
    look(nullptr);
  }
  ~GpuCoRunner() override {
    shared_->stop = start_;
    (void)cudaStreamSynchronize(stream_.get());
    (void)cudaFreeHost(shared_);
  }

  void start(bool works, double limit_s) override {
    ++start_;
    looks_ = 0;
    for (int block = 0; block < problem_.sms; ++block) shared_->held[block] = 0;
    Task task{.to = static_cast<uint4*>(to_.data()),
              .from = static_cast<const uint4*>(from_.data()),
              .done = static_cast<unsigned long long*>(done_.data()),
              .relay = static_cast<unsigned*>(relay_.data()),
              .flags = static_cast<const int*>(flags_.data()),
              .shared = shared_,
              .steps = parts_.steps,
              .step_ns = 0,
              .limit_ns = static_cast<long long>(limit_s * 1e9),
              .start = start_,
              .kind = problem_.kind,
              .works = works};
    if (problem_.bytes_per_s > 0) {
      task.step_ns =
          bytes_of_step() * static_cast<double>(parts_.workers) / problem_.bytes_per_s * 1e9;
    }
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {2, 1, 1};
    cudaLaunchConfig_t how{};
    how.gridDim = static_cast<unsigned>(problem_.sms);
    how.blockDim = kThreads;
    how.dynamicSmemBytes = static_cast<std::size_t>(all_shared_);
    how.stream = stream_.get();
    how.attrs = &cluster;
    how.numAttrs =
        problem_.sms % 2 == 0 && device_attribute(cudaDevAttrComputeCapabilityMajor) >= 9 ? 1 : 0;
    cuda_check(cudaLaunchKernelEx(&how, co_run, task), "co-runner");
    wait_until_held();
  }

  void look(void* stream) override {
    if (looks_ == 2) throw std::logic_error("a co-runner is looked at twice");
    const auto queue = stream == nullptr ? beside_.get() : static_cast<cudaStream_t>(stream);
    look_kernel<<<1, 256, 0, queue>>>(static_cast<const unsigned long long*>(done_.data()),
                                      static_cast<int>(parts_.workers), shared_, looks_++);
    cuda_check(cudaGetLastError(), "look at a co-runner");
    if (stream == nullptr) beside_.wait();
  }

  Moved stop() override {
    shared_->stop = start_;
    stream_.wait();
    if (shared_->overdue == start_)
      throw std::runtime_error("a co-runner ended by itself: it ran for too long");
    if (looks_ != 2) return {};
    return {static_cast<double>(shared_->look[2] - shared_->look[0]) * bytes_of_step(),
            static_cast<double>(shared_->look[3] - shared_->look[1]) * 1e-9};
  }

  Check check() override {
    std::set<int> sms;
    for (int block = 0; block < problem_.sms; ++block) sms.insert(int{shared_->held[block]});
    const auto missing = problem_.sms - static_cast<int>(sms.size());
    if (missing > 0 || !moves()) {
      return {.ok = missing == 0,
              .error = static_cast<double>(missing),
              .bound = 0.5,
              .how = "an SM for each block"};
    }
    std::vector<CoWord> to(static_cast<std::size_t>(parts_.words()));
    to_.copy_to_host(to.data());
    std::vector<unsigned long long> done(static_cast<std::size_t>(parts_.workers));
    done_.copy_to_host(done.data());
    return check_moved(parts_, to.data(), start_, {done.begin(), done.end()});
  }

  [[nodiscard]] double bytes_of_run() const override {
    return moves() ? 2.0 * static_cast<double>(bytes()) : 4.0 * static_cast<double>(parts_.workers);
  }

 private:
  [[nodiscard]] bool moves() const { return problem_.kind != CoRunnerKind::poller; }
  [[nodiscard]] std::int64_t bytes() const {
    return parts_.words() * static_cast<std::int64_t>(sizeof(CoWord));
  }
  [[nodiscard]] static double bytes_of_copy() { return 2.0 * sizeof(CoWord) * kStepWords; }
  [[nodiscard]] double bytes_of_step() const { return moves() ? bytes_of_copy() : 4.0 * kPolls; }

  void wait_until_held() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    for (int block = 0; block < problem_.sms;) {
      if (shared_->held[block] != 0) {
        ++block;
      } else if (std::chrono::steady_clock::now() > end) {
        shared_->stop = start_;
        stream_.wait();
        throw std::runtime_error("a co-runner doesn't get its " + std::to_string(problem_.sms) +
                                 " SMs: others are on the GPU");
      }
    }
  }

  CoRunnerProblem problem_;
  CoParts parts_;
  CudaStream stream_, beside_;
  DeviceBuffer from_, to_, done_, relay_, flags_;
  Shared* shared_ = nullptr;
  int all_shared_ = 0;
  unsigned start_ = 0;
  int looks_ = 0;
};

}  // namespace

std::unique_ptr<CoRunner> make_gpu_co_runner(const CoRunnerProblem& problem) {
  if (const std::string reason = why_no_gpu(); !reason.empty()) throw Unavailable(reason);
  const int sms = std::min(device_attribute(cudaDevAttrMultiProcessorCount), kMostSms);
  if (problem.sms < 1 || problem.sms >= sms) {
    throw Unavailable("a co-runner on " + std::to_string(problem.sms) +
                      " SMs leaves none: there are " + std::to_string(sms));
  }
  if (is_collective(problem.kind)) return make_gpus_all_reduce_co_runner(problem);
  return std::make_unique<GpuCoRunner>(problem);
}

}  // namespace trainmeter
