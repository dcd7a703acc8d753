// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Grouped GEMM by our own kernels for Hopper: one persistent launch works through the tiles of all
// groups. Each group has tensor maps of its own, so that TMA reads zeros behind its rows or its k,
// and leaves its neighbour's C alone, wherever groups begin.
#include "kernels/backends.hpp"
#include "kernels/gemm_grouped_cuda.hpp"
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_launch.cuh"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/hopper_ptx.cuh"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace trainmeter {
namespace {

using namespace hopper;
using Bf16Tasks = TaskList<GemmTask<CUtensorMap>>;
using Fp8Tasks = TaskList<Fp8Task<CUtensorMap>>;

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1) gemm_hopper_bf16_grouped(Bf16Tasks tasks) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ char window[];
  GemmKernel<Config, Ptx, Bf16Tasks>{{tasks, aligned_shared(window), place_of_thread<Config>()}}
      .run();
#endif
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1) gemm_hopper_fp8_grouped(Fp8Tasks tasks) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ char window[];
  Fp8Kernel<Config, Ptx, Fp8Tasks>{{tasks, aligned_shared(window), place_of_thread<Config>()}}
      .run();
#endif
}

// A cluster's tiles lie beside each other and share A: one below would often lie behind the group's
// last row.
template <GemmLayout kLayout, Output kOutput>
using GroupedBf16 =
    GemmConfig<128, 256, 2, 3, kLayout, kOutput, kOutput == Output::added ? Shared::b : Shared::a>;
template <bool kAdds>
using GroupedFp8 = Fp8Config<kAdds ? 128 : 256, 2, kAdds ? 4 : 3, kAdds, 1>;

class HopperGroupedGemm final : public DeviceGroupedGemm {
 public:
  HopperGroupedGemm(const GroupedGemmProblem& problem, const OperandOptions& options)
      : DeviceGroupedGemm(problem, options) {
    with_config([&]<class Config>() { make_lists<Config>(); });
  }

  void run(int set) override {
    with_config([&]<class Config>() {
      const auto* begins = static_cast<const int*>(begins_.data());
      const auto count = static_cast<int>(begins_host_.size()) - 1;
      const auto start = [&](auto kernel, auto list) {
        list.begins = begins;
        list.count = count;
        launch<Config>(kernel, list, begins_host_.back(), problem().all.sms, queue());
      };
      const void* tasks = tasks_[static_cast<std::size_t>(set)].data();
      if constexpr (Config::kScaleBytes > 0) {
        start(gemm_hopper_fp8_grouped<Config>,
              Fp8Tasks{.tasks = static_cast<const Fp8Tasks::Task*>(tasks)});
      } else {
        start(gemm_hopper_bf16_grouped<Config>,
              Bf16Tasks{.tasks = static_cast<const Bf16Tasks::Task*>(tasks)});
      }
    });
  }

 private:
  template <class F>
  void with_config(F f) const {
    const GemmProblem& all = problem().all;
    if (all.scaling != Scaling::none) {
      return all.accumulate ? f.template operator()<GroupedFp8<true>>()
                            : f.template operator()<GroupedFp8<false>>();
    }
    if (all.accumulate) return f.template operator()<GroupedBf16<GemmLayout::tn, Output::added>>();
    if (all.layout == GemmLayout::nn)
      return f.template operator()<GroupedBf16<GemmLayout::nn, Output::bf16>>();
    f.template operator()<GroupedBf16<GemmLayout::nt, Output::bf16>>();
  }

  template <class Config>
  auto task_of(int set, std::size_t group) const {
    const GemmProblem p = problem_of_group(problem(), group);
    const GroupOperands at = operands(set, group);
    if constexpr (Config::kScaleBytes > 0) {
      return fp8_task<Config>(p, {.a = at.a,
                                  .b = at.b,
                                  .c = at.c,
                                  .scales_a = at.scales_a,
                                  .scales_b = at.scales_b,
                                  .row = place(group).row,
                                  .scales_row = place(group).scales_row});
    } else {
      return bf16_task<Config>(p, at.a, at.b, at.c);
    }
  }

  // An empty group has no tensor map, and so isn't in the list.
  template <class Config>
  void make_lists() {
    for (int set = 0; set < sets(); ++set) {
      std::vector<decltype(task_of<Config>(0, 0))> tasks;
      begins_host_ = {0};
      for (std::size_t group = 0; group < problem().sizes.size(); ++group) {
        if (problem().sizes[group] == 0) continue;
        tasks.push_back(task_of<Config>(set, group));
        begins_host_.push_back(begins_host_.back() + tasks.back().grid.count());
      }
      tasks_.push_back(copied(tasks.data(), tasks.size() * sizeof tasks[0]));
    }
    begins_ = copied(begins_host_.data(), begins_host_.size() * sizeof(int));
  }

  static DeviceBuffer copied(const void* host, std::size_t bytes) {
    DeviceBuffer buffer(static_cast<std::int64_t>(bytes));
    cuda_check(cudaMemcpy(buffer.data(), host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    return buffer;
  }

  std::vector<DeviceBuffer> tasks_;  // of each set
  std::vector<int> begins_host_;     // of each task's tiles
  DeviceBuffer begins_;
};

std::string why_not(const GroupedGemmProblem& problem) {
  std::string reason = why_no_groups(problem);
  return reason.empty() ? why_not_hopper() : reason;
}

std::unique_ptr<Operation> make(const GroupedGemmProblem& problem, const OperandOptions& options) {
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<HopperGroupedGemm>(problem, options);
}

}  // namespace

GroupedGemmBackend hopper_grouped_gemm_backend() {
  return {"hopper", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
