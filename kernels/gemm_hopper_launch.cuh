// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Around a GEMM kernel for Hopper, on the host: tensor maps and the launch of clusters.
#pragma once

#include "kernels/cuda_support.hpp"
#include "kernels/fastest.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_hopper_fp8_kernel.hpp"
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_parts.hpp"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/hopper_ptx.cuh"
#include "kernels/rounding.hpp"
#include "kernels/scaled_operand.hpp"

#include <cudaTypedefs.h>

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter::hopper {

std::unique_ptr<Operation> make_fp8_gemm(const GemmProblem& problem, const OperandOptions& options);

// Empty, or why the current device runs none of these kernels.
std::string why_not_hopper();

inline PFN_cuTensorMapEncodeTiled_v12000 encode_function() {
  void* found = driver_function("cuTensorMapEncodeTiled", 12000);
  if (found == nullptr)
    throw Unavailable("hopper: the driver has no cuTensorMapEncodeTiled (CUDA 12.0)");
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
}

// A row-major matrix of rows x columns in each group, one after the other, as TMA sees it. A box
// has box_rows rows and box_columns columns; swizzled where these are 128 bytes.
struct TensorMapDesc {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  std::int64_t columns = 0;
  std::int64_t rows = 0;
  std::int64_t groups = 1;
  int box_rows = 0;
  int box_columns = 0;
  std::int64_t row_elements = 0;  // from one row to the next; 0: the columns
};

inline std::int64_t size_of(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    default:
      throw std::invalid_argument("no such element of a tensor map");
  }
}

inline CUtensorMap map_of(void* data, const TensorMapDesc& what) {
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = encode_function();
  const std::int64_t size = size_of(what.type);
  const std::int64_t row = (what.row_elements == 0 ? what.columns : what.row_elements) * size;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(what.columns),
                              static_cast<cuuint64_t>(what.rows),
                              static_cast<cuuint64_t>(what.groups)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(row),
                                static_cast<cuuint64_t>(row * what.rows)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(what.box_columns),
                            static_cast<cuuint32_t>(what.box_rows), 1};
  const cuuint32_t steps[] = {1, 1, 1};
  const bool swizzles = what.box_columns * size == kRowBytes;
  CUtensorMap map;
  const CUresult code =
      encode(&map, what.type, 3, data, sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzles ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS)
    throw std::runtime_error("cuTensorMapEncodeTiled: error " + std::to_string(code));
  return map;
}

// Clusters of this launch that run at once. Fewer than the SMs would hold, where a group of SMs
// that a cluster must lie in has an odd number of them: one that came later would double the time.
template <class Task>
int clusters_at_once(void (*kernel)(Task), const cudaLaunchConfig_t& how) {
  int clusters = 0;
  cuda_check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &how),
             "cudaOccupancyMaxActiveClusters");
  return std::max(clusters, 1);
}

// C of `Config`, of m x n.
template <class Config>
CUtensorMap map_of_c(void* c, std::int64_t m, std::int64_t n, std::int64_t groups) {
  return map_of(c, {.type = Config::kFp32Out ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                                             : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                    .columns = n,
                    .rows = m,
                    .groups = groups,
                    .box_rows = kBoxRows,
                    .box_columns = Config::kStoreColumns});
}

// A bf16 product of p's sizes, in each of p's groups.
template <class Config>
GemmTask<CUtensorMap> bf16_task(const GemmProblem& p, void* a, void* b, void* c) {
  const auto operand = [&]<class Loads>(Loads, void* data, std::int64_t other) {
    const bool along_k = Loads::kMajor == Major::k;
    return map_of(data, {.columns = along_k ? p.k : other,
                         .rows = along_k ? other : p.k,
                         .groups = p.groups,
                         .box_rows = Loads::kBoxRows,
                         .box_columns = 64});
  };
  return {.a = operand(typename Config::LoadsOfA(), a, p.m),
          .b = operand(typename Config::LoadsOfB(), b, p.n),
          .c = map_of_c<Config>(c, p.m, p.n, p.groups),
          .grid = grid_of<Config>(static_cast<int>(p.m), static_cast<int>(p.n),
                                  static_cast<int>(p.groups)),
          .k_steps = static_cast<int>(ceil_div(p.k, Config::kStepK))};
}

