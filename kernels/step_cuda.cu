// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The kernels of a step on a GPU: operands, launches, and the check on the host.
#include "kernels/backends.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/host_buffer.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/step_cuda_backward.cuh"
#include "kernels/step_cuda_cast.hpp"
#include "kernels/step_cuda_kernels.cuh"
#include "kernels/step_cuda_layernorm.cuh"
#include "kernels/step_cuda_router.cuh"
#include "kernels/step_verify.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kMostNormSums =
    24576;  // 96 KiB of fp32, which every GPU since 8.0 can share

// Outputs that the gradient of a norm sums over rows: of the weights, of LayerNorm's biases, too.
std::int64_t norm_sums(StepKernel kernel) {
  if (kernel == StepKernel::layernorm_backward) return 2;
  return kernel == StepKernel::rmsnorm_backward ? 1 : 0;
}

template <class T>
class CudaStep final : public Operation {
 public:
  CudaStep(const StepProblem& problem, const OperandOptions& options)
      : problem_(problem),
        seed_(options.seed),
        roles_(step_arrays(problem)),
        sets_(sets_for(step_set_bytes(problem), options, device_bytes_free())) {
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      DeviceOperand& array = arrays_.emplace_back(roles_[i].bytes, sets_);
      if (roles_[i].role != StepArray::Role::output) array.copy_from_host(start_of(i).data());
    }
    sms_ = device_attribute(cudaDevAttrMultiProcessorCount);
    if (step_cuda::is_cast(problem.kernel)) step_cuda::prepare_cast(problem);
    if (norm_sums(problem.kernel) > 0) {
      packs_fit() ? prepare_norm<kLanesOfPack>() : prepare_norm<1>();
    }
  }

  void run(int set) override {
    set_ = set;
    if (step_cuda::is_cast(problem_.kernel)) {
      step_cuda::CastArrays arrays = {};
      for (std::size_t i = 0; i < arrays_.size(); ++i) arrays[i] = array<void>(i);
      step_cuda::launch_cast(problem_, arrays, stream_.get());
    } else if (packs_fit()) {
      launch<kLanesOfPack>();
    } else {
      launch<1>();
    }
    cuda_check(cudaGetLastError(), "kernel of a step");
  }

  Check verify() override {
    stream_.wait();  // runs that are queued still would change what is looked at
    std::vector<HostBuffer> kept;
    std::vector<const void*> before;
    std::vector<const void*> after;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      const bool output = roles_[i].role == StepArray::Role::output;
      before.push_back(output ? nullptr : kept.emplace_back(start_of(i)).data());
      if (output) arrays_[i].fill_bytes(0xFF);  // NaN in each type
      if (roles_[i].role == StepArray::Role::state) arrays_[i].copy_from_host(before.back());
    }
    run(0);
    stream_.wait();
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      if (roles_[i].role == StepArray::Role::input) {
        after.push_back(nullptr);
        continue;
      }
      after.push_back(kept.emplace_back(roles_[i].bytes).data());
      arrays_[i].copy_to_host(kept.back().data());
    }
    return verify_step(problem_, before, after);
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    std::vector<OperandView> views;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      const StepArray& array = roles_[i];
      views.push_back(
          {array.name, array.role, array.type, array.bytes, arrays_[i].data(0), DeviceKind::gpu});
    }
    return views;
  }
  [[nodiscard]] void* stream() const override { return stream_.get(); }
  [[nodiscard]] int launches() const override {
    return 1 + static_cast<int>(norm_sums(problem_.kernel));
  }

 private:
  static constexpr int kLanesOfPack = 16 / static_cast<int>(sizeof(T));

  [[nodiscard]] HostBuffer start_of(std::size_t array) const {
    HostBuffer out(roles_[array].bytes);
    fill_step_array(problem_, array, out.data(), seed_);
    return out;
  }

  template <class V = T>
  [[nodiscard]] V* array(std::size_t i) const {
    return static_cast<V*>(arrays_[i].data(set_));
  }

  // Whether rows, and what a thread takes at a time, are whole packs of 16 bytes.
  [[nodiscard]] bool packs_fit() const {
    const StepProblem& p = problem_;
    switch (p.kernel) {
      case StepKernel::rope:
      case StepKernel::rope_backward:
        return p.head_dim / 2 % kLanesOfPack == 0;
      case StepKernel::residual_add:
      case StepKernel::gelu:
      case StepKernel::gelu_backward:
        return p.rows * p.cols % kLanesOfPack == 0;
      case StepKernel::adamw:
        return p.weights % 4 == 0;
      case StepKernel::topk_softmax:
      case StepKernel::topk_softmax_backward:
      case StepKernel::topk_sigmoid_backward:
        return p.experts % kLanesOfPack == 0;
      case StepKernel::topk_sigmoid:
        return p.experts / p.groups % kLanesOfPack == 0;
      default:
        return p.cols % kLanesOfPack == 0;
    }
  }

  // Threads of a block that has a row of `packs`: whole warps, no more than there is work for.
  [[nodiscard]] static int threads_for(std::int64_t packs, std::int64_t most) {
    return static_cast<int>(std::min(most, round_up(packs, 32)));
  }

  // Enough blocks to fill every SM.
  [[nodiscard]] int flat_blocks(std::int64_t packs) const {
    constexpr std::int64_t kBlocksOfSm = 2048 / step_cuda::kFlatThreads;
    const std::int64_t wanted = ceil_div(packs, step_cuda::kFlatThreads);
    return static_cast<int>(std::min(wanted, sms_ * kBlocksOfSm));
  }

  template <int V>
  void launch() {
    const StepProblem& p = problem_;
    const auto rows = static_cast<unsigned>(p.rows);
    const auto cols = static_cast<int>(p.cols);
    const int threads = threads_for(p.cols / V, 512);
    const std::int64_t count = p.rows * p.cols;
    const cudaStream_t stream = stream_.get();
    switch (p.kernel) {
      case StepKernel::rmsnorm: {
        using A = arrays::RmsNorm;
        step_cuda::rmsnorm<T, V>
            <<<rows, threads, 0, stream>>>(array(A::y), array(A::x), array(A::w), cols);
        return;
      }
      case StepKernel::layernorm: {
        using A = arrays::LayerNorm;
        step_cuda::layernorm<T, V><<<rows, threads, 0, stream>>>(array(A::y), array(A::x),
                                                                 array(A::w), array(A::b), cols);
        return;
      }
      case StepKernel::gelu: {
        using A = arrays::Gelu;
        step_cuda::gelu<T, V><<<flat_blocks(count / V), step_cuda::kFlatThreads, 0, stream>>>(
            array(A::y), array(A::x), count);
        return;
      }
      case StepKernel::gelu_backward: {
        using A = arrays::GeluBackward;
        step_cuda::gelu_backward<T, V>
            <<<flat_blocks(count / V), step_cuda::kFlatThreads, 0, stream>>>(
                array(A::dx), array(A::x), array(A::dy), count);
        return;
      }
      case StepKernel::swiglu: {
        using A = arrays::Swiglu;
        step_cuda::swiglu<T, V><<<rows, threads, 0, stream>>>(array(A::y), array(A::x), cols);
        return;
      }
      case StepKernel::rope: {
        using A = arrays::Rope;
        return turn<V, false>(array(A::y), array(A::x), array<const float>(A::table));
      }
      case StepKernel::rope_backward: {
        using A = arrays::RopeBackward;
        return turn<V, true>(array(A::dx), array(A::dy), array<const float>(A::table));
      }
      case StepKernel::permute: {
        using A = arrays::Permute;
        step_cuda::permute<T, V><<<rows, threads, 0, stream>>>(array(A::y), array(A::x),
                                                               array<const std::int32_t>(A::place),
                                                               cols, static_cast<int>(p.top_k));
        return;
      }
      case StepKernel::residual_add: {
        using A = arrays::ResidualAdd;
        step_cuda::residual_add<T, V>
            <<<flat_blocks(count / V), step_cuda::kFlatThreads, 0, stream>>>(
                array(A::y), array(A::a), array(A::b), count);
        return;
      }
      case StepKernel::cross_entropy: {
        using A = arrays::CrossEntropy;
        const int many = threads_for(p.cols / V, step_cuda::kMostThreads);
        step_cuda::cross_entropy<T, V>
            <<<rows, many, 0, stream>>>(array<float>(A::loss), array(A::gradient), array(A::x),
                                        array<const std::int32_t>(A::target), cols);
        return;
      }
      case StepKernel::adamw: {
        using A = arrays::AdamW;
        constexpr int kPack = V == 1 ? 1 : 4;  // of fp32, whatever the rounded weights are in
        step_cuda::adamw<T, kPack>
            <<<flat_blocks(p.weights / kPack), step_cuda::kFlatThreads, 0, stream>>>(
                array<float>(A::weight), array<float>(A::m), array<float>(A::v),
                arrays_.size() > A::rounded ? array(A::rounded) : nullptr,
                array<const float>(A::gradient), p.weights);
        return;
      }
      case StepKernel::rmsnorm_backward:
      case StepKernel::layernorm_backward:
        return norm_backward<V>();
      case StepKernel::swiglu_backward: {
        using A = arrays::SwigluBackward;
        step_cuda::swiglu_backward<T, V>
            <<<rows, threads, 0, stream>>>(array(A::dx), array(A::x), array(A::dy), cols);
        return;
      }
      case StepKernel::permute_backward: {
        using A = arrays::PermuteBackward;
        step_cuda::sum_copies<T, V, false><<<rows, threads, 0, stream>>>(
            array(A::dx), array(A::dy), array<const std::int32_t>(A::place), nullptr, cols,
            static_cast<int>(p.top_k));
        return;
      }
      case StepKernel::unpermute: {
        using A = arrays::Unpermute;
        step_cuda::sum_copies<T, V, true><<<rows, threads, 0, stream>>>(
            array(A::y), array(A::x), array<const std::int32_t>(A::place), array<const float>(A::w),
            cols, static_cast<int>(p.top_k));
        return;
      }
      case StepKernel::unpermute_backward: {
        using A = arrays::UnpermuteBackward;
        step_cuda::unpermute_backward<T, V><<<rows, threads, 0, stream>>>(
            array(A::dx), array<float>(A::dw), array(A::x), array(A::dy),
            array<const std::int32_t>(A::place), array<const float>(A::w), cols,
            static_cast<int>(p.top_k));
        return;
      }
      case StepKernel::topk_softmax:
        return p.experts <= 32 * step_cuda::kFewPerLane ? choose<V, step_cuda::kFewPerLane>()
                                                        : choose<V, step_cuda::kManyPerLane>();
      case StepKernel::topk_softmax_backward: {
        using A = arrays::TopkSoftmaxBackward;
        step_cuda::topk_softmax_backward<T, V>
            <<<blocks_of_warps(), step_cuda::kFlatThreads, 0, stream>>>(
                array(A::dx), array<const std::int32_t>(A::chosen), array<const float>(A::w),
                array<const float>(A::dw), p.rows, static_cast<int>(p.experts),
                static_cast<int>(p.top_k));
        return;
      }
      case StepKernel::topk_sigmoid:
        return step_cuda::grouped_experts(p, V).per_lane <= step_cuda::kFewPerLane
                   ? choose_in_groups<V, step_cuda::kFewPerLane>()
                   : choose_in_groups<V, step_cuda::kManyPerLane>();
      case StepKernel::topk_sigmoid_backward: {
        using A = arrays::TopkSigmoidBackward;
        step_cuda::topk_sigmoid_backward<T, V>
            <<<blocks_of_warps(), step_cuda::kFlatThreads, 0, stream>>>(
                array(A::dx), array<const std::int32_t>(A::chosen), array<const float>(A::affinity),
                array<const float>(A::dw), p.rows, static_cast<int>(p.experts),
                static_cast<int>(p.top_k));
        return;
      }
      case StepKernel::cast_fp8:
      case StepKernel::cast_fp8_transpose:
      case StepKernel::cast_fp8_block:
      case StepKernel::recast_fp8:
        return;  // run() launches these
    }
  }

  // So many that each row has a warp.
  [[nodiscard]] unsigned blocks_of_warps() const {
    constexpr std::int64_t kWarps = step_cuda::kFlatThreads / 32;
    return static_cast<unsigned>(ceil_div(problem_.rows, kWarps));
  }

  template <int V, int kPerLane>
  void choose() {
    using A = arrays::TopkSoftmax;
    step_cuda::topk_softmax<T, V, kPerLane>
        <<<blocks_of_warps(), step_cuda::kFlatThreads, 0, stream_.get()>>>(
            array<std::int32_t>(A::chosen), array<float>(A::w), array(A::x), problem_.rows,
            static_cast<int>(problem_.experts), static_cast<int>(problem_.top_k));
  }

  template <int V, int kPerLane>
  void choose_in_groups() {
    using A = arrays::TopkSigmoid;
    step_cuda::topk_sigmoid<T, V, kPerLane>
        <<<blocks_of_warps(), step_cuda::kFlatThreads, 0, stream_.get()>>>(
            array<std::int32_t>(A::chosen), array<float>(A::w), array<float>(A::affinity),
            array(A::x), array<const float>(A::bias), problem_.rows,
            step_cuda::grouped_experts(problem_, V));
  }

  template <int V, bool kBackward>
  void turn(T* to, const T* from, const float* table) {
    const StepProblem& p = problem_;
    const int pairs = threads_for(p.heads * p.head_dim / 2 / V, 512);
    step_cuda::rope<T, V, kBackward><<<static_cast<unsigned>(p.rows), pairs, 0, stream_.get()>>>(
        to, from, table, static_cast<int>(p.heads), static_cast<int>(p.head_dim));
  }

  template <int V>
  [[nodiscard]] int norm_threads() const {
    return threads_for(problem_.cols / V, step_cuda::kFlatThreads);
  }

  using NormKernel = void(T*, float*, const T*, const T*, const T*, std::int64_t, int);

  template <int V>
  [[nodiscard]] NormKernel* norm_kernel() const {
    return problem_.kernel == StepKernel::rmsnorm_backward ? step_cuda::rmsnorm_backward<T, V>
                                                           : step_cuda::layernorm_backward<T, V>;
  }

  // Of a block, in bytes.
  [[nodiscard]] std::int64_t norm_shared() const {
    return norm_sums(problem_.kernel) * problem_.cols * 4;
  }

  template <int V>
  void norm_backward() {
    using A = arrays::LayerNormBackward;  // RmsNormBackward has no db
    const StepProblem& p = problem_;
    const auto cols = static_cast<int>(p.cols);
    const cudaStream_t stream = stream_.get();
    auto* const partial = static_cast<float*>(partials_.data());
    norm_kernel<V>()<<<parts_, norm_threads<V>(), norm_shared(), stream>>>(
        array(A::dx), partial, array(A::x), array(A::w), array(A::dy), p.rows, cols);
    for (std::int64_t i = 0; i < norm_sums(p.kernel); ++i) {
      step_cuda::sum_rows<>
          <<<static_cast<unsigned>(ceil_div(p.cols, 32)), 32 * step_cuda::kSumWarps, 0, stream>>>(
              array<float>(A::dw + static_cast<std::size_t>(i)), partial + i * parts_ * p.cols,
              parts_, cols);
    }
  }

  // As many blocks as run at once, each with its sums.
  template <int V>
  void prepare_norm() {
    NormKernel* const kernel = norm_kernel<V>();
    const auto shared = static_cast<int>(norm_shared());
    // Raised, never lowered: it is one limit for all operations of this kernel.
    cudaFuncAttributes limits{};
    cuda_check(cudaFuncGetAttributes(&limits, kernel), "limits of a kernel");
    if (limits.maxDynamicSharedSizeBytes < shared) {
      cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared),
                 "shared memory of a row");
    }
    int blocks = 0;
    cuda_check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, norm_threads<V>(),
                                                             static_cast<std::size_t>(shared)),
               "blocks of an SM");
    parts_ = static_cast<int>(std::min<std::int64_t>(problem_.rows, blocks * sms_));
    partials_ = DeviceBuffer(parts_ * norm_shared());
  }

  StepProblem problem_;
  std::uint64_t seed_;
  std::vector<StepArray> roles_;
  int sets_;
  int sms_ = 1;
  int set_ = 0;  // of the run in hand
  CudaStream stream_;
  std::vector<DeviceOperand> arrays_;
  DeviceBuffer partials_;  // of a norm's gradient: fp32[parts, cols] for each of its sums
  int parts_ = 0;
};

