// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// gemm_bench's GEMMs of groups with unequal shares, as experts are: --groups, --skew; and those of
// the experts of --models and of --published.
#include "bench/case_lists.hpp"
#include "bench/model_gemms.hpp"
#include "bench/reasons.hpp"
#include "kernels/gemm_grouped.hpp"
#include "record/formulas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// A, B and C of each group that has anything to do, C twice where it is added to.
double bytes_of(const GroupedGemmProblem& problem) {
  double sum = 0;
  for (std::size_t group = 0; group < problem.sizes.size(); ++group) {
    if (problem.sizes[group] == 0) continue;
    const GemmProblem p = problem_of_group(problem, group);
    const auto output = static_cast<double>(output_size_of(p));
    sum += gemm_bytes(p.m, p.n, p.k, static_cast<double>(size_of(p.dtype)), output);
    if (p.accumulate) sum += static_cast<double>(p.m) * static_cast<double>(p.n) * output;
  }
  return sum;
}

}  // namespace

Case grouped_case(const GroupedGemmProblem& problem, Skew skew, const GroupedGemmBackend& backend) {
  const GemmProblem& all = problem.all;
  const auto groups = static_cast<std::int64_t>(problem.sizes.size());
  Case made;
  made.name = fmt::format("grouped_gemm/{}/{}/groups:{}/m:{}/n:{}/k:{}", to_string(all.dtype),
                          backend.name, groups, all.m, all.n, all.k);
  if (skew != Skew::balanced) made.name += fmt::format("/skew:{}", to_string(skew));
  if (all.layout != GemmLayout::nt) made.name += fmt::format("/layout:{}", to_string(all.layout));
  if (all.scaling != Scaling::none) made.name += fmt::format("/scaling:{}", to_string(all.scaling));
  if (all.accumulate) made.name += "/accumulate:1";
  if (all.sms > 0) made.name += fmt::format("/sms:{}", all.sms);
  made.operation = "grouped_gemm";
  made.dtype = to_string(all.dtype);
  made.backend = backend.name;
  made.shape = {{"m", all.m}, {"n", all.n}, {"k", all.k}, {"groups", groups}};
  if (all.accumulate) made.shape["accumulate"] = 1;
  made.layout = to_string(all.layout);
  made.scaling = to_string(all.scaling);
  made.notes["skew"] = to_string(skew);
  made.cores = all.sms;
  made.flops = gemm_flops(all.m, all.n, all.k);
  made.bytes = bytes_of(problem);
  made.memory_bytes = made.bytes;
  made.make = [problem, make = backend.make](const OperandOptions& operands) {
    return make(problem, operands);
  };
  return made;
}

namespace {

// All local experts' products.
GroupedGemmProblem problem_of(const ModelGemm& gemm, DType dtype, std::int64_t sms) {
  const GemmWork& work = gemm.work;
  GroupedGemmProblem made;
  GemmProblem& all = made.all;
  all = {.m = work.m, .n = work.n, .k = work.k, .dtype = dtype, .layout = GemmLayout::nt};
  all.accumulate = work.pass == Pass::wgrad;
  all.sms = static_cast<int>(sms);
  if (dtype == DType::fp8) {  // weights are transposed, and operands quantised along k, before
    all.scaling = Scaling::block128;
  } else {
    all.layout = layout_named(layout_of(work.pass));
  }
  made.sizes = gemm.sizes;
  (all.accumulate ? all.k : all.m) =
      std::accumulate(gemm.sizes.begin(), gemm.sizes.end(), std::int64_t{0});
  return made;
}

bool same(const GroupedGemmProblem& a, const GroupedGemmProblem& b) {
  const auto key = [](const GroupedGemmProblem& p) {
    return std::tuple(p.all.m, p.all.n, p.all.k, p.all.dtype, p.all.layout, p.all.accumulate);
  };
  return key(a) == key(b) && a.sizes == b.sizes;
}

}  // namespace