// Where an fp8 product's operands lie. Rows of A and B are `row` elements apart; A's scales of one
// block of k and the next, `scales_row`.
struct Fp8Operands {
  void* a = nullptr;
  void* b = nullptr;
  void* c = nullptr;
  float* scales_a = nullptr;
  float* scales_b = nullptr;
  std::int64_t row = 0;
  std::int64_t scales_row = 0;
};

template <class Config>
Fp8Task<CUtensorMap> fp8_task(const GemmProblem& p, const Fp8Operands& at) {
  const auto operand = [&](void* data, std::int64_t rows, int box_rows) {
    return map_of(data, {.type = CU_TENSOR_MAP_DATA_TYPE_UINT8,
                         .columns = p.k,
                         .rows = rows,
                         .box_rows = box_rows,
                         .box_columns = Config::kStepK,
                         .row_elements = at.row});
  };
  const std::int64_t blocks = ceil_div(p.k, kScaleBlock);
  const auto scales = [&](float* data, std::int64_t rows, int box, std::int64_t row) {
    return map_of(data, {.type = CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
                         .columns = rows,
                         .rows = blocks,
                         .box_rows = 1,
                         .box_columns = box,
                         .row_elements = row});
  };
  Fp8Task<CUtensorMap> task;
  task.a = operand(at.a, p.m, Config::LoadsOfA::kBoxRows);
  task.b = operand(at.b, p.n, Config::LoadsOfB::kBoxRows);
  task.c = map_of_c<Config>(at.c, p.m, p.n, 1);
  task.grid = grid_of<Config>(static_cast<int>(p.m), static_cast<int>(p.n), 1);
  task.k_steps = static_cast<int>(blocks);
  task.scales_a = scales(at.scales_a, p.m, Config::kRows, at.scales_row);
  if constexpr (Config::kScaledColumns) {
    task.scales_b = scales(at.scales_b, p.n, Config::kColumns,
                           scale_index(ScaleBlock::row, p.n, p.k, 0, kScaleBlock));
  } else {
    task.scales_b = task.scales_a;  // not used
    task.scales_of_blocks = at.scales_b;
    task.stride = static_cast<int>(scale_index(ScaleBlock::square, p.n, p.k, kScaleBlock, 0));
    task.last_block = static_cast<int>((p.n - 1) / kScaleBlock);
  }
  return task;
}

// As many clusters as there are tiles for, on the whole device or on `sms` of it, which clusters
// divide (gemm_hopper_plan.hpp).
template <class Config, class Tasks>
void launch(void (*kernel)(Tasks), const Tasks& tasks, int tiles, int sms, cudaStream_t stream) {
  static const cudaError_t prepared = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kDynamicSharedBytes);
  cuda_check(prepared, "cudaFuncSetAttribute");
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(Config::kBlocks), 1, 1};
  cudaLaunchConfig_t how{};
  how.gridDim = static_cast<unsigned>(Config::kBlocks);
  how.blockDim = static_cast<unsigned>(Config::kThreads);
  how.dynamicSmemBytes = Config::kDynamicSharedBytes;
  how.stream = stream;
  how.attrs = &cluster;
  how.numAttrs = 1;
  static const int at_once = clusters_at_once(kernel, how);
  const int allowed = sms > 0 ? sms / Config::kBlocks : at_once;
  how.gridDim.x *= static_cast<unsigned>(std::min({tiles, at_once, allowed}));
  cuda_check(cudaLaunchKernelEx(&how, kernel, tasks), "cudaLaunchKernelEx");
}

// Calls f.template operator()<kFamily[tile]>().
template <const auto& kFamily, std::size_t kTile = 0, class F>
void with_shape(std::size_t tile, F f) {
  if constexpr (kTile + 1 < kFamily.size()) {
    if (tile != kTile) return with_shape<kFamily, kTile + 1>(tile, f);
  }
  f.template operator()<kFamily[kTile]>();
}

