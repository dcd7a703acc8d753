// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Grouped GEMM by cuBLASLt: a call for each group that has anything to do, one after the other in
// one stream. Groups of one size share an algorithm.
#include "kernels/backends.hpp"
#include "kernels/gemm_cublaslt_cuda.hpp"
#include "kernels/gemm_grouped_cuda.hpp"
#include "kernels/operand_values.hpp"
#include "kernels/rounding.hpp"
#include "kernels/sm_share.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr int kCandidates = 8;            // algorithms that are timed for each size
constexpr std::uint32_t kAlignment = 16;  // bytes: groups begin anywhere, rows are whole vectors

// cuBLAS wants every dimension of fp8 to be a multiple of this ("FP8 kernels" in the description of
// cublasLtMatmul).
constexpr std::int64_t kDimension = 16;

bool is_fp8_of_rows(const GroupedGemmProblem& problem) {
  return problem.all.scaling != Scaling::none && !problem.all.accumulate;
}

// The product that a call computes. Of fp8: rows that are pieces of k end in zeros, up to such a
// multiple; a group's rows are followed by some of the next group's, whose C is right once its own
// call, a later one, has been there.
GemmProblem called_problem(const GroupedGemmProblem& problem, std::size_t group,
                           const GroupPlace& place) {
  GemmProblem one = problem_of_group(problem, group);
  if (problem.all.scaling != Scaling::none) one.k = place.row;
  if (is_fp8_of_rows(problem)) one.m = round_up(one.m, kDimension);
  return one;
}

class CublasLtGroupedGemm final : public DeviceGroupedGemm, public KeepsOfOperands {
 public:
  CublasLtGroupedGemm(const GroupedGemmProblem& problem, const OperandOptions& options,
                      SmShare share)
      : DeviceGroupedGemm(problem, options, std::move(share.stream),
                          is_fp8_of_rows(problem) ? kDimension - 1 : 0),
        green_(share.green),
        session_(queue(), share.sms) {
    if (is_fp8_of_rows(problem)) {
      make_scales();
      lay_scales();
    }
    for (std::size_t group = 0; group < problem.sizes.size(); ++group) {
      const std::int64_t size = problem.sizes[group];
      if (size == 0 || calls_.contains(size)) continue;
      cublaslt::Product product(session_, called_problem(problem, group, place(group)), kAlignment);
      const cublaslt::Algorithm algorithm =
          product.fastest([&](int set) { return at(set, group); }, sets(), kCandidates);
      calls_.emplace(size, Call{std::move(product), algorithm});
    }
  }

  void run(int set) override {
    for (std::size_t group = 0; group < problem().sizes.size(); ++group) {
      if (problem().sizes[group] == 0) continue;
      Call& call = calls_.at(problem().sizes[group]);
      cublaslt::check(call.product.launch(call.algorithm, at(set, group)), "cublasLtMatmul");
    }
  }

  void operands_written() override {
    if (!own_scales_.empty()) lay_scales();
  }

