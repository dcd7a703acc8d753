// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core in bf16 on the tensor cores of compute capability 8.0 and newer: the kernels
// of attention_mma_forward.hpp and attention_mma_backward.hpp, launched.
#include "kernels/attention_mma_backward.hpp"
#include "kernels/attention_tensors.hpp"
#include "kernels/backends.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/mma_ptx.cuh"
#include "kernels/random.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

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
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

int sms_here() {
  int device = 0;
  int sms = 1;
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device),
             "cudaDeviceGetAttribute");
  return sms;
}

class MmaAttention final : public Operation {
 public:
  MmaAttention(const AttentionProblem& problem, const OperandOptions& options)
      : p_(problem), sets_(sets_for(attention_set_bytes(problem), options, device_bytes_free())) {
    for (int i = 0; i < kAttentionTensors; ++i) {
      const auto tensor = static_cast<AttentionTensor>(i);
      if (role_of(tensor, p_.pass) == TensorRole::unused) continue;
      operands_[i] = DeviceOperand(attention_bytes_of(p_, tensor), sets_);
      if (!drawn(tensor)) continue;
      std::vector<std::byte> host(static_cast<std::size_t>(operands_[i].bytes()));
      fill_random(host.data(), attention_elements(p_, tensor), p_.dtype,
                  operand_seed(options.seed, 0, i), options.values);
      operands_[i].copy_from_host(host.data());
    }
    choose_splits();
    prepare();
    if (p_.pass == AttentionPass::forward) return;
    d_q_sums_ = DeviceBuffer(rows() * p_.head_dim * 4);
    delta_ = DeviceBuffer(rows() * 4);
    forward_pass(0);  // for O and L
    stream_.wait();
    for (const AttentionTensor tensor : {AttentionTensor::o, AttentionTensor::l}) {
      DeviceOperand& operand = operands_[static_cast<std::size_t>(tensor)];
      std::vector<std::byte> host(static_cast<std::size_t>(operand.bytes()));
      operand.copy_to_host(host.data());
      operand.copy_from_host(host.data());
    }
  }

  void run(int set) override {
    p_.pass == AttentionPass::forward ? forward_pass(set) : backward_pass(set);
    cuda_check(cudaGetLastError(), "attention_mma");
  }

  Check verify() override {
    stream_.wait();
    for (int i = 0; i < kAttentionTensors; ++i) {
      if (role_of(static_cast<AttentionTensor>(i), p_.pass) == TensorRole::output)
        operands_[i].fill_bytes(0xff);  // NaN
    }
    run(0);
    stream_.wait();
    std::array<std::vector<std::byte>, kAttentionTensors> host;
    AttentionData data{};
    for (int i = 0; i < kAttentionTensors; ++i) {
      if (operands_[i].empty()) continue;
      host[i].resize(static_cast<std::size_t>(operands_[i].bytes()));
      operands_[i].copy_to_host(host[i].data());
      data[i] = host[i].data();
    }
    return verify_attention(p_, data, Probabilities::rounded);
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    std::array<void*, kAttentionTensors> data{};
    for (std::size_t i = 0; i < data.size(); ++i)
      data[i] = operands_[i].empty() ? nullptr : operands_[i].data(0);
    return attention_views(p_, DeviceKind::gpu, data);
  }
  [[nodiscard]] void* stream() const override { return stream_.get(); }
  [[nodiscard]] int launches() const override {
    return p_.pass == AttentionPass::backward ? 4 : splits_ > 1 ? 2 : 1;
  }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    if (splits_ == 1) return {};
    return {{"splits", std::to_string(splits_)}};
  }

 private:
  static bool drawn(AttentionTensor t) {
    return t == AttentionTensor::q || t == AttentionTensor::k || t == AttentionTensor::v ||
           t == AttentionTensor::d_o;
  }

  [[nodiscard]] std::int64_t rows() const { return p_.batch * p_.heads * p_.queries; }

  // Where the rows of a head are one block (a decode step), the keys are shared among blocks until
  // every SM has some.
  void choose_splits() {
    const std::int64_t heads = p_.batch * p_.kv_heads;
    keys_of_split_ = static_cast<int>(p_.keys);
    if (p_.pass == AttentionPass::backward || p_.group() * p_.queries > kBlockRows) return;
    constexpr std::int64_t kLeastKeys = 4 * kBlockKeys;
    const std::int64_t wanted = (kBlocksOfSm * sms_here() + heads - 1) / heads;
    const std::int64_t most = (p_.keys + kLeastKeys - 1) / kLeastKeys;
    const std::int64_t splits = std::min(wanted, most);
    if (splits < 2) return;
    const std::int64_t keys = (p_.keys + splits - 1) / splits;
    keys_of_split_ = static_cast<int>((keys + kBlockKeys - 1) / kBlockKeys * kBlockKeys);
    splits_ = blocks_of(static_cast<int>(p_.keys), keys_of_split_);
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

  template <class T>
  [[nodiscard]] T* at(AttentionTensor tensor, int set) const {
    const DeviceOperand& operand = operands_[static_cast<std::size_t>(tensor)];
    return operand.empty() ? nullptr : static_cast<T*>(operand.data(set));
  }

  [[nodiscard]] Task task_of(int set) const {
    using enum AttentionTensor;
    Task t = sizes_of(p_);
    t.q = at<std::uint16_t>(q, set);
    t.k = at<std::uint16_t>(k, set);
    t.v = at<std::uint16_t>(v, set);
    t.d_o = at<std::uint16_t>(d_o, set);
    t.o = at<std::uint16_t>(o, set);
    t.d_q = at<std::uint16_t>(d_q, set);
    t.d_k = at<std::uint16_t>(d_k, set);
    t.d_v = at<std::uint16_t>(d_v, set);
    t.l = at<float>(l, set);
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
    const auto blocks = static_cast<unsigned>(t.heads * blocks_of(t.rows, kBlockRows) * splits_);
    with_widths([&](auto widths) {
      using W = decltype(widths);
      attention_forward<W><<<blocks, kThreads, W::kForwardBytes, stream_.get()>>>(t);
    });
    if (splits_ > 1)
      attention_combine<<<blocks_for(rows() * 32), kThreads, 0, stream_.get()>>>(t, rows());
  }

  void backward_pass(int set) const {
    const Task t = task_of(set);
    attention_delta<<<blocks_for(rows() * 32), kThreads, 0, stream_.get()>>>(t, rows());
    cuda_check(
        cudaMemsetAsync(t.d_q_sums, 0, static_cast<std::size_t>(d_q_sums_.bytes()), stream_.get()),
        "cudaMemsetAsync");
    const auto blocks = static_cast<unsigned>(t.heads * blocks_of(t.keys, kBlockKeys));
    with_widths([&](auto widths) {
      using W = decltype(widths);
      attention_backward<W><<<blocks, kThreads, W::kBackwardBytes, stream_.get()>>>(t);
    });
    const std::int64_t pairs = rows() * p_.head_dim / 2;
    attention_d_q<<<blocks_for(pairs), kThreads, 0, stream_.get()>>>(t, pairs);
  }

  AttentionProblem p_;
  int sets_;
  int splits_ = 1, keys_of_split_ = 0;
  CudaStream stream_;
  std::array<DeviceOperand, kAttentionTensors> operands_;
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
  int device = 0;
  int major = 0;
  int shared = 0;
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "cudaDeviceGetAttribute");
  cuda_check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
             "cudaDeviceGetAttribute");
  if (major < 8) return "mma: needs a GPU of compute capability 8.0";
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
