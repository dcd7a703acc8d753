// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core in bf16 on the tensor cores of compute capability 8.0 and newer: the kernels
// of attention_mma_forward.hpp and attention_mma_backward.hpp, launched.
#include "kernels/attention_cuda.hpp"
#include "kernels/attention_mma_backward.hpp"
#include "kernels/backends.hpp"
#include "kernels/mma_ptx.cuh"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>

namespace trainmeter {
namespace {

using namespace attention_mma;
using mma::Ptx;

constexpr int kBlocksOfSm = 2;

template <class W>
__global__ void __launch_bounds__(kThreads, kBlocksOfSm) attention_forward(Task task) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__(128) char tiles[];
  forward<Ptx, W>(task, static_cast<int>(blockIdx.x), static_cast<int>(threadIdx.x),
                  static_cast<std::uint32_t>(__cvta_generic_to_shared(tiles)));
#endif
}

template <class W>
__global__ void __launch_bounds__(kThreads, kBlocksOfSm) attention_backward(Task task) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__(128) char tiles[];
  backward<Ptx, W>(task, static_cast<int>(blockIdx.x), static_cast<int>(threadIdx.x),
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(tiles)));
#endif
}

__device__ std::int64_t first_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

__global__ void __launch_bounds__(kThreads) attention_combine(Task task, std::int64_t rows) {
  const std::int64_t row = first_thread() / 32;
  if (row < rows) combine<Ptx>(task, row, static_cast<int>(threadIdx.x % 32));
}

__global__ void __launch_bounds__(kThreads) attention_delta(Task task, std::int64_t rows) {
  const std::int64_t row = first_thread() / 32;
  if (row < rows) row_delta<Ptx>(task, row, static_cast<int>(threadIdx.x % 32));
}

__global__ void __launch_bounds__(kThreads) attention_d_q(Task task, std::int64_t pairs) {
  if (first_thread() < pairs) finish_d_q<Ptx>(task, first_thread());
}

unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>(ceil_div(threads, kThreads));
}

class MmaAttention final : public DeviceAttention {
 public:
  MmaAttention(const AttentionProblem& problem, const OperandOptions& options)
      : DeviceAttention(problem, options) {
    choose_splits();
    prepare();
    if (p_.pass == AttentionPass::forward) return;
    d_q_sums_ = DeviceBuffer(rows() * p_.head_dim * 4);
    delta_ = DeviceBuffer(rows() * 4);
    forward_pass(0);
    share_forward_results();
  }

  void run(int set) override {
    p_.pass == AttentionPass::forward ? forward_pass(set) : backward_pass(set);
    cuda_check(cudaGetLastError(), "attention_mma");
  }

