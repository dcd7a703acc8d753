// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by cuBLASLt, the fastest of its algorithms; on a share of the SMs by a green context.
#include "kernels/backends.hpp"
#include "kernels/gemm_cublaslt_cuda.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/sm_share.hpp"

#include <map>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

constexpr int kCandidates = 64;
constexpr std::uint32_t kAlignment = 256;  // of what cudaMalloc returns, and operand_stride() keeps

class CublasLtGemm final : public DeviceGemm {
 public:
  CublasLtGemm(const GemmProblem& problem, const OperandOptions& options, SmShare share)
      : DeviceGemm(problem, options, std::move(share.stream)),
        green_(share.green),
        session_(queue(), share.sms),
        product_(session_, problem, kAlignment),
        algorithm_(product_.fastest([this](int set) { return at(set); }, sets(), kCandidates)) {}

  void run(int set) override {
    cublaslt::check(product_.launch(algorithm_, at(set)), "cublasLtMatmul");
  }

  [[nodiscard]] int launches() const override { return cublaslt::kLaunches; }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    std::map<std::string, std::string> notes = {
        {"algorithm", to_string(algorithm_)},
        {"algorithms_tried", std::to_string(algorithm_.tried)},
        {"heuristic_rank", std::to_string(algorithm_.rank)}};
    if (session_.sms() > 0)
      notes[green_ ? kSmsNote : "sm_count_target"] = std::to_string(session_.sms());
    return notes;
  }

 private:
  [[nodiscard]] cublaslt::Operands at(int set) const {
    cublaslt::Operands operands{.a = a(set), .b = b(set), .c = c(set)};
    if (problem().scaling != Scaling::none)
      operands.scales_a = scales_a(set), operands.scales_b = scales_b(set);
    return operands;
  }

  bool green_;
  cublaslt::Session session_;
  cublaslt::Product product_;
  cublaslt::Algorithm algorithm_;
};

std::string why_not(const GemmProblem& problem) {
  std::string reason = cublaslt::why_not(problem);
  return reason.empty() ? cublaslt::why_not_here() : reason;
}

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  (void)gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<CublasLtGemm>(problem, options, share_of_sms(problem.sms));
}

}  // namespace

GemmBackend cublaslt_gemm_backend() {
  return {"cublaslt", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
