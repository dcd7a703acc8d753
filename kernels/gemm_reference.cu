// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM as its definition reads: a thread for each element of C, a loop over k, a sum in fp64,
// rounded once. What the fast kernels are compared with, and the bottom of their ladder.
#include "kernels/backends.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_grouped_cuda.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <limits>
#include <type_traits>

namespace trainmeter {
namespace {

constexpr int kThreads = 256;

// Rows of A, or columns of B: element k of row i is data[i * step + k * step_k]. In fp8, times
// scales[i / scale_rows * scale_step + k / 128 * scale_step_k].
struct Operand {
  const void* data = nullptr;
  std::int64_t step = 0, step_k = 0;
  const float* scales = nullptr;
  std::int64_t scale_rows = 1, scale_step = 0, scale_step_k = 0;
};

template <class T>
__device__ double value_of(const Operand& operand, std::int64_t i, std::int64_t k) {
  const T element = static_cast<const T*>(operand.data)[i * operand.step + k * operand.step_k];
  if constexpr (std::is_same_v<T, double> || std::is_same_v<T, float>) {
    return element;
  } else if constexpr (std::is_same_v<T, __nv_fp8_e4m3>) {
    const double scale = operand.scales[i / operand.scale_rows * operand.scale_step +
                                        k / kCastBlock * operand.scale_step_k];
    return static_cast<double>(static_cast<float>(element)) * scale;
  } else {
    return static_cast<float>(element);
  }
}

__device__ void store(double sum, double& c) {
  c = sum;
}
__device__ void store(double sum, float& c) {
  c = static_cast<float>(sum);
}
__device__ void store(double sum, __half& c) {
  c = __double2half(sum);
}
__device__ void store(double sum, __nv_bfloat16& c) {
  c = __double2bfloat16(sum);
}

// C[m, n], or C += where it is added to.
template <class T, class Out, bool kAdds>
__global__ void gemm_reference(Operand a, Operand b, Out* c, std::int64_t m, std::int64_t n,
                               std::int64_t k) {
  const std::int64_t index = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= m * n) return;
  const std::int64_t row = index / n;
  const std::int64_t column = index % n;
  double sum = 0;
  for (std::int64_t i = 0; i < k; ++i) sum += value_of<T>(a, row, i) * value_of<T>(b, column, i);
  if constexpr (kAdds) sum += static_cast<double>(c[index]);
  store(sum, c[index]);
}

void give_scales(Operand& operand, const float* scales, ScaleBlock block, std::int64_t rows,
                 std::int64_t k) {
  operand.scales = scales;
  operand.scale_rows = block == ScaleBlock::square ? kCastBlock : 1;
  operand.scale_step = scale_index(block, rows, k, operand.scale_rows, 0);
  operand.scale_step_k = scale_index(block, rows, k, 0, kCastBlock);
}

// Where operands lie along k, `row` elements from one row to the next.
Operand operand_of_a(const GemmProblem& p, const void* a, std::int64_t row) {
  const bool stored_k_by_m = p.layout == GemmLayout::tn;
  return {.data = a, .step = stored_k_by_m ? 1 : row, .step_k = stored_k_by_m ? p.m : 1};
}
Operand operand_of_b(const GemmProblem& p, const void* b, std::int64_t row) {
  const bool stored_n_by_k = p.layout == GemmLayout::nt;
  return {.data = b, .step = stored_n_by_k ? row : 1, .step_k = stored_n_by_k ? 1 : p.n};
}

void launch(const GemmProblem& p, const Operand& a, const Operand& b, void* c,
            cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(p.m * p.n, kThreads));
  const auto start = [&]<class T, class Out, bool kAdds = false>() {
    gemm_reference<T, Out, kAdds>
        <<<blocks, kThreads, 0, stream>>>(a, b, static_cast<Out*>(c), p.m, p.n, p.k);
  };
  switch (p.dtype) {
    case DType::fp64:
      start.template operator()<double, double>();
      break;
    case DType::fp16:
      start.template operator()<__half, __half>();
      break;
    case DType::bf16:
      p.accumulate ? start.template operator()<__nv_bfloat16, float, true>()
      : p.fp32_out ? start.template operator()<__nv_bfloat16, float>()
                   : start.template operator()<__nv_bfloat16, __nv_bfloat16>();
      break;
    case DType::fp8:
      p.accumulate ? start.template operator()<__nv_fp8_e4m3, float, true>()
                   : start.template operator()<__nv_fp8_e4m3, __nv_bfloat16>();
      break;
    default:  // operands in tf32 are numbers of fp32
      start.template operator()<float, float>();
  }
  cuda_check(cudaGetLastError(), "gemm_reference");
}

