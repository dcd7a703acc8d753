// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Block-scaled fp8 GEMM by our own kernels for Hopper: tensor maps and the launch. The algorithm is
// in gemm_hopper_fp8_kernel.hpp.
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_hopper_fp8_kernel.hpp"
#include "kernels/gemm_hopper_launch.cuh"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/hopper_ptx.cuh"

#include <vector>

namespace trainmeter::hopper {
namespace {

using Task = Fp8Task<CUtensorMap>;

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    gemm_hopper_fp8(const __grid_constant__ Task task) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ char window[];
  Fp8Kernel<Config, Ptx, OneTask<Task>>{{{task}, aligned_shared(window), place_of_thread<Config>()}}
      .run();
#endif
}

class HopperFp8Gemm final : public TriedGemm<HopperFp8Gemm, Task> {
 public:
  HopperFp8Gemm(const GemmProblem& problem, const OperandOptions& options)
      : TriedGemm(problem, options) {
    choose();
  }

  template <class F>
  void with_config(std::size_t tile, F f) const {
    problem().accumulate ? with_fp8_config<kFp8TileShapesThatAdd, true>(tile, f)
                         : with_fp8_config<kFp8TileShapes, false>(tile, f);
  }

  template <class Config>
  Task task_of(int set) const {
    const GemmProblem& p = problem();
    return fp8_task<Config>(p,
                            {.a = a(set),
                             .b = b(set),
                             .c = c(set),
                             .scales_a = scales_a(set),
                             .scales_b = scales_b(set),
                             .row = p.k,
                             .scales_row = scale_index(ScaleBlock::row, p.m, p.k, 0, kScaleBlock)});
  }

  template <class Config>
  static auto kernel_of() -> void (*)(Task) {
    return gemm_hopper_fp8<Config>;
  }
};

}  // namespace

std::unique_ptr<Operation> make_fp8_gemm(const GemmProblem& problem,
                                         const OperandOptions& options) {
  return std::make_unique<HopperFp8Gemm>(problem, options);
}

}  // namespace trainmeter::hopper