std::vector<ExpertGemm> expert_gemms(const Options& options, std::int64_t tokens) {
  std::vector<ExpertGemm> found;
  for (const ModelGemm& gemm : model_gemms(options, tokens)) {
    if (gemm.sizes.empty()) continue;
    for (const DType dtype : {DType::fp8, DType::bf16}) {
      const auto named = std::ranges::find(options.dtypes, to_string(dtype));
      if (!options.dtypes.empty() && named == options.dtypes.end()) continue;
      const GroupedGemmProblem problem = problem_of(gemm, dtype, options.sms);
      auto twin = std::ranges::find_if(
          found, [&](const ExpertGemm& one) { return same(one.problem, problem); });
      if (twin == found.end()) twin = found.insert(found.end(), {problem, {}});
      twin->notes.add(gemm, gemm.work.count);
    }
  }
  return found;
}

namespace {

// Balanced groups, by every backend that can. Those that can't are said where the type was asked
// for.
CaseList balanced_cases(const std::vector<ExpertGemm>& gemms, const Options& options,
                        const Target& target) {
  CaseList list;
  Reasons reasons;
  for (const ExpertGemm& gemm : gemms) {
    for (const GroupedGemmBackend& backend : grouped_gemm_backends()) {
      if (backend.on_request && !asked_for(options, backend.name)) continue;
      if (const std::string why = backend.why_not(gemm.problem); !why.empty()) {
        reasons.add(gemm.problem.all.dtype, why);
        continue;
      }
      Case made = grouped_case(gemm.problem, Skew::balanced, backend);
      gemm.notes.write(made);
      if (!gemm.notes.in_step.empty())
        made.notes["tokens_of_experts"] = tokens_of_experts(gemm.problem.sizes);
      if (static_cast<double>(target.memory_available_bytes) < made.memory_bytes) {
        reasons.add(fmt::format("{}: more than the GPU's memory", made.name));
        continue;
      }
      list.cases.push_back(std::move(made));
    }
  }
  if (!options.dtypes.empty()) list.left_out = reasons.texts();
  return list;
}

}  // namespace

CaseList model_grouped_cases(const Options& options, const Target& target) {
  if (target.kind != DeviceKind::gpu || options.models.empty()) return {};
  return balanced_cases(expert_gemms(options, tokens_of_models(options, target)), options, target);
}

CaseList published_grouped_cases(const Options& options, const Target& target) {
  if (target.kind != DeviceKind::gpu) return {};
  std::vector<ExpertGemm> gemms;
  for (GemmProblem all : published_gemms(options)) {
    if (all.groups == 1) continue;
    const auto groups = static_cast<std::size_t>(std::exchange(all.groups, 1));
    ExpertGemm made{.problem = {.all = all, .sizes = std::vector(groups, all.m)}, .notes = {}};
    made.problem.all.m *= static_cast<std::int64_t>(groups);
    gemms.push_back(std::move(made));
  }
  return balanced_cases(gemms, options, target);
}

CaseList grouped_cases(const Options& options, const Target& target) {
  CaseList list;
  Reasons reasons;
  std::vector<std::string> too_large;
  if (grouped_gemm_backends().empty()) reasons.add("--groups: no grouped GEMM was built in");
  for (const GemmProblem& problem : gemm_problems(options)) {
    for (const std::int64_t m : options.m) {
      for (const std::int64_t n : options.n) {
        for (const std::int64_t k : options.k) {
          for (const std::string& name : options.skews) {
            const Skew skew = *skew_from(name);
            GroupedGemmProblem grouped{.all = problem, .sizes = {}};
            grouped.all.m = m, grouped.all.n = n, grouped.all.k = k;
            grouped.sizes = group_sizes(problem.accumulate ? k : m, *options.groups, skew);
            for (const GroupedGemmBackend& backend : grouped_gemm_backends()) {
              if (backend.on_request && !asked_for(options, backend.name)) continue;
              if (const std::string why = backend.device == target.kind
                                              ? backend.why_not(grouped)
                                              : "--groups: runs on GPUs only";
                  !why.empty()) {
                reasons.add(problem.dtype, why);
                continue;
              }
              Case made = grouped_case(grouped, skew, backend);
              if (std::string why = why_no_room(made.name, made.memory_bytes, target);
                  why.empty()) {
                list.cases.push_back(std::move(made));
              } else {
                too_large.push_back(std::move(why));
              }
            }
          }
        }
      }
    }
  }
  if (list.cases.empty() || !options.dtypes.empty()) list.left_out = reasons.texts();
  std::ranges::move(too_large, std::back_inserter(list.left_out));
  return list;
}

}  // namespace trainmeter
