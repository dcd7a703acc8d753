// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by our own kernels for Hopper, bf16: tensor maps, the choice of a tile, the launch. The
// algorithm is in gemm_hopper_kernel.hpp.
#include "kernels/backends.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/hopper_ptx.cuh"

#include <cudaTypedefs.h>

#include <algorithm>
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
  const auto start = static_cast<std::uint32_t>(__cvta_generic_to_shared(window));
  // A cluster's blocks start at the same address, so that one's place is the other's too.
  const std::uint32_t shared = (start + kAtomBytes - 1) / kAtomBytes * kAtomBytes;
  constexpr int kBlocks = Config::kBlocks;
  GemmKernel<Config, Ptx>{
      task,
      shared,
      {static_cast<int>(threadIdx.x), static_cast<int>(blockIdx.x % kBlocks),
       static_cast<int>(blockIdx.x / kBlocks), static_cast<int>(gridDim.x / kBlocks)}}
      .run();
#endif
}

// The driver's function by way of the runtime: no program of ours links the driver.
PFN_cuTensorMapEncodeTiled_v12000 encode_function() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  cuda_check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                              cudaEnableDefault, &result),
             "cudaGetDriverEntryPointByVersion");
  if (result != cudaDriverEntryPointSuccess)
    throw Unavailable("hopper: the driver has no cuTensorMapEncodeTiled (CUDA 12.0)");
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
}

// Row-major matrices of rows x columns bf16, one after the other, as TMA sees them. A box is a
// swizzled tile of 64 columns and `box_rows` rows.
CUtensorMap map_of(void* data, std::int64_t columns, std::int64_t rows, std::int64_t groups,
                   int box_rows) {
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = encode_function();
  const auto row_bytes = static_cast<cuuint64_t>(columns) * 2;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows),
                              static_cast<cuuint64_t>(groups)};
  const cuuint64_t strides[] = {row_bytes, row_bytes * static_cast<cuuint64_t>(rows)};
  const cuuint32_t box[] = {kRowBytes / 2, static_cast<cuuint32_t>(box_rows), 1};
  const cuuint32_t steps[] = {1, 1, 1};
  CUtensorMap map;
  const CUresult code =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, data, sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS)
    throw std::runtime_error("cuTensorMapEncodeTiled: error " + std::to_string(code));
  return map;
}

int sms_of_device() {
  int device = 0;
  int sms = 0;
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device),
             "cudaDeviceGetAttribute");
  return sms;
}

// Clusters of this launch that run at once. Fewer than the SMs would hold, where a group of SMs
// that a cluster must lie in has an odd number of them: one that came later would double the time.
int clusters_at_once(void (*kernel)(Task), const cudaLaunchConfig_t& how) {
  int clusters = 0;
  cuda_check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &how),
             "cudaOccupancyMaxActiveClusters");
  return std::max(clusters, 1);
}

template <class Config>
void launch(const Task& task, cudaStream_t stream) {
  const auto kernel = gemm_hopper_bf16<Config>;
  static const cudaError_t prepared = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSharedAsked);
  cuda_check(prepared, "cudaFuncSetAttribute");
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(Config::kBlocks), 1, 1};
  cudaLaunchConfig_t how{};
  how.gridDim = static_cast<unsigned>(Config::kBlocks);
  how.blockDim = static_cast<unsigned>(Config::kThreads);
  how.dynamicSmemBytes = Config::kSharedAsked;
  how.stream = stream;
  how.attrs = &cluster;
  how.numAttrs = 1;
  static const int at_once = clusters_at_once(kernel, how);
  how.gridDim.x *= static_cast<unsigned>(std::min(task.grid.count(), at_once));
  cuda_check(cudaLaunchKernelEx(&how, kernel, task), "gemm_hopper_bf16");
}

class HopperGemm final : public DeviceGemm {
 public:
  HopperGemm(const GemmProblem& problem, const OperandOptions& options)
      : DeviceGemm(problem, options), tile_(tile_for(problem, sms_of_device())) {
    with_config([&]<class Config>() {
      for (int set = 0; set < sets(); ++set) tasks_.push_back(task_of<Config>(set));
    });
  }

  void run(int set) override {
    with_config(
        [&]<class Config>() { launch<Config>(tasks_[static_cast<std::size_t>(set)], queue()); });
  }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    const TileShape& t = kTileShapes[tile_];
    return {{"tile", std::to_string(t.rows) + " x " + std::to_string(t.columns) + ", clusters of " +
                         std::to_string(t.blocks)}};
  }

 private:
  template <std::size_t kTile, class F>
  void with_layout(F f) const {
    constexpr TileShape t = kTileShapes[kTile];
    switch (problem().layout) {
      case Layout::nt:
        return f
            .template operator()<GemmConfig<t.rows, t.columns, t.blocks, t.stages, Layout::nt>>();
      case Layout::nn:
        return f
            .template operator()<GemmConfig<t.rows, t.columns, t.blocks, t.stages, Layout::nn>>();
      case Layout::tn:
        return f
            .template operator()<GemmConfig<t.rows, t.columns, t.blocks, t.stages, Layout::tn>>();
    }
  }

  template <class F>
  void with_config(F f) const {
    switch (tile_) {
      case 0:
        return with_layout<0>(f);
      case 1:
        return with_layout<1>(f);
      case 2:
        return with_layout<2>(f);
      default:
        return with_layout<3>(f);
    }
  }

  template <class Config>
  Task task_of(int set) const {
    const GemmProblem& p = problem();
    const auto operand = [&](void* data, Major major, std::int64_t other, int box_rows) {
      return major == Major::k ? map_of(data, p.k, other, p.groups, box_rows)
                               : map_of(data, other, p.k, p.groups, 64);
    };
    return {.a = operand(a(set), Config::kMajorA, p.m, Config::kBoxRowsA),
            .b = operand(b(set), Config::kMajorB, p.n, Config::kBoxRowsB),
            .c = map_of(c(set), p.n, p.m, p.groups, 64),
            .grid = grid_of<Config>(static_cast<int>(p.m), static_cast<int>(p.n),
                                    static_cast<int>(p.groups)),
            .k_steps = static_cast<int>((p.k + kStepK - 1) / kStepK)};
  }

  std::size_t tile_;
  std::vector<Task> tasks_;  // one a set
};

static_assert(kTileShapes.size() == 4, "with_config() names each");

std::string why_not(const GemmProblem& problem) {
  if (std::string reason = why_no_maps(problem); !reason.empty()) return reason;
  if (std::string reason = why_no_gpu(); !reason.empty()) return reason;
  int device = 0;
  cudaDeviceProp properties{};
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  if (properties.major != 9 || properties.minor != 0)
    return "hopper: needs a GPU of compute capability 9.0";
  return "";
}

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  (void)gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<HopperGemm>(problem, options);
}

}  // namespace

GemmBackend hopper_gemm_backend() {
  return {"hopper", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
