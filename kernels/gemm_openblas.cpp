// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by OpenBLAS: fp32 and fp64, on the OpenMP pool.
#include "kernels/backends.hpp"
#include "kernels/gemm_operands.hpp"

#include <cblas.h>

#include <algorithm>
#include <limits>

namespace trainmeter {
namespace {

std::string why_not(const GemmProblem& p) {
  if (p.dtype != DType::fp32 && p.dtype != DType::fp64) {
    return "OpenBLAS: multiplies fp32 and fp64, not " + std::string(to_string(p.dtype));
  }
  if (std::max({p.m, p.n, p.k}) > std::numeric_limits<blasint>::max()) {
    return "OpenBLAS: m, n and k are 32-bit integers in this build";
  }
  return "";
}

class OpenBlasGemm final : public HostGemm {
 public:
  using HostGemm::HostGemm;

 protected:
  void multiply(const void* a, const void* b, void* c) override {
    const GemmProblem& p = problem();
    const auto m = static_cast<blasint>(p.m);
    const auto n = static_cast<blasint>(p.n);
    const auto k = static_cast<blasint>(p.k);
    const CBLAS_TRANSPOSE a_as = p.layout == Layout::tn ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE b_as = p.layout == Layout::nt ? CblasTrans : CblasNoTrans;
    const blasint a_row = p.layout == Layout::tn ? m : k;
    const blasint b_row = p.layout == Layout::nt ? k : n;
    if (p.dtype == DType::fp64) {
      cblas_dgemm(CblasRowMajor, a_as, b_as, m, n, k, 1.0, static_cast<const double*>(a), a_row,
                  static_cast<const double*>(b), b_row, 0.0, static_cast<double*>(c), n);
    } else {
      cblas_sgemm(CblasRowMajor, a_as, b_as, m, n, k, 1.0F, static_cast<const float*>(a), a_row,
                  static_cast<const float*>(b), b_row, 0.0F, static_cast<float*>(c), n);
    }
  }
};

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<OpenBlasGemm>(problem, options);
}

}  // namespace

GemmBackend openblas_gemm_backend() {
  return {"openblas", DeviceKind::cpu, why_not, make};
}

}  // namespace trainmeter
