// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM of bf16 and fp16 on the tensor cores of compute capability 8.0 and newer: what every GPU has
// of our own, and the middle of the ladder on Hopper.
//
// A block of four warps computes 128 x 128 of C, each warp 64 x 64 in registers. Copies that no
// register sees (cp.async) fill a ring of stages ahead of the products; what lies outside an
// operand arrives as zeros. mma_layout.hpp says how a stage lies in shared memory.
#include "kernels/backends.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/mma_layout.hpp"
#include "kernels/mma_ptx.cuh"
#include "kernels/rounding.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

namespace trainmeter {
namespace {

using namespace mma;

constexpr int kWarpTile = 64;
constexpr int kThreads = 32 * (kTile / kWarpTile) * (kTile / kWarpTile);
constexpr int kStages = 4;
constexpr int kChunkBytes = 16;
constexpr int kOperandBytes = kTileChunks * kChunkBytes;
constexpr int kSharedBytes = kStages * 2 * kOperandBytes;
constexpr int kBlocksOfSm = 2;
static_assert(kBlocksOfSm * (kSharedBytes + 1024) <= 164 << 10, "of compute capability 8.0");
static_assert(kTileChunks % kThreads == 0);

struct MmaTask {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  int m = 0, n = 0, k = 0;
  TileGrid grid;
};

__device__ __forceinline__ __half2 pair_of(float x, float y, __half /*type*/) {
  return __floats2half2_rn(x, y);
}
__device__ __forceinline__ __nv_bfloat162 pair_of(float x, float y, __nv_bfloat16 /*type*/) {
  return __floats2bfloat162_rn(x, y);
}

// Of one operand: copies 128 x 32 of it from (first, k) on into a stage. `others` is its number of
// rows (A) or columns (B).
template <class T, Along kAlong>
__device__ __forceinline__ void copy_tile(std::uint32_t stage, const T* data, int first, int k,
                                          int others, int depth) {
  constexpr bool kAlongK = kAlong == Along::k;
  constexpr int kLine = chunks_of_line(kAlong);
  const int lines = kAlongK ? others : depth;  // of the whole operand
  const int length = kAlongK ? depth : others;
#pragma unroll
  for (int i = 0; i < kTileChunks / kThreads; ++i) {
    const int index = i * kThreads + static_cast<int>(threadIdx.x);
    const ChunkAt at{index / kLine, index % kLine};
    const int line = (kAlongK ? first : k) + at.line;
    const int element = (kAlongK ? k : first) + at.chunk * kChunk;
    const bool inside = line < lines && element < length;
    const T* from = inside ? data + static_cast<std::int64_t>(line) * length + element : data;
    Ptx::copy_chunk(stage + place_of(kAlong, at) * kChunkBytes, from, inside);
  }
}

template <class T, GemmLayout kLayout>
__global__ void __launch_bounds__(kThreads, kBlocksOfSm) gemm_mma(MmaTask task) {
#if __CUDA_ARCH__ >= 800
  constexpr Along kAlongA = kLayout == GemmLayout::tn ? Along::other : Along::k;
  constexpr Along kAlongB = kLayout == GemmLayout::nt ? Along::k : Along::other;
  extern __shared__ __align__(128) char stages[];
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(stages));
  const TileAt tile = tile_at(task.grid, static_cast<int>(blockIdx.x));
  const std::int64_t m = task.m, n = task.n, k = task.k;
  const T* a = static_cast<const T*>(task.a) + tile.group * m * k;
  const T* b = static_cast<const T*>(task.b) + tile.group * n * k;
  const int first_row = tile.row * kTile;
  const int first_column = tile.column * kTile;
  const auto stage_of = [&](int step) { return shared + step % kStages * 2 * kOperandBytes; };
  const auto copy_step = [&](int step) {
    copy_tile<T, kAlongA>(stage_of(step), a, first_row, step * kStepK, task.m, task.k);
    copy_tile<T, kAlongB>(stage_of(step) + kOperandBytes, b, first_column, step * kStepK, task.n,
                          task.k);
  };

  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / 2 * kWarpTile;
  const int warp_column = warp % 2 * kWarpTile;
  float sums[kWarpTile / 16][kWarpTile / 8][4] = {};

