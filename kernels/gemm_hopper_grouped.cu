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
#include <map>
#include <string>
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

// In the fastest of the family's tiles.
class HopperGroupedGemm final : public DeviceGroupedGemm {
 public:
  HopperGroupedGemm(const GroupedGemmProblem& problem, const OperandOptions& options)
      : DeviceGroupedGemm(problem, options) {
    for (const std::size_t tile : tiles_for(problem)) {
      ways_.emplace_back().tile = tile;
      with_tile(tile, [&]<class Config>() { make_lists<Config>(ways_.back()); });
    }
    chosen_ = fastest_way(queue(), ways_.size(), sets(),
                          [this](std::size_t way, int set) { start(ways_[way], set); });
  }

  void run(int set) override { start(ways_[chosen_], set); }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return {{"tile", to_string(tiles_of(problem())[ways_[chosen_].tile])},
            {"ways_tried", std::to_string(ways_.size())}};
  }

 private:
  struct Way {
    std::size_t tile = 0;
    std::vector<DeviceBuffer> tasks;  // of each set
    std::vector<int> begins_host;     // of each task's tiles
    DeviceBuffer begins;
  };

  void start(const Way& way, int set) {
    with_tile(way.tile, [&]<class Config>() {
      const auto launch_list = [&](auto kernel, auto list) {
        list.begins = static_cast<const int*>(way.begins.data());
        list.count = static_cast<int>(way.begins_host.size()) - 1;
        launch<Config>(kernel, list, way.begins_host.back(), problem().all.sms, queue());
      };
      const void* tasks = way.tasks[static_cast<std::size_t>(set)].data();
      if constexpr (Config::kScaleBytes > 0) {
        launch_list(gemm_hopper_fp8_grouped<Config>,
                    Fp8Tasks{.tasks = static_cast<const Fp8Tasks::Task*>(tasks)});
      } else {
        launch_list(gemm_hopper_bf16_grouped<Config>,
                    Bf16Tasks{.tasks = static_cast<const Bf16Tasks::Task*>(tasks)});
      }
    });
  }

  template <class F>
  void with_tile(std::size_t tile, F f) const {
    const GemmProblem& all = problem().all;
    if (all.scaling != Scaling::none) {
      return all.accumulate ? with_fp8_config<kGroupedFp8TileShapesThatAdd, true>(tile, f)
                            : with_fp8_config<kGroupedFp8TileShapes, false>(tile, f);
    }
    if (all.accumulate)
      return with_bf16_config<kGroupedTileShapesThatAdd, GemmLayout::tn, Output::added>(tile, f);
    if (all.layout == GemmLayout::nn)
      return with_bf16_config<kGroupedTileShapes, GemmLayout::nn, Output::bf16>(tile, f);
    with_bf16_config<kGroupedTileShapes, GemmLayout::nt, Output::bf16>(tile, f);
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
  void make_lists(Way& way) const {
    for (int set = 0; set < sets(); ++set) {
      std::vector<decltype(task_of<Config>(0, 0))> tasks;
      way.begins_host = {0};
      for (std::size_t group = 0; group < problem().sizes.size(); ++group) {
        if (problem().sizes[group] == 0) continue;
        tasks.push_back(task_of<Config>(set, group));
        way.begins_host.push_back(way.begins_host.back() + tasks.back().grid.count());
      }
      way.tasks.push_back(copied(tasks.data(), tasks.size() * sizeof tasks[0]));
    }
    way.begins = copied(way.begins_host.data(), way.begins_host.size() * sizeof(int));
  }

  static DeviceBuffer copied(const void* host, std::size_t bytes) {
    DeviceBuffer buffer(static_cast<std::int64_t>(bytes));
    cuda_check(cudaMemcpy(buffer.data(), host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    cuda_check(cudaStreamSynchronize(nullptr), "cudaMemcpy");  // operations' streams don't wait
    return buffer;
  }

  std::vector<Way> ways_;   // that are tried
  std::size_t chosen_ = 0;  // of them
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