std::string why_not(const StepProblem& problem) {
  const std::string name(to_string(problem.kernel));
  if (!step_takes(problem.kernel, problem.dtype)) {
    return "CUDA: " + name + " isn't of " + std::string(to_string(problem.dtype));
  }
  if (step_cuda::is_cast(problem.kernel)) {
    if (const std::string why = step_cuda::why_not_cast(problem); !why.empty()) return why;
  }
  if (const std::int64_t sums = norm_sums(problem.kernel); problem.cols * sums > kMostNormSums) {
    return "CUDA: " + name + " takes at most " + std::to_string(kMostNormSums / sums) + " columns";
  }
  if (problem.kernel == StepKernel::topk_softmax && problem.experts > step_cuda::kMostExperts) {
    return "CUDA: topk_softmax takes at most " + std::to_string(step_cuda::kMostExperts) +
           " experts";
  }
  if (problem.kernel == StepKernel::topk_sigmoid) {
    if (problem.groups > step_cuda::kMostGroups) {
      return "CUDA: topk_sigmoid takes at most " + std::to_string(step_cuda::kMostGroups) +
             " groups";
    }
    const step_cuda::GroupedExperts held = step_cuda::grouped_experts(problem, 1);
    if (held.per_lane > step_cuda::kManyPerLane) {
      return "CUDA: topk_sigmoid takes at most " +
             std::to_string(step_cuda::kManyPerLane * held.lanes) + " experts in each of " +
             std::to_string(problem.groups) + " groups";
    }
  }
  return why_no_gpu();
}

std::unique_ptr<Operation> make(const StepProblem& problem, const OperandOptions& options) {
  (void)step_shape(problem);  // checks the sizes
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  if (problem.dtype == DType::fp32) return std::make_unique<CudaStep<float>>(problem, options);
  // Also fp8, of which nothing is a T.
  return std::make_unique<CudaStep<step_cuda::Bf16>>(problem, options);
}

}  // namespace

StepBackend cuda_step_backend() {
  return {"cuda", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
