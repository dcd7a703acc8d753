// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by cuBLASLt: fp64, fp32, tf32, fp16, bf16, and fp8 with scales of tensors or of blocks.
// Accumulates in fp32 (fp64 in fp64; fp8 without "fast accumulation").
//
// cuBLAS is column-major. A row-major matrix is its own transpose in column-major, and (A B)^T =
// B^T A^T: so our B goes first.
#include "kernels/backends.hpp"
#include "kernels/fastest.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_operands.hpp"

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kWorkspaceBytes =
    64LL << 20;  // what cuBLAS recommends for Hopper is 32 MiB; more never hurts a choice
constexpr int kCandidates = 64;   // algorithms that the heuristic may propose and we time
constexpr int kKernelsOfOne = 4;  // launches of one GEMM at most: split-K adds a reduction

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw std::runtime_error(std::string(what) + ": " + cublasLtGetStatusName(status));
  }
}

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

std::string why_not(const GemmProblem& p) {
  if (p.dtype == DType::fp8_e5m2 || p.dtype == DType::int8) {
    return "cuBLASLt: " + std::string(to_string(p.dtype)) + " is not built in";
  }
  const bool scaled = p.scaling != Scaling::none;
  if (scaled != (p.dtype == DType::fp8)) return "cuBLASLt: fp8 has scales, and nothing else does";
  if (scaled && p.layout != Layout::nt) return "cuBLASLt: fp8 operands lie along k: layout nt";
  if (scaled && p.groups != 1) return "cuBLASLt: no batches of fp8 here";
  if (p.accumulate && p.dtype != DType::fp8 && p.dtype != DType::bf16)
    return "cuBLASLt: adds to C in fp32 from bf16 and fp8 here";
  if (p.sms > 0) return "cuBLASLt: takes all of the GPU";
  if (p.groups > std::numeric_limits<std::int32_t>::max()) {
    return "cuBLASLt: the batch count is a 32-bit integer";
  }
  return why_no_gpu();
}

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

struct HandleDeleter {
  void operator()(cublasLtContext* handle) const { (void)cublasLtDestroy(handle); }
};
struct DescriptorDeleter {
  void operator()(cublasLtMatmulDescOpaque_t* d) const { (void)cublasLtMatmulDescDestroy(d); }
  void operator()(cublasLtMatrixLayoutOpaque_t* l) const { (void)cublasLtMatrixLayoutDestroy(l); }
  void operator()(cublasLtMatmulPreferenceOpaque_t* p) const {
    (void)cublasLtMatmulPreferenceDestroy(p);
  }
};
using Handle = std::unique_ptr<cublasLtContext, HandleDeleter>;
using Descriptor = std::unique_ptr<cublasLtMatmulDescOpaque_t, DescriptorDeleter>;
using MatrixLayout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, DescriptorDeleter>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, DescriptorDeleter>;

// `groups` matrices, one after the other.
MatrixLayout matrix_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                           std::int64_t groups) {
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

struct Candidate {
  cublasLtMatmulAlgo_t algorithm{};
  int rank = 0;  // among the heuristic's proposals, from 1
};

// "id 66, tile 20, stages 36, ...": numbers as cublasLt.h defines them.
std::string text_of(const cublasLtMatmulAlgo_t& algorithm) {
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
    check(
        cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written),
        "cublasLtMatmulAlgoConfigGetAttribute");
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(value);
  }
  return text;
}

class CublasLtGemm final : public DeviceGemm {
 public:
  CublasLtGemm(const GemmProblem& problem, const OperandOptions& options)
      : DeviceGemm(problem, options), workspace_(kWorkspaceBytes) {
    describe();
    choose_algorithm();
  }

  void run(int set) override { check(launch(algorithm_, set), "cublasLtMatmul"); }

  [[nodiscard]] std::map<std::string, std::string> notes() const override { return notes_; }

