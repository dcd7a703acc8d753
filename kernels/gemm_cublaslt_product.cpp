// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Products by cuBLASLt: fp64, fp32, tf32, fp16, bf16, and fp8 with scales of tensors or of blocks.
// Accumulates in fp32 (fp64 in fp64; fp8 without "fast accumulation").
//
// cuBLAS is column-major. A row-major matrix is its own transpose in column-major, and (A B)^T =
// B^T A^T: so our B goes first.
#include "kernels/fastest.hpp"
#include "kernels/gemm_cublaslt_cuda.hpp"
#include "kernels/scaled_operand.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <utility>

namespace trainmeter::cublaslt {
namespace {

constexpr std::int64_t kWorkspaceBytes =
    64LL << 20;  // what cuBLAS recommends for Hopper is 32 MiB; more never hurts a choice

// Environment: the number of the one to take, from 0, and none is timed.
constexpr const char* kOneAlgorithm = "TRAINMETER_CUBLASLT_ALGORITHM";

struct Types {
  cudaDataType_t element;
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cudaDataType_t output;
};

Types types_of(DType type) {
  switch (type) {
    case DType::fp64:
      return {CUDA_R_64F, CUBLAS_COMPUTE_64F, CUDA_R_64F, CUDA_R_64F};
    case DType::fp32:  // pedantic: never TF32 in its place
      return {CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC, CUDA_R_32F, CUDA_R_32F};
    case DType::tf32:
      return {CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_32F, CUDA_R_32F};
    case DType::fp16:
      return {CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16F};
    case DType::bf16:
      return {CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16BF};
    case DType::fp8:
      return {CUDA_R_8F_E4M3, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16BF};
    default:
      throw Unavailable("cuBLASLt: " + std::string(to_string(type)) + " is not built in");
  }
}

#if CUBLAS_VERSION >= 120900
constexpr bool kHasBlockScales = true;

cublasLtMatmulMatrixScale_t scale_mode_of(ScaleBlock block) {
  switch (block) {
    case ScaleBlock::row:
      return CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;
    case ScaleBlock::square:
      return CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F;
    case ScaleBlock::tensor:
      break;
  }
  return CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
}
#else
constexpr bool kHasBlockScales = false;
#endif

}  // namespace

std::string why_not(const GemmProblem& p) {
  if (p.dtype == DType::fp8_e5m2 || p.dtype == DType::int8) {
    return "cuBLASLt: " + std::string(to_string(p.dtype)) + " is not built in";
  }
  const bool scaled = p.scaling != Scaling::none;
  if (scaled != (p.dtype == DType::fp8)) return "cuBLASLt: fp8 has scales, and nothing else does";
  if (scaled && p.layout != GemmLayout::nt) return "cuBLASLt: fp8 operands lie along k: layout nt";
  if (scaled && p.groups != 1) return "cuBLASLt: no batches of fp8 here";
  if (!kHasBlockScales && scaled && p.scaling != Scaling::tensor)
    return "cuBLASLt: built with a CUDA toolkit older than 12.9, which has no block scales";
  if (p.accumulate && p.dtype != DType::fp8 && p.dtype != DType::bf16)
    return "cuBLASLt: adds to C in fp32 from bf16 and fp8 here";
  if (p.fp32_out && p.dtype != DType::bf16) return "cuBLASLt: writes C in fp32 from bf16 here";
  if (p.groups > std::numeric_limits<std::int32_t>::max()) {
    return "cuBLASLt: the batch count is a 32-bit integer";
  }
  return "";
}

std::string why_not_here() {
  std::string reason = why_no_gpu();
  return reason.empty() ? cublaslt_library().why_not : reason;
}

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw std::runtime_error(std::string(what) + ": " + cublasLtGetStatusName(status));
  }
}

Session::Session(cudaStream_t stream, int sms)
    : stream_(stream), sms_(sms), workspace_(kWorkspaceBytes) {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate");
  handle_.reset(handle);
}

std::string to_string(const Algorithm& which) {
  constexpr std::pair<cublasLtMatmulAlgoConfigAttributes_t, const char*> kParts[] = {
      {CUBLASLT_ALGO_CONFIG_ID, "id"},
      {CUBLASLT_ALGO_CONFIG_TILE_ID, "tile"},
      {CUBLASLT_ALGO_CONFIG_STAGES_ID, "stages"},
      {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, "split-k"},
      {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, "reduction"},
      {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, "swizzle"},
      {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, "custom"}};
  std::string text;
  for (const auto& [attribute, name] : kParts) {
    std::int32_t value = 0;  // all of these are 32 bits wide
    std::size_t written = 0;
    check(cublasLtMatmulAlgoConfigGetAttribute(&which.algorithm, attribute, &value, sizeof value,
                                               &written),
          "cublasLtMatmulAlgoConfigGetAttribute");
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(value);
  }
  return text;
}

Product::Product(const Session& session, const GemmProblem& problem, std::uint32_t alignment)
    : session_(session), problem_(problem), alignment_(alignment) {
  describe();
}

// `groups` matrices, one after the other.
Product::MatrixLayout Product::matrix_layout(cudaDataType_t type, std::int64_t rows,
                                             std::int64_t columns, std::int64_t groups) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), rows),
        "cublasLtMatrixLayoutCreate");
  MatrixLayout owner(layout);
  if (groups == 1) return owner;
  const auto count = static_cast<std::int32_t>(groups);
  const std::int64_t stride = rows * columns;  // elements
  check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                         sizeof count),
        "BATCH_COUNT");
  check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                         &stride, sizeof stride),
        "STRIDED_BATCH_OFFSET");
  return owner;
}