  [[nodiscard]] int launches() const override {
    return p_.pass == AttentionPass::backward ? 4 : splits_ > 1 ? 2 : 1;
  }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    if (splits_ == 1) return {};
    return {{"splits", std::to_string(splits_)}};
  }

 private:
  [[nodiscard]] std::int64_t rows() const { return p_.batch * p_.heads * p_.queries; }

  // Where the rows of a head are one block (a decode step), the keys are shared among blocks until
  // every SM has some.
  void choose_splits() {
    const std::int64_t heads = p_.batch * p_.kv_heads;
    keys_of_split_ = static_cast<int>(p_.keys);
    if (p_.pass == AttentionPass::backward || p_.group() * p_.queries > kBlockRows) return;
    constexpr std::int64_t kLeastKeys = 4 * kBlockKeys;
    const std::int64_t wanted = ceil_div<std::int64_t>(
        kBlocksOfSm * device_attribute(cudaDevAttrMultiProcessorCount), heads);
    const std::int64_t most = ceil_div(p_.keys, kLeastKeys);
    const std::int64_t splits = std::min(wanted, most);
    if (splits < 2) return;
    const std::int64_t keys = ceil_div(p_.keys, splits);
    keys_of_split_ = static_cast<int>(round_up(keys, kBlockKeys));
    splits_ = ceil_div(static_cast<int>(p_.keys), keys_of_split_);
    part_o_ = DeviceBuffer(splits_ * rows() * p_.value_dim * 4);
    part_l_ = DeviceBuffer(splits_ * rows() * 4);
  }

  // The narrowest compiled widths that hold the problem's.
  template <class F>
  void with_widths(F f) const {
    if (p_.head_dim <= 64 && p_.value_dim <= 64) {
      f(Widths<64, 64>{});
    } else if (p_.head_dim <= 128) {
      f(Widths<128, 128>{});
    } else {
      f(Widths<192, 128>{});
    }
  }

  void prepare() const {
    const auto allow = [](auto kernel, int bytes) {
      cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
                 "shared memory of attention's tiles");
    };
    with_widths([&](auto widths) {
      using W = decltype(widths);
      allow(attention_forward<W>, W::kForwardBytes);
      allow(attention_backward<W>, W::kBackwardBytes);
    });
  }

  [[nodiscard]] Task task_of(int set) const {
    const auto held = tensors(set);
    const auto at = [&](AttentionTensor tensor) { return held[static_cast<std::size_t>(tensor)]; };
    const auto bf16 = [&](AttentionTensor tensor) {
      return static_cast<std::uint16_t*>(at(tensor));
    };
    Task t = sizes_of(p_);
    t.q = bf16(AttentionTensor::q);
    t.k = bf16(AttentionTensor::k);
    t.v = bf16(AttentionTensor::v);
    t.d_o = bf16(AttentionTensor::d_o);
    t.o = bf16(AttentionTensor::o);
    t.d_q = bf16(AttentionTensor::d_q);
    t.d_k = bf16(AttentionTensor::d_k);
    t.d_v = bf16(AttentionTensor::d_v);
    t.l = static_cast<float*>(at(AttentionTensor::l));
    t.delta = static_cast<float*>(delta_.data());
    t.d_q_sums = static_cast<float*>(d_q_sums_.data());
    t.part_o = static_cast<float*>(part_o_.data());
    t.part_l = static_cast<float*>(part_l_.data());
    t.splits = splits_;
    t.keys_of_split = keys_of_split_;
    return t;
  }

  void forward_pass(int set) const {
    const Task t = task_of(set);
    const auto blocks = static_cast<unsigned>(t.heads * ceil_div(t.rows, kBlockRows) * splits_);
    with_widths([&](auto widths) {
      using W = decltype(widths);
      attention_forward<W><<<blocks, kThreads, W::kForwardBytes, queue()>>>(t);
    });
    if (splits_ > 1)
      attention_combine<<<blocks_for(rows() * 32), kThreads, 0, queue()>>>(t, rows());
  }

  void backward_pass(int set) const {
    const Task t = task_of(set);
    attention_delta<<<blocks_for(rows() * 32), kThreads, 0, queue()>>>(t, rows());
    cuda_check(cudaMemsetAsync(t.d_q_sums, 0, static_cast<std::size_t>(d_q_sums_.bytes()), queue()),
               "cudaMemsetAsync");
    const auto blocks = static_cast<unsigned>(t.heads * ceil_div(t.keys, kBlockKeys));
    with_widths([&](auto widths) {
      using W = decltype(widths);
      attention_backward<W><<<blocks, kThreads, W::kBackwardBytes, queue()>>>(t);
    });
    const std::int64_t pairs = rows() * p_.head_dim / 2;
    attention_d_q<<<blocks_for(pairs), kThreads, 0, queue()>>>(t, pairs);
  }

  const AttentionProblem& p_ = problem();
  int splits_ = 1, keys_of_split_ = 0;
  DeviceBuffer d_q_sums_, delta_, part_o_, part_l_;
};

std::string why_not(const AttentionProblem& p) {
  if (p.dtype != DType::bf16)
    return "mma: attention is in bf16, not " + std::string(to_string(p.dtype));
  if (p.head_dim % kChunk != 0 || p.value_dim % kChunk != 0 || p.head_dim > 192 ||
      p.value_dim > 128) {
    return "mma: head_dim is a multiple of 8 up to 192, value_dim one up to 128";
  }
  constexpr double kMost = std::numeric_limits<std::int32_t>::max() / 2.0;
  const auto real = [](std::int64_t size) { return static_cast<double>(size); };
  if (real(p.batch * p.heads) * real(p.queries) > kMost ||
      real(p.batch * p.kv_heads) * real(p.keys) > kMost)
    return "mma: heads times queries, and times keys, are below 2^30";
  if (std::string reason = why_no_gpu(); !reason.empty()) return reason;
  if (device_attribute(cudaDevAttrComputeCapabilityMajor) < 8)
    return "mma: needs a GPU of compute capability 8.0";
  const int shared = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  using Widest = Widths<192, 128>;
  return p.head_dim > 128 && shared < std::max(Widest::kForwardBytes, Widest::kBackwardBytes)
             ? "mma: this GPU's shared memory is too small for head_dim above 128"
             : "";
}

std::unique_ptr<Operation> make(const AttentionProblem& problem, const OperandOptions& options) {
  require_valid(problem);
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<MmaAttention>(problem, options);
}

}  // namespace

AttentionBackend mma_attention_backend() {
  return {"mma", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