std::string why_not(const GemmProblem& p) {
  if (p.dtype == DType::int8 || p.dtype == DType::fp8_e5m2)
    return "reference: multiplies no " + std::string(to_string(p.dtype));
  if ((p.dtype == DType::fp8) != (p.scaling != Scaling::none))
    return "reference: fp8 has scales, and nothing else does";
  if (p.scaling != Scaling::none && p.layout != GemmLayout::nt)
    return "reference: fp8 operands lie along k: layout nt";
  if (p.scaling != Scaling::none && p.groups != 1) return "reference: fp8 has no batches";
  if (p.accumulate && p.dtype != DType::bf16 && p.dtype != DType::fp8)
    return "reference: adds to C from bf16 and fp8";
  if (p.fp32_out && p.dtype != DType::bf16) return "reference: writes C in fp32 from bf16";
  if (p.sms > 0) return "reference: takes all of the GPU";
  constexpr auto kMost = double{std::numeric_limits<std::int32_t>::max()} * kThreads;
  if (static_cast<double>(p.m) * static_cast<double>(p.n) > kMost)
    return "reference: C has at most 2^31 x 256 elements";
  return why_no_gpu();
}

class ReferenceGemm final : public DeviceGemm {
 public:
  using DeviceGemm::DeviceGemm;

  void run(int set) override {
    const GemmProblem& p = problem();
    const auto after = [](void* data, std::int64_t elements, std::int64_t size) {
      return static_cast<std::byte*>(data) + elements * size;
    };
    for (std::int64_t group = 0; group < p.groups; ++group) {
      const std::int64_t size = size_of(p.dtype);
      Operand of_a = operand_of_a(p, after(a(set), group * p.m * p.k, size), p.k);
      Operand of_b = operand_of_b(p, after(b(set), group * p.k * p.n, size), p.k);
      if (p.scaling != Scaling::none) {
        give_scales(of_a, scales_a(set), scale_block_of_a(p), p.m, p.k);
        give_scales(of_b, scales_b(set), scale_block_of_b(p), p.n, p.k);
      }
      launch(p, of_a, of_b, after(c(set), group * p.m * p.n, output_size_of(p)), queue());
    }
  }

  [[nodiscard]] int launches() const override { return static_cast<int>(problem().groups); }
};

class ReferenceGroupedGemm final : public DeviceGroupedGemm {
 public:
  using DeviceGroupedGemm::DeviceGroupedGemm;

  void run(int set) override {
    for (std::size_t group = 0; group < problem().sizes.size(); ++group) {
      if (problem().sizes[group] == 0) continue;
      const GemmProblem p = problem_of_group(problem(), group);
      const GroupOperands at = operands(set, group);
      Operand of_a = operand_of_a(p, at.a, place(group).row);
      Operand of_b = operand_of_b(p, at.b, place(group).row);
      if (p.scaling != Scaling::none) {
        give_scales(of_a, at.scales_a, scale_block_of_a(p), p.m, p.k);
        of_a.scale_step_k = place(group).scales_row;
        give_scales(of_b, at.scales_b, scale_block_of_b(p), p.n, p.k);
      }
      launch(p, of_a, of_b, at.c, queue());
    }
  }

  [[nodiscard]] int launches() const override { return groups_at_work(); }
};

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  (void)gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<ReferenceGemm>(problem, options);
}

std::string why_no_groups(const GroupedGemmProblem& problem) {
  if (problem.all.groups != 1) return "reference: groups have no batches";
  if (problem.all.scaling == Scaling::tensor) return "reference: groups have scales of blocks";
  return why_not(problem.all);
}

std::unique_ptr<Operation> make_groups(const GroupedGemmProblem& problem,
                                       const OperandOptions& options) {
  if (const std::string reason = why_no_groups(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<ReferenceGroupedGemm>(problem, options);
}

}  // namespace

GemmBackend reference_gemm_backend() {
  return {"reference", DeviceKind::gpu, why_not, make, true};
}

GroupedGemmBackend reference_grouped_gemm_backend() {
  return {"reference", DeviceKind::gpu, why_no_groups, make_groups, true};
}

}  // namespace trainmeter
