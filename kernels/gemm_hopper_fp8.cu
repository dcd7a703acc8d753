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

class HopperFp8Gemm final : public DeviceGemm {
 public:
  HopperFp8Gemm(const GemmProblem& problem, const OperandOptions& options)
      : DeviceGemm(problem, options), tile_(tile_for(problem, sms_of_device())) {
    with_config([&]<class Config>() {
      for (int set = 0; set < sets(); ++set) {
        tasks_.push_back(fp8_task<Config>(
            problem,
            {.a = a(set),
             .b = b(set),
             .c = c(set),
             .scales_a = scales_a(set),
             .scales_b = scales_b(set),
             .row = problem.k,
             .scales_row = scale_index(ScaleBlock::row, problem.m, problem.k, 0, kScaleBlock)}));
      }
    });
  }

  void run(int set) override {
    with_config([&]<class Config>() {
      const Task& task = tasks_[static_cast<std::size_t>(set)];
      launch<Config>(gemm_hopper_fp8<Config>, task, task.grid.count(), problem().sms, queue());
    });
  }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return {{"tile", to_string(tiles_of(problem())[tile_])}};
  }

 private:
  template <const auto& kFamily, bool kAdds, std::size_t kTile = 0, class F>
  void with_tile(F f) const {
    constexpr TileShape t = kFamily[kTile];
    static_assert(t.columns == kScaleBlock);
    if constexpr (kTile + 1 < kFamily.size()) {
      if (tile_ != kTile) return with_tile<kFamily, kAdds, kTile + 1>(f);
    }
    f.template operator()<
        Fp8Config<t.rows, t.blocks, t.stages, kAdds, t.rows == 256 ? 1 : 2, Shared::a, t.lead>>();
  }

  template <class F>
  void with_config(F f) const {
    problem().accumulate ? with_tile<kFp8TileShapesThatAdd, true>(f)
                         : with_tile<kFp8TileShapes, false>(f);
  }

  std::size_t tile_;
  std::vector<Task> tasks_;  // one a set
};

}  // namespace

std::unique_ptr<Operation> make_fp8_gemm(const GemmProblem& problem,
                                         const OperandOptions& options) {
  return std::make_unique<HopperFp8Gemm>(problem, options);
}

}  // namespace trainmeter::hopper
