// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by our own kernels for Hopper: which of them, and bf16's launch. The algorithm is in
// gemm_hopper_kernel.hpp.
#include "kernels/backends.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_launch.cuh"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/hopper_ptx.cuh"

#include <vector>

namespace trainmeter {
namespace {

using namespace hopper;
using Task = GemmTask<CUtensorMap>;

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    gemm_hopper_bf16(const __grid_constant__ Task task) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ char window[];
  GemmKernel<Config, Ptx, OneTask<Task>>{
      {{task}, aligned_shared(window), place_of_thread<Config>()}}
      .run();
#endif
}

class HopperGemm final : public TriedGemm<HopperGemm, Task> {
 public:
  HopperGemm(const GemmProblem& problem, const OperandOptions& options)
      : TriedGemm(problem, options) {
    choose();
  }

  template <class F>
  void with_config(std::size_t tile, F f) const {
    if (problem().fp32_out) {
      with_layout<kFp32OutTileShapes, Output::fp32>(tile, f);
    } else if (problem().accumulate) {
      with_bf16_config<kTileShapesThatAdd, GemmLayout::tn, Output::added>(tile, f);
    } else {
      with_layout<kTileShapes, Output::bf16>(tile, f);
    }
  }

  template <class Config>
  Task task_of(int set) const {
    return bf16_task<Config>(problem(), a(set), b(set), c(set));
  }

  template <class Config>
  static auto kernel_of() -> void (*)(Task) {
    return gemm_hopper_bf16<Config>;
  }

 private:
  template <const auto& kFamily, Output kOutput, class F>
  void with_layout(std::size_t tile, F f) const {
    switch (problem().layout) {
      case GemmLayout::nt:
        if constexpr (kOutput == Output::bf16) {
          return with_bf16_config<kTileShapesAlongK, GemmLayout::nt, kOutput>(tile, f);
        } else {
          return with_bf16_config<kFamily, GemmLayout::nt, kOutput>(tile, f);
        }
      case GemmLayout::nn:
        return with_bf16_config<kFamily, GemmLayout::nn, kOutput>(tile, f);
      case GemmLayout::tn:
        return with_bf16_config<kFamily, GemmLayout::tn, kOutput>(tile, f);
    }
  }
};

std::string why_not(const GemmProblem& problem) {
  std::string reason = why_no_maps(problem);
  return reason.empty() ? why_not_hopper() : reason;
}

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  (void)gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  if (problem.dtype == DType::fp8) return make_fp8_gemm(problem, options);
  return std::make_unique<HopperGemm>(problem, options);
}

}  // namespace

std::string hopper::why_not_hopper() {
  if (std::string reason = why_no_gpu(); !reason.empty()) return reason;
  int device = 0;
  cudaDeviceProp properties{};
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  if (properties.major != 9 || properties.minor != 0)
    return "hopper: needs a GPU of compute capability 9.0";
  return "";
}

GemmBackend hopper_gemm_backend() {
  return {"hopper", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