template <class T>
void Product::set(cublasLtMatmulDescAttributes_t attribute, const T& value, const char* name) {
  check(cublasLtMatmulDescSetAttribute(descriptor_.get(), attribute, &value, sizeof value), name);
}

void Product::describe() {
  const GemmProblem& p = problem_;
  const Types types = types_of(p.dtype);
  cublasLtMatmulDesc_t descriptor = nullptr;
  check(cublasLtMatmulDescCreate(&descriptor, types.compute, types.scale),
        "cublasLtMatmulDescCreate");
  descriptor_.reset(descriptor);
  const cublasOperation_t first = p.layout == GemmLayout::nt ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = p.layout == GemmLayout::tn ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(CUBLASLT_MATMUL_DESC_TRANSA, first, "TRANSA");
  set(CUBLASLT_MATMUL_DESC_TRANSB, second, "TRANSB");
  // Else it chooses, and sizes a persistent grid, for SMs that aren't there.
  if (session_.sms() > 0)
    set(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, std::int32_t{session_.sms()}, "SM_COUNT_TARGET");
#if CUBLAS_VERSION >= 120900         // before, a scale was a tensor's
  if (p.scaling != Scaling::none) {  // cuBLAS's A is our B
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, scale_mode_of(scale_block_of_b(p)), "A_SCALE_MODE");
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, scale_mode_of(scale_block_of_a(p)), "B_SCALE_MODE");
  }
#endif
  // Stored row-major r x c is column-major c x r.
  b_layout_ = p.layout == GemmLayout::nt ? matrix_layout(types.element, p.k, p.n, p.groups)
                                         : matrix_layout(types.element, p.n, p.k, p.groups);
  a_layout_ = p.layout == GemmLayout::tn ? matrix_layout(types.element, p.m, p.k, p.groups)
                                         : matrix_layout(types.element, p.k, p.m, p.groups);
  c_layout_ = matrix_layout(has_fp32_output(p) ? CUDA_R_32F : types.output, p.n, p.m, p.groups);
}

void Product::point_to_scales(const Operands& at) {
  if (problem_.scaling == Scaling::none) return;
  set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, at.scales_b, "A_SCALE_POINTER");
  set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, at.scales_a, "B_SCALE_POINTER");
}

cublasStatus_t Product::launch(const Algorithm& which, const Operands& at) {
  const double one_double = 1;
  const double zero_double = 0;
  const float one_float = 1;
  const bool wide = problem_.dtype == DType::fp64;
  const void* alpha = wide ? static_cast<const void*>(&one_double) : &one_float;
  const float beta_float = problem_.accumulate ? 1 : 0;
  const void* beta = wide ? static_cast<const void*>(&zero_double) : &beta_float;
  point_to_scales(at);
  return cublasLtMatmul(session_.handle(), descriptor_.get(), alpha, at.b, b_layout_.get(), at.a,
                        a_layout_.get(), beta, at.c, c_layout_.get(), at.c, c_layout_.get(),
                        &which.algorithm, session_.workspace(), session_.workspace_bytes(),
                        session_.stream());
}

Product::Preference Product::preference() const {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  Preference owner(made);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{session_.workspace_bytes()});
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(operand, alignment_);
  }
  return owner;
}

std::vector<Algorithm> Product::proposed(const Operands& at, int most) {
  point_to_scales(at);  // the heuristic asks whether there are any
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      session_.handle(), descriptor_.get(), b_layout_.get(), a_layout_.get(), c_layout_.get(),
      c_layout_.get(), preference().get(), most, found.data(), &count);
  std::vector<Algorithm> candidates;
  if (status == CUBLAS_STATUS_SUCCESS) {
    for (int i = 0; i < count; ++i) {
      const cublasLtMatmulHeuristicResult_t& result = found[static_cast<std::size_t>(i)];
      if (result.state != CUBLAS_STATUS_SUCCESS) continue;
      const Algorithm candidate{.algorithm = result.algo, .rank = i + 1};
      // The launch loads the kernel, which must not happen behind the timer's hold.
      if (launch(candidate, at) == CUBLAS_STATUS_SUCCESS) candidates.push_back(candidate);
    }
  }
  cuda_check(cudaStreamSynchronize(session_.stream()), "cudaStreamSynchronize");
  if (candidates.empty()) {
    const GemmProblem& p = problem_;
    throw Unavailable("cuBLASLt: no algorithm for " + std::string(to_string(p.dtype)) + " " +
                      std::string(to_string(p.layout)) + " of " + std::to_string(p.m) + " x " +
                      std::to_string(p.n) + " x " + std::to_string(p.k));
  }
  return candidates;
}

Algorithm Product::fastest(const std::function<Operands(int set)>& operands, int sets, int most) {
  const std::vector<Algorithm> candidates = proposed(operands(0), most);
  Algorithm best = candidates.front();
  if (const char* const asked = std::getenv(kOneAlgorithm); asked != nullptr) {
    const std::size_t which = std::strtoul(asked, nullptr, 10);
    if (which >= candidates.size())
      throw Unavailable("cuBLASLt: no algorithm " + std::string(asked) + " of " +
                        std::to_string(candidates.size()));
    best = candidates[which];
  } else if (candidates.size() > 1) {
    best = candidates[fastest_of(
        session_.stream(), candidates.size(),
        [&](std::size_t i, int trial) {
          check(launch(candidates[i], operands(trial % sets)), "cublasLtMatmul");
        },
        kLaunches)];
  }
  best.tried = static_cast<int>(candidates.size());
  return best;
}

}  // namespace trainmeter::cublaslt