// The same with the configurations that have these shapes.
template <const auto& kFamily, GemmLayout kLayout, Output kOutput, class F>
void with_bf16_config(std::size_t tile, F f) {
  with_shape<kFamily>(tile, [&]<TileShape kShape>() {
    f.template operator()<GemmConfig<kShape, kLayout, kOutput>>();
  });
}
template <const auto& kFamily, bool kAdds, class F>
void with_fp8_config(std::size_t tile, F f) {
  with_shape<kFamily>(
      tile, [&]<TileShape kShape>() { f.template operator()<Fp8Config<kShape, kAdds>>(); });
}

// The fastest of `ways`, which start(way, set) launches on `stream`.
template <class Start>
std::size_t fastest_way(cudaStream_t stream, std::size_t ways, int sets, Start start) {
  if (ways == 1) return 0;
  // A first launch loads the kernel, which must not happen behind the timer's hold.
  for (std::size_t way = 0; way < ways; ++way) start(way, 0);
  cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return fastest_of(stream, ways, [&](std::size_t way, int trial) { start(way, trial % sets); });
}

// A GEMM of ours, in the way that is fastest of those worth a try: by tile, and whether L2 should
// part with C first, which nothing reads again here. `Derived` has
//   void with_config(std::size_t tile, F f) const, which calls f.template operator()<Config>(),
//   Task task_of<Config>(int set) const, and void (*kernel_of<Config>())(Task).
template <class Derived, class Task>
class TriedGemm : public DeviceGemm {
 public:
  TriedGemm(const GemmProblem& problem, const OperandOptions& options)
      : DeviceGemm(problem, options) {
    for (const std::size_t tile :
         tiles_for(problem, device_attribute(cudaDevAttrMultiProcessorCount))) {
      for (const CachePolicy policy : {kEvictNormally, kEvictFirst}) {
        if (policy == kEvictNormally || !(problem.accumulate || tile_is_named()))
          ways_.push_back({tile, policy, {}});
      }
    }
  }

  void run(int set) override { start(ways_[chosen_], set); }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    const Way& way = ways_[chosen_];
    return {{"tile", to_string(tiles_of(problem())[way.tile])},
            {"output_in_l2", way.policy_of_c == kEvictFirst ? "evicted first" : "as usual"},
            {"ways_tried", std::to_string(ways_.size())}};
  }

 protected:
  void choose() {
    const auto& derived = static_cast<const Derived&>(*this);
    for (Way& way : ways_) {
      derived.with_config(way.tile, [&]<class Config>() {
        for (int set = 0; set < sets(); ++set) {
          way.tasks.push_back(derived.template task_of<Config>(set));
          way.tasks.back().policy_of_c = way.policy_of_c;
        }
      });
    }
    chosen_ = fastest_way(queue(), ways_.size(), sets(),
                          [this](std::size_t way, int set) { start(ways_[way], set); });
  }

 private:
  struct Way {
    std::size_t tile = 0;
    CachePolicy policy_of_c = kEvictNormally;
    std::vector<Task> tasks;  // one a set
  };

  void start(const Way& way, int set) {
    const auto& derived = static_cast<const Derived&>(*this);
    const Task& task = way.tasks[static_cast<std::size_t>(set)];
    derived.with_config(way.tile, [&]<class Config>() {
      launch<Config>(derived.template kernel_of<Config>(), task, task.grid.count(), problem().sms,
                     queue());
    });
  }

  std::vector<Way> ways_;   // that are tried
  std::size_t chosen_ = 0;  // of them
};

// In a kernel: the block's place, and its shared memory from a multiple of the swizzle's atom on. A
// cluster's blocks start at the same address, so that one's place is the other's too.
template <class Config>
__device__ __forceinline__ Place place_of_thread() {
  return {static_cast<int>(threadIdx.x), static_cast<int>(blockIdx.x % Config::kBlocks),
          static_cast<int>(blockIdx.x / Config::kBlocks),
          static_cast<int>(gridDim.x / Config::kBlocks)};
}
__device__ __forceinline__ std::uint32_t aligned_shared(const void* window) {
  const auto start = static_cast<std::uint32_t>(__cvta_generic_to_shared(window));
  return Ptx::uniform(round_up(start, kAtomBytes));
}

}  // namespace trainmeter::hopper