  [[nodiscard]] int launches() const override { return cublaslt::kLaunches * groups_at_work(); }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    std::map<std::string, std::string> notes = {
        {"calls", std::to_string(groups_at_work())},
        {"algorithm", "a call for each group, by the fastest of up to " +
                          std::to_string(kCandidates) + " algorithms for its size"}};
    if (calls_.size() == 1)
      notes["algorithm"] += ": " + to_string(calls_.begin()->second.algorithm);
    if (session_.sms() > 0)
      notes[green_ ? kSmsNote : "sm_count_target"] = std::to_string(session_.sms());
    return notes;
  }

 private:
  struct Call {
    cublaslt::Product product;
    cublaslt::Algorithm algorithm;
  };

  [[nodiscard]] cublaslt::Operands at(int set, std::size_t group) const {
    const GroupOperands found = operands(set, group);
    const float* scales_a = found.scales_a;
    if (!own_scales_.empty())
      scales_a = static_cast<const float*>(own_scales_.data(set)) + own_begins_[group];
    return {
        .a = found.a, .b = found.b, .c = found.c, .scales_a = scales_a, .scales_b = found.scales_b};
  }

  // In the plan a block of k has the scales of all groups' rows in a line; cuBLASLt takes a group's
  // by themselves.
  void make_scales() {
    std::int64_t count = 0;
    for (std::size_t group = 0; group < problem().sizes.size(); ++group) {
      own_begins_.push_back(count);
      count += scale_count(ScaleBlock::row, called_problem(problem(), group, place(group)).m,
                           problem().all.k);
    }
    own_scales_ = DeviceOperand(4 * count, sets());
  }

  void lay_scales() {
    const std::size_t groups = problem().sizes.size();
    const std::int64_t k = problem().all.k;
    const auto line_bytes = [&](std::int64_t rows) {  // of the scales of one block of k
      return static_cast<std::size_t>(4 * scale_index(ScaleBlock::row, rows, k, 0, kCastBlock));
    };
    for (int set = 0; set < sets(); ++set) {
      for (std::size_t group = 0; group < groups; ++group) {
        if (problem().sizes[group] == 0) continue;
        cuda_check(cudaMemcpy2D(static_cast<float*>(own_scales_.data(set)) + own_begins_[group],
                                line_bytes(called_problem(problem(), group, place(group)).m),
                                operands(set, group).scales_a,
                                static_cast<std::size_t>(4 * place(group).scales_row),
                                line_bytes(problem().sizes[group]),
                                static_cast<std::size_t>(cast_blocks(k)), cudaMemcpyDeviceToDevice),
                   "cudaMemcpy2D");
      }
    }
    cuda_check(cudaDeviceSynchronize(), "cudaMemcpy2D");  // the stream doesn't wait for copies
  }

  bool green_;
  cublaslt::Session session_;
  DeviceOperand own_scales_;
  std::vector<std::int64_t> own_begins_;
  std::map<std::int64_t, Call> calls_;  // by a group's size
};

std::string why_not(const GroupedGemmProblem& problem) {
  const GemmProblem& all = problem.all;
  if (all.dtype != DType::bf16 && all.dtype != DType::fp8)
    return "cuBLASLt: groups are of bf16 or fp8 here";
  if (all.groups != 1) return "cuBLASLt: groups have no batches here";
  if (all.scaling == Scaling::tensor) return "cuBLASLt: groups of fp8 have scales of blocks here";
  if (std::ranges::any_of(problem.sizes, [](std::int64_t size) { return size < 0; }))
    return "cuBLASLt: a group's size is 0 or more";
  const auto tokens = std::accumulate(problem.sizes.begin(), problem.sizes.end(), std::int64_t{0});
  if (tokens == 0 || tokens != (all.accumulate ? all.k : all.m))
    return "cuBLASLt: the groups' sizes add up to all tokens";
  if (all.accumulate && all.layout != (all.dtype == DType::fp8 ? GemmLayout::nt : GemmLayout::tn))
    return "cuBLASLt: groups of k are tn in bf16, nt in fp8";
  if (!all.accumulate && all.layout == GemmLayout::tn)
    return "cuBLASLt: groups of rows are nt or nn";
  // Groups begin at multiples of these.
  const std::int64_t vector = kAlignment / size_of(all.dtype);
  for (const auto& [name, size] :
       {std::pair{"m", all.layout == GemmLayout::tn ? all.m : vector}, std::pair{"n", all.n},
        std::pair{"k", all.accumulate ? vector : all.k}}) {
    if (size % vector != 0)
      return std::string("cuBLASLt: groups begin at multiples of 16 bytes: ") + name +
             " is a multiple of " + std::to_string(vector) + " in " +
             std::string(to_string(all.dtype));
  }
  std::string reason = cublaslt::why_not(all);
  return reason.empty() ? cublaslt::why_not_here() : reason;
}

std::unique_ptr<Operation> make(const GroupedGemmProblem& problem, const OperandOptions& options) {
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<CublasLtGroupedGemm>(problem, options, share_of_sms(problem.all.sms));
}

}  // namespace

GroupedGemmBackend cublaslt_grouped_gemm_backend() {
  return {"cublaslt", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