 private:
  void describe() {
    const GemmProblem& p = problem();
    const Types types = types_of(p.dtype);
    cublasLtHandle_t handle = nullptr;
    check(cublasLtCreate(&handle), "cublasLtCreate");
    handle_.reset(handle);
    cublasLtMatmulDesc_t descriptor = nullptr;
    check(cublasLtMatmulDescCreate(&descriptor, types.compute, types.scale),
          "cublasLtMatmulDescCreate");
    descriptor_.reset(descriptor);
    const cublasOperation_t first = p.layout == Layout::nt ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = p.layout == Layout::tn ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, first, "TRANSA");
    set(CUBLASLT_MATMUL_DESC_TRANSB, second, "TRANSB");
    if (p.scaling != Scaling::none) {  // cuBLAS's A is our B
      const cublasLtMatmulMatrixScale_t mode_b = scale_mode_of(scale_block_of_b(p));
      const cublasLtMatmulMatrixScale_t mode_a = scale_mode_of(scale_block_of_a(p));
      set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode_b, "A_SCALE_MODE");
      set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode_a, "B_SCALE_MODE");
      point_to_scales(0);  // the heuristic asks whether there are any
    }
    // Stored row-major r x c is column-major c x r.
    b_layout_ = p.layout == Layout::nt ? matrix_layout(types.element, p.k, p.n, p.groups)
                                       : matrix_layout(types.element, p.n, p.k, p.groups);
    a_layout_ = p.layout == Layout::tn ? matrix_layout(types.element, p.m, p.k, p.groups)
                                       : matrix_layout(types.element, p.k, p.m, p.groups);
    c_layout_ = matrix_layout(p.accumulate ? CUDA_R_32F : types.output, p.n, p.m, p.groups);
  }

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value, const char* name) {
    check(cublasLtMatmulDescSetAttribute(descriptor_.get(), attribute, &value, sizeof value), name);
  }

  void point_to_scales(int operands) {
    set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales_b(operands), "A_SCALE_POINTER");
    set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales_a(operands), "B_SCALE_POINTER");
  }

  cublasStatus_t launch(const cublasLtMatmulAlgo_t& algorithm, int operands) {
    const double one_double = 1;
    const double zero_double = 0;
    const float one_float = 1;
    const bool wide = problem().dtype == DType::fp64;
    const void* alpha = wide ? static_cast<const void*>(&one_double) : &one_float;
    const float beta_float = problem().accumulate ? 1 : 0;
    const void* beta = wide ? static_cast<const void*>(&zero_double) : &beta_float;
    if (problem().scaling != Scaling::none) point_to_scales(operands);
    return cublasLtMatmul(handle_.get(), descriptor_.get(), alpha, b(operands), b_layout_.get(),
                          a(operands), a_layout_.get(), beta, c(operands), c_layout_.get(),
                          c(operands), c_layout_.get(), &algorithm, workspace_.data(),
                          static_cast<std::size_t>(kWorkspaceBytes), queue());
  }

  std::vector<Candidate> proposed() {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    const Preference owner(preference);
    const std::uint64_t workspace = kWorkspaceBytes;
    check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &workspace, sizeof workspace),
          "MAX_WORKSPACE_BYTES");
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found{};
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_.get(), descriptor_.get(), b_layout_.get(), a_layout_.get(), c_layout_.get(),
        c_layout_.get(), preference, kCandidates, found.data(), &count);
    if (status != CUBLAS_STATUS_SUCCESS || count == 0) {
      throw Unavailable("cuBLASLt: no algorithm for " + std::string(to_string(problem().dtype)) +
                        " " + std::string(to_string(problem().layout)) + " at this shape");
    }
    std::vector<Candidate> candidates;
    for (int i = 0; i < count; ++i) {
      const cublasLtMatmulHeuristicResult_t& result = found[static_cast<std::size_t>(i)];
      if (result.state != CUBLAS_STATUS_SUCCESS) continue;
      // The launch loads the kernel, which must not happen behind the timer's hold.
      if (launch(result.algo, 0) == CUBLAS_STATUS_SUCCESS)
        candidates.push_back({.algorithm = result.algo, .rank = i + 1});
    }
    wait();
    if (candidates.empty()) throw Unavailable("cuBLASLt: every algorithm refused this shape");
    return candidates;
  }

  // The heuristic's first proposal is often not the fastest: they are tried on the real operands.
  void choose_algorithm() {
    const std::vector<Candidate> candidates = proposed();
    const std::size_t tried = candidates.size();
    const Candidate& best = candidates[fastest_of(
        queue(), tried,
        [&](std::size_t i, int trial) {
          check(launch(candidates[i].algorithm, trial % sets()), "cublasLtMatmul");
        },
        kKernelsOfOne)];
    algorithm_ = best.algorithm;
    notes_ = {{"algorithm", text_of(best.algorithm)},
              {"algorithms_tried", std::to_string(tried)},
              {"heuristic_rank", std::to_string(best.rank)}};
  }

  DeviceBuffer workspace_;
  Handle handle_;
  Descriptor descriptor_;
  MatrixLayout a_layout_, b_layout_, c_layout_;
  cublasLtMatmulAlgo_t algorithm_{};
  std::map<std::string, std::string> notes_;
};

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  (void)gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<CublasLtGemm>(problem, options);
}

}  // namespace

GemmBackend cublaslt_gemm_backend() {
  return {"cublaslt", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