  const int steps = ceil_div(task.k, kStepK);
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) copy_step(step);
    Ptx::end_group();  // an empty one too, so that the number of those under way is always the same
  }
  for (int step = 0; step < steps; ++step) {
    Ptx::wait_for_groups<kStages - 2>();
    __syncthreads();  // the stage is there for all, and the one before it is done with
    if (step + kStages - 1 < steps) copy_step(step + kStages - 1);
    Ptx::end_group();
    const std::uint32_t stage_a = stage_of(step);
    const std::uint32_t stage_b = stage_a + kOperandBytes;
#pragma unroll
    for (int depth = 0; depth < kStepK; depth += 16) {
      std::uint32_t of_a[kWarpTile / 16][4];
      std::uint32_t of_b[kWarpTile / 16][4];
#pragma unroll
      for (int i = 0; i < kWarpTile / 16; ++i) {
        const ChunkAt at_a = chunk_for_lane(Side::a, kAlongA, lane, warp_row + 16 * i, depth);
        Ptx::load_matrices<kAlongA != Along::k>(of_a[i],
                                                stage_a + place_of(kAlongA, at_a) * kChunkBytes);
        const ChunkAt at_b = chunk_for_lane(Side::b, kAlongB, lane, warp_column + 16 * i, depth);
        Ptx::load_matrices<kAlongB != Along::k>(of_b[i],
                                                stage_b + place_of(kAlongB, at_b) * kChunkBytes);
      }
#pragma unroll
      for (int i = 0; i < kWarpTile / 16; ++i) {
#pragma unroll
        for (int j = 0; j < kWarpTile / 8; ++j) {
          Ptx::multiply_add<T>(sums[i][j], of_a[i], of_b[j / 2][j % 2 * 2],
                               of_b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
  }

  T* c = static_cast<T*>(task.c) + tile.group * m * n;
#pragma unroll
  for (int i = 0; i < kWarpTile / 16; ++i) {
#pragma unroll
    for (int j = 0; j < kWarpTile / 8; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const SumAt at = sum_of_lane(lane, half);
        const int row = first_row + warp_row + 16 * i + at.row;
        const int column = first_column + warp_column + 8 * j + at.column;
        if (row >= task.m || column >= task.n) continue;
        T* to = c + row * n + column;
        const auto pair = pair_of(sums[i][j][2 * half], sums[i][j][2 * half + 1], T{});
        if (n % 2 == 0) {  // then pairs are whole and aligned
          *reinterpret_cast<std::remove_const_t<decltype(pair)>*>(to) = pair;
        } else {
          to[0] = pair.x;
          if (column + 1 < task.n) to[1] = pair.y;
        }
      }
    }
  }
#endif
}

class MmaGemm final : public DeviceGemm {
 public:
  MmaGemm(const GemmProblem& problem, const OperandOptions& options)
      : DeviceGemm(problem, options) {
    with_kernel([](auto kernel) {
      cuda_check(
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes),
          "cudaFuncSetAttribute");
    });
  }

  void run(int set) override {
    const GemmProblem& p = problem();
    const MmaTask task{.a = a(set),
                       .b = b(set),
                       .c = c(set),
                       .m = static_cast<int>(p.m),
                       .n = static_cast<int>(p.n),
                       .k = static_cast<int>(p.k),
                       .grid = grid_of(p)};
    with_kernel([&](auto kernel) {
      kernel<<<static_cast<unsigned>(task.grid.count()), kThreads, kSharedBytes, queue()>>>(task);
    });
    cuda_check(cudaGetLastError(), "gemm_mma");
  }

  [[nodiscard]] int launches() const override { return 1; }

 private:
  static TileGrid grid_of(const GemmProblem& p) {
    return {static_cast<int>(ceil_div(p.m, kTile)), static_cast<int>(ceil_div(p.n, kTile)),
            static_cast<int>(p.groups)};
  }

  template <class T, class F>
  void with_layout(F f) const {
    switch (problem().layout) {
      case GemmLayout::nt:
        return f(gemm_mma<T, GemmLayout::nt>);
      case GemmLayout::nn:
        return f(gemm_mma<T, GemmLayout::nn>);
      case GemmLayout::tn:
        return f(gemm_mma<T, GemmLayout::tn>);
    }
  }
  template <class F>
  void with_kernel(F f) const {
    problem().dtype == DType::fp16 ? with_layout<__half>(f) : with_layout<__nv_bfloat16>(f);
  }
};

std::string why_not(const GemmProblem& p) {
  if (p.dtype != DType::bf16 && p.dtype != DType::fp16)
    return "mma: multiplies bf16 and fp16, not " + std::string(to_string(p.dtype));
  if (std::string reason = why_not_plain("mma", p); !reason.empty()) return reason;
  // Copies are of 8 elements that are contiguous in memory.
  const auto whole = [&](const char* name, std::int64_t size) {
    return size % kChunk == 0
               ? ""
               : std::string("mma: copies are of 16 bytes: ") + name +
                     " is a multiple of 8 in layout " + std::string(to_string(p.layout));
  };
  if (p.layout != GemmLayout::tn) {
    if (std::string reason = whole("k", p.k); !reason.empty()) return reason;
  } else if (std::string reason = whole("m", p.m); !reason.empty()) {
    return reason;
  }
  if (p.layout != GemmLayout::nt) {
    if (std::string reason = whole("n", p.n); !reason.empty()) return reason;
  }
  constexpr double kMost = std::numeric_limits<std::int32_t>::max() - kTile;
  const auto tiles = [](std::int64_t size) { return static_cast<double>(size) / kTile + 1; };
  for (const double size :
       {static_cast<double>(p.m), static_cast<double>(p.n), static_cast<double>(p.k),
        tiles(p.m) * tiles(p.n) * static_cast<double>(p.groups)}) {
    if (size > kMost) return "mma: sizes and the number of tiles are below 2^31";
  }
  if (std::string reason = why_no_gpu(); !reason.empty()) return reason;
  return device_attribute(cudaDevAttrComputeCapabilityMajor) >= 8
             ? ""
             : "mma: needs a GPU of compute capability 8.0";
}

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  (void)gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<MmaGemm>(problem, options);
}

}  // namespace

GemmBackend mma_gemm_backend() {
  return {"mma", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
