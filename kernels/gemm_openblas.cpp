// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by OpenBLAS: fp32 and fp64, on the OpenMP pool. Groups are a loop of calls: the library has
// no batched interface before 0.3.27.
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
  return why_not_plain("OpenBLAS", p);
}

class OpenBlasGemm final : public HostGemm {
 public:
  using HostGemm::HostGemm;

 protected:
  void multiply(const void* a, const void* b, void* c) override {
    for (std::int64_t group = 0; group < problem().groups; ++group) one(a, b, c, group);
  }

 private:
  void one(const void* a, const void* b, void* c, std::int64_t group) const {
    const GemmProblem& p = problem();
    const std::int64_t a_at = group * p.m * p.k;
    const std::int64_t b_at = group * p.k * p.n;
    const std::int64_t c_at = group * p.m * p.n;
    const auto m = static_cast<blasint>(p.m);
    const auto n = static_cast<blasint>(p.n);
    const auto k = static_cast<blasint>(p.k);
    const CBLAS_TRANSPOSE a_as = p.layout == GemmLayout::tn ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE b_as = p.layout == GemmLayout::nt ? CblasTrans : CblasNoTrans;
    const blasint a_row = p.layout == GemmLayout::tn ? m : k;
    const blasint b_row = p.layout == GemmLayout::nt ? k : n;
    if (p.dtype == DType::fp64) {
      cblas_dgemm(CblasRowMajor, a_as, b_as, m, n, k, 1.0, static_cast<const double*>(a) + a_at,
                  a_row, static_cast<const double*>(b) + b_at, b_row, 0.0,
                  static_cast<double*>(c) + c_at, n);
    } else {
      cblas_sgemm(CblasRowMajor, a_as, b_as, m, n, k, 1.0F, static_cast<const float*>(a) + a_at,
                  a_row, static_cast<const float*>(b) + b_at, b_row, 0.0F,
                  static_cast<float*>(c) + c_at, n);
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
