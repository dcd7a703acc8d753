// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which operations do a layer's step on a device: those that gemm_bench, memory_bench and
// attention_bench measure alone.
#pragma once

#include "bench/case.hpp"
#include "bench/layer_flow.hpp"
#include "bench/options.hpp"
#include "bench/target.hpp"
#include "kernels/dtype.hpp"
#include "kernels/gemm_grouped.hpp"
#include "workload/layer_steps.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainmeter {

// A layer's GEMM as the kernels' problem: in fp8 with scales of blocks and both operands along k,
// as the casts before it leave them, and weight gradients added up in fp32, as on a GPU in bf16.
GemmProblem gemm_problem(const GemmWork& work, DType dtype, DeviceKind device);

// Experts' tokens are balanced, so one launch of groups and a batch of products are the same work.
GroupedGemmProblem grouped_problem(const GemmProblem& batch, Pass pass);

// `problem` told of so many SMs; none where its kind can't be told, and always takes them all.
template <class Problem>
std::optional<Problem> on_sms(Problem problem, int sms) {
  if constexpr (requires { problem.all.sms; }) {
    problem.all.sms = sms;
    return problem;
  } else if constexpr (requires { problem.sms; }) {
    problem.sms = sms;
    return problem;
  } else {
    return std::nullopt;
  }
}

using Ways = std::vector<Case>;  // to do one step, the preferred first

// Keeps options and target by reference.
class StepFinder {
 public:
  // `gemms_by`: the backend of every GEMM that it can do; empty: of none. `sms_left`: a co-runner
  // leaves so many, and ways that are made otherwise for these say how (Case::overlap); a backend
  // that could be told of SMs, but doesn't take so many, is none. 0: there is no co-runner.
  StepFinder(const Options& options, const Target& target, std::string gemms_by = "",
             int sms_left = 0)
      : options_(options), target_(target), gemms_by_(std::move(gemms_by)), sms_left_(sms_left) {}

  // None where it can't be done here.
  Ways ways(const LayerStep& step, DType precision);
  [[nodiscard]] std::string why_none() const;  // there were none
  // Why backends that --prefer names don't do it on what a co-runner leaves, though they would on
  // all SMs.
  [[nodiscard]] const std::vector<std::string>& why_not_preferred() const {
    return why_not_preferred_;
  }
  // The first GEMM so far that `gemms_by` couldn't do says why; empty where there was none.
  [[nodiscard]] const std::string& why_not_by() const { return why_not_by_; }

 private:
  [[nodiscard]] bool preferred(std::string_view backend) const;
  template <class Backends, class Problem, class MakeCase>
  void each(const Backends& backends, const Problem& problem, MakeCase make,
            std::string_view only = {});
  void gemm(const GemmWork& work, DType dtype, std::string_view only = {});
  // Why not; empty where it can be done there.
  template <class Backend, class Problem>
  std::string for_what_is_left(const Backend& backend, const Problem& problem, Case& way) const;

  const Options& options_;
  const Target& target_;
  std::string gemms_by_;
  int sms_left_;
  Ways ways_;
  std::string why_none_, why_not_by_;
  std::vector<std::string> why_not_preferred_;
};

// The first way that works here, into `used` which it is; each with its own operands, or with
// `operands`. Unavailable where none does.
std::unique_ptr<Operation> make_first(const Ways& ways, const OperandOptions& operands,
                                      const Case*& used);

// Prepares a step so.
MakeStep layer_maker(const Options& options, const Target& target, DType precision,
                     const std::string& gemms_by = "");

}  // namespace trainmeter
