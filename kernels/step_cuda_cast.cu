// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Chooses and launches a step's casts to fp8.
#include "kernels/cuda_support.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_array_order.hpp"
#include "kernels/step_cuda_cast.cuh"
#include "kernels/step_cuda_cast.hpp"

namespace trainmeter::step_cuda {
namespace {

constexpr std::int64_t kMostTileRows = 65535;  // of a grid, in y

bool has_tiles(StepKernel kernel) {
  return kernel != StepKernel::cast_fp8;
}

dim3 tiles_of(const StepProblem& p) {
  return {static_cast<unsigned>(cast_blocks(p.cols)), static_cast<unsigned>(cast_blocks(p.rows))};
}

template <class V>
V* as(void* array) {
  return static_cast<V*>(array);
}

// Of x's and q's rows, in packs of 16 bytes of x.
template <class T>
bool rows_aligned(const StepProblem& p) {
  return p.cols % (16 / static_cast<std::int64_t>(sizeof(T))) == 0;
}

bool columns_aligned(const StepProblem& p) {
  return p.rows % 16 == 0;
}

template <class T>
auto* transpose_of(const StepProblem& p) {
  return rows_aligned<T>(p) ? (columns_aligned(p) ? cast_fp8_transpose<T, true, true>
                                                  : cast_fp8_transpose<T, true, false>)
                            : (columns_aligned(p) ? cast_fp8_transpose<T, false, true>
                                                  : cast_fp8_transpose<T, false, false>);
}

template <class T>
void launch(const StepProblem& p, const CastArrays& a, cudaStream_t stream) {
  const auto rows = static_cast<int>(p.rows);
  const auto cols = static_cast<int>(p.cols);
  const bool aligned = rows_aligned<T>(p);
  if (p.kernel == StepKernel::cast_fp8_transpose) {
    using A = arrays::CastFp8Transpose;
    transpose_of<T>(p)<<<tiles_of(p), 2 * kCastBlock, kTileBytes<T>, stream>>>(
        as<std::uint8_t>(a[A::q]), as<float>(a[A::s]), as<std::uint8_t>(a[A::q_t]),
        as<float>(a[A::s_t]), as<const T>(a[A::x]), rows, cols);
  } else if (p.kernel == StepKernel::cast_fp8_block) {
    using A = arrays::CastFp8Block;
    const auto kernel = aligned ? cast_fp8_block<T, true> : cast_fp8_block<T, false>;
    kernel<<<tiles_of(p), kFlatThreads, 0, stream>>>(as<std::uint8_t>(a[A::q]), as<float>(a[A::s]),
                                                     as<const T>(a[A::x]), rows, cols);
  } else {
    using A = arrays::CastFp8;
    const std::int64_t threads = p.rows * cast_blocks(p.cols) * kLanes<T>;
    const auto blocks = static_cast<unsigned>(ceil_div(threads, kFlatThreads));
    const auto kernel = aligned ? cast_fp8<T, true> : cast_fp8<T, false>;
    kernel<<<blocks, kFlatThreads, 0, stream>>>(as<std::uint8_t>(a[A::q]), as<float>(a[A::s]),
                                                as<const T>(a[A::x]), p.rows, cols);
  }
}

void launch_recast(const StepProblem& p, const CastArrays& a, cudaStream_t stream) {
  using A = arrays::RecastFp8;
  const auto kernel =
      rows_aligned<std::uint8_t>(p)
          ? (columns_aligned(p) ? recast_fp8<true, true> : recast_fp8<true, false>)
          : (columns_aligned(p) ? recast_fp8<false, true> : recast_fp8<false, false>);
  kernel<<<tiles_of(p), 2 * kCastBlock, 0, stream>>>(
      as<std::uint8_t>(a[A::q_t]), as<float>(a[A::s_t]), as<const std::uint8_t>(a[A::q]),
      as<const float>(a[A::s]), static_cast<int>(p.rows), static_cast<int>(p.cols));
}

template <class T>
void prepare_transpose(const StepProblem& p) {
  cuda_check(cudaFuncSetAttribute(transpose_of<T>(p), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  kTileBytes<T>),
             "shared memory of a tile");
}

}  // namespace

bool is_cast(StepKernel kernel) {
  return kernel == StepKernel::cast_fp8 || kernel == StepKernel::cast_fp8_transpose ||
         kernel == StepKernel::cast_fp8_block || kernel == StepKernel::recast_fp8;
}

std::string why_not_cast(const StepProblem& problem) {
  if (!has_tiles(problem.kernel) || cast_blocks(problem.rows) <= kMostTileRows) return "";
  return "CUDA: " + std::string(to_string(problem.kernel)) + " takes at most " +
         std::to_string(kMostTileRows * kCastBlock) + " rows";
}

void prepare_cast(const StepProblem& problem) {
  if (problem.kernel != StepKernel::cast_fp8_transpose) return;
  problem.dtype == DType::bf16 ? prepare_transpose<Bf16>(problem)
                               : prepare_transpose<float>(problem);
}

void launch_cast(const StepProblem& problem, const CastArrays& arrays, cudaStream_t stream) {
  if (problem.kernel == StepKernel::recast_fp8) return launch_recast(problem, arrays, stream);
  problem.dtype == DType::bf16 ? launch<Bf16>(problem, arrays, stream)
                               : launch<float>(problem, arrays, stream);
}

}  // namespace trainmeter::step_cuda
