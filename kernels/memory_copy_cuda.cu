// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Copies on a GPU that no thread loads or stores: by its copy engine, and by the SMs' bulk copies
// through shared memory (cp.async.bulk, from compute capability 9.0 on).
#include "kernels/backends.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/random.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kChunk = 16 << 10;  // bytes of one bulk copy
constexpr int kStages = 8;                 // chunks of a block in shared memory
constexpr int kSharedBytes = kStages * kChunk;

// One thread of a block moves all its chunks: loads run kStages - 1 ahead of the stores. PTX ISA,
// "cp.async.bulk" and "mbarrier".
__global__ void bulk_copy_kernel(char* to, const char* from, std::int64_t bytes) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) char stages[];
  __shared__ std::uint64_t loaded[kStages];
  const std::int64_t chunks = ceil_div(bytes, kChunk);
  const std::int64_t mine = ceil_div(chunks - blockIdx.x, gridDim.x);
  const auto at = [](const void* shared) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  };
  const auto offset = [&](std::int64_t i) { return (blockIdx.x + i * gridDim.x) * kChunk; };
  const auto size = [&](std::int64_t i) {
    const std::int64_t rest = bytes - offset(i);
    return static_cast<std::uint32_t>(rest < kChunk ? rest : kChunk);
  };
  const auto load = [&](std::int64_t i) {
    const int stage = static_cast<int>(i % kStages);
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(&loaded[stage])),
                 "r"(size(i))
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(at(stages + stage * kChunk)),
        "l"(from + offset(i)), "r"(size(i)), "r"(at(&loaded[stage]))
        : "memory");
  };
  for (int stage = 0; stage < kStages; ++stage) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(&loaded[stage])) : "memory");
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  for (std::int64_t i = 0; i < mine && i < kStages; ++i) load(i);
  for (std::int64_t i = 0; i < mine; ++i) {
    const int stage = static_cast<int>(i % kStages);
    const auto parity = static_cast<std::uint32_t>(i / kStages % 2);
    std::uint32_t ready = 0;
    while (ready == 0) {
      asm volatile(
          "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, "
          "0, p; "
          "}"
          : "=r"(ready)
          : "r"(at(&loaded[stage])), "r"(parity)
          : "memory");
    }
    asm volatile(
        "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to + offset(i)),
        "r"(at(stages + stage * kChunk)), "r"(size(i))
        : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    // The store before this one has read its stage: it may be filled again.
    asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
    if (i > 0 && i - 1 + kStages < mine) load(i - 1 + kStages);
  }
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
#endif
}

// a = b, by `Launch`.
class CudaCopy final : public Operation {
 public:
  using Launch = void (*)(void* to, const void* from, std::int64_t bytes, cudaStream_t stream);

  CudaCopy(const MemoryProblem& problem, const OperandOptions& options, Launch launch)
      : launch_(launch), host_(static_cast<std::size_t>(problem.array_bytes)) {
    sets_ = sets_for(2 * operand_stride(problem.array_bytes), options, device_bytes_free());
    fill_random(host_.data(), problem.array_bytes / size_of(problem.dtype), problem.dtype,
                operand_seed(options.seed, 0, 0), options.values);
    a_ = DeviceOperand(problem.array_bytes, sets_);
    b_ = DeviceOperand(problem.array_bytes, sets_);
    b_.copy_from_host(host_.data());
  }

  void run(int set) override { launch_(a_.data(set), b_.data(set), b_.bytes(), stream_.get()); }

  Check verify() override {
    stream_.wait();
    a_.fill_bytes(0xFF);
    run(0);
    stream_.wait();
    std::vector<char> copied(host_.size());
    a_.copy_to_host(copied.data());
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < host_.size(); ++i) wrong += copied[i] != host_[i];
    return {.ok = wrong == 0, .error = static_cast<double>(wrong), .bound = 1, .how = "all bytes"};
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] void* stream() const override { return stream_.get(); }

 private:
  Launch launch_;
  std::vector<char> host_;
  int sets_ = 1;
  DeviceOperand a_, b_;
  CudaStream stream_;
};

void by_copy_engine(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  cuda_check(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream),
      "cudaMemcpyAsync");
}

void by_bulk_copies(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  static const int blocks = device_attribute(cudaDevAttrMultiProcessorCount);
  const auto chunks = static_cast<int>(std::min<std::int64_t>(blocks, ceil_div(bytes, kChunk)));
  bulk_copy_kernel<<<chunks, 1, kSharedBytes, stream>>>(static_cast<char*>(to),
                                                        static_cast<const char*>(from), bytes);
  cuda_check(cudaGetLastError(), "bulk_copy_kernel");
}

std::string why_not(const MemoryProblem& problem) {
  if (problem.kernel != MemoryKernel::copy) return "copies, and nothing else";
  if (problem.dtype != DType::fp64 && problem.dtype != DType::fp32) {
    return "memory kernels move fp64 and fp32, not " + std::string(to_string(problem.dtype));
  }
  return why_no_gpu();
}

std::string why_not_bulk(const MemoryProblem& problem) {
  if (std::string reason = why_not(problem); !reason.empty()) return reason;
  if (device_attribute(cudaDevAttrComputeCapabilityMajor) < 9) {
    return "bulk copies need compute capability 9.0";
  }
  return "";
}

void check(const MemoryProblem& problem) {
  if (problem.array_bytes < 4096 || problem.array_bytes % 4096 != 0) {
    throw std::invalid_argument("array_bytes is a multiple of 4096 and at least that, not " +
                                std::to_string(problem.array_bytes));
  }
}

std::unique_ptr<Operation> make(const MemoryProblem& problem, const OperandOptions& options) {
  check(problem);
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<CudaCopy>(problem, options, by_copy_engine);
}

std::unique_ptr<Operation> make_bulk(const MemoryProblem& problem, const OperandOptions& options) {
  check(problem);
  if (const std::string reason = why_not_bulk(problem); !reason.empty()) throw Unavailable(reason);
  cuda_check(cudaFuncSetAttribute(bulk_copy_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  kSharedBytes),
             "shared memory of bulk_copy_kernel");
  return std::make_unique<CudaCopy>(problem, options, by_bulk_copies);
}

}  // namespace

MemoryBackend copy_engine_memory_backend() {
  return {"copy_engine", DeviceKind::gpu, why_not, make};
}

MemoryBackend cuda_bulk_memory_backend() {
  return {"cuda_bulk", DeviceKind::gpu, why_not_bulk, make_bulk};
}

}  // namespace trainmeter
