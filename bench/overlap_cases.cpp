// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The interference matrix: GEMMs, the cast to fp8 and a copy, each beside each co-runner, by the
// SMs (cores) that it holds. Of a model's GEMMs, those that most of its layers' FLOPs are in.
#include "bench/backend_names.hpp"
#include "bench/case_lists.hpp"
#include "bench/step_cases.hpp"
#include "kernels/machine.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/overlap.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

struct Sizes {
  std::int64_t m, n, k;
  std::string in_step;  // of a model
};

// The forward GEMM of a model's layers, experts' and head aside, that most FLOPs of a step are in.
Sizes largest_of(const Model& model, std::int64_t tokens) {
  const GemmWork* largest = nullptr;
  double most = 0;
  const std::vector<GemmWork> all = step_gemms(model, tokens);
  for (const GemmWork& work : all) {
    if (work.pass != Pass::fprop || !work.low_precision || work.name.starts_with("expert_"))
      continue;
    const double flops = work.count * gemm_flops(work.m, work.n, work.k);
    if (!(flops > most)) continue;
    largest = &work;
    most = flops;
  }
  return {largest->m, largest->n, largest->k,
          in_step_note(model.id, largest->name, "fprop", largest->count)};
}

std::int64_t tokens_of(const Options& options, const Target& target) {
  return options.tokens.value_or(kLayerTokens.of(target.kind == DeviceKind::gpu));
}

// Without flags DeepSeek-V3's gate and up of 4096 tokens; on a CPU a square.
std::vector<Sizes> sizes_of(const Options& options, const Target& target) {
  if (!options.m.empty()) return {{options.m.front(), options.n.front(), options.k.front(), ""}};
  if (options.models.empty()) {
    return target.kind == DeviceKind::cpu ? std::vector<Sizes>{{1024, 1024, 1024, ""}}
                                          : std::vector<Sizes>{{4096, 4096, 7168, ""}};
  }
  std::vector<Sizes> out;
  const Library library(published_data());
  for (const std::string& id : options.models)
    out.push_back(largest_of(library.model(id), tokens_of(options, target)));
  return out;
}

// A case, and how to make it for so many SMs.
struct Victim {
  Case all;
  std::function<std::function<std::unique_ptr<Operation>(const OperandOptions&)>(int sms)> for_sms;
};

class Victims {
 public:
  Victims(const Options& options, const Target& target) : options_(options), target_(target) {
    const std::vector<Sizes> all = sizes_of(options, target);
    for (const DType dtype : {DType::bf16, DType::fp8, DType::fp32}) {
      if (dtype == DType::fp32 && target.kind == DeviceKind::gpu && options.dtypes.empty())
        continue;
      if (!wanted(to_string(dtype))) continue;
      for (const Sizes& sizes : all) add_gemm(dtype, sizes);
    }
    for (const std::string& id : options.models) add_experts(id);
    if (wanted("bf16"))
      for (const Sizes& sizes : all) add_cast(sizes);
    if (wanted("fp64")) add_copy();
  }

  std::vector<Victim> found;
  std::vector<std::string> left_out;

 private:
  [[nodiscard]] bool wanted(std::string_view dtype) const {
    return options_.dtypes.empty() ||
           std::ranges::find(options_.dtypes, dtype) != options_.dtypes.end();
  }

  // By every backend of a GPU; on a CPU by the first one that can, with --versus by all.
  void add_gemm(DType dtype, const Sizes& sizes) {
    GemmProblem problem = {.m = sizes.m, .n = sizes.n, .k = sizes.k, .dtype = dtype};
    if (dtype == DType::fp8) problem.scaling = Scaling::block128;
    for (const GemmBackend& backend : gemm_backends()) {
      if (backend.device != target_.kind) continue;
      if (backend.on_request && !asked_for(options_, backend.name)) continue;
      if (const std::string why = backend.why_not(problem); !why.empty()) {
        if (!options_.dtypes.empty()) left_out.push_back(why);
        continue;
      }
      Victim one{gemm_case(problem, backend), {}};
      if (!sizes.in_step.empty()) one.all.notes["in_step"] = sizes.in_step;
      GemmProblem on_some = problem;
      on_some.sms = 1;
      if (backend.why_not(on_some).empty() && target_.kind == DeviceKind::gpu) {
        one.for_sms = [problem, make = backend.make](int sms) {
          GemmProblem rest = problem;
          rest.sms = sms;
          return [rest, make](const OperandOptions& operands) { return make(rest, operands); };
        };
      }
      add(std::move(one));
      if (target_.kind == DeviceKind::cpu && options_.versus.empty()) return;
    }
  }

  // The local experts' forward GEMM of most FLOPs, in one launch, in each element type.
  void add_experts(const std::string& model) {
    Options of_model = options_;
    of_model.models = {model};
    std::map<DType, ExpertGemm> largest;
    for (const ExpertGemm& one : expert_gemms(of_model, tokens_of(options_, target_))) {
      const auto flops = [](const ExpertGemm& of) {
        return gemm_flops(of.problem.all.m, of.problem.all.n, of.problem.all.k);
      };
      const auto [at, is_new] = largest.try_emplace(one.problem.all.dtype, one);
      // Forward GEMMs come before those of their gradients, which have as many FLOPs.
      if (!is_new && flops(one) > flops(at->second)) at->second = one;
    }
    for (const auto& [dtype, one] : largest) add_grouped(one);
  }

  void add_grouped(const ExpertGemm& gemm) {
    if (target_.kind == DeviceKind::cpu) {
      const std::string why = fmt::format("{}: grouped GEMMs run on GPUs only", gemm.notes.in_step);
      if (left_out.empty() || left_out.back() != why) left_out.push_back(why);
      return;
    }
    for (const GroupedGemmBackend& backend : grouped_gemm_backends()) {
      if (backend.on_request && !asked_for(options_, backend.name)) continue;
      if (const std::string why = backend.why_not(gemm.problem); !why.empty()) {
        if (!options_.dtypes.empty()) left_out.push_back(why);
        continue;
      }
      Victim one{grouped_case(gemm.problem, Skew::balanced, backend), {}};
      one.all.notes["in_step"] = gemm.notes.in_step;
      GroupedGemmProblem on_some = gemm.problem;
      on_some.all.sms = 2;  // of which clusters are
      if (backend.why_not(on_some).empty()) {
        one.for_sms = [problem = gemm.problem, make = backend.make](int sms) {
          GroupedGemmProblem rest = problem;
          rest.all.sms = sms;
          return [rest, make](const OperandOptions& operands) { return make(rest, operands); };
        };
      }
      add(std::move(one));
    }
  }

  void add_cast(const Sizes& sizes) {
    const StepProblem problem{
        .kernel = StepKernel::cast_fp8, .dtype = DType::bf16, .rows = sizes.m, .cols = sizes.k};
    for (const StepBackend& backend : step_backends()) {
      if (backend.device == target_.kind && backend.why_not(problem).empty())
        add({step_case(problem, backend), {}});
    }
  }

  void add_copy() {
    const MemoryProblem problem{.array_bytes = (target_.kind == DeviceKind::cpu ? 64 : 512) * kMiB};
    for (const MemoryBackend& backend : memory_backends()) {
      if (backend.name != "cuda" && backend.name != "openmp") continue;
      if (backend.device != target_.kind || !backend.why_not(problem).empty()) continue;
      Victim one{memory_case(problem, backend), {}};
      if (target_.kind == DeviceKind::gpu) {
        one.for_sms = [problem, make = backend.make](int sms) {
          MemoryProblem rest = problem;
          rest.sms = sms;
          return [rest, make](const OperandOptions& operands) { return make(rest, operands); };
        };
      }
      add(std::move(one));
    }
  }

  void add(Victim one) {
    if (!names_.insert(one.all.name).second) return;  // two models have it
    if (target_.kind == DeviceKind::cpu) one.for_sms = [make = one.all.make](int) { return make; };
    found.push_back(std::move(one));
  }

  const Options& options_;
  const Target& target_;
  std::set<std::string> names_;
};

// The most telling ones first: DeepSeek's 20 of 132, then both ends. On a CPU up to half.
std::vector<std::int64_t> default_shares(const Target& target) {
  if (target.kind == DeviceKind::gpu) return {20, 8, 32, 16, 24, 4};
  std::vector<std::int64_t> out;
  for (std::int64_t cores = 1; cores <= std::max<std::int64_t>(1, target.device.sms / 2);
       cores *= 2)
    out.push_back(cores);
  return out;
}

// Why a co-runner of this kind can't be had; empty where it can. `gpus`: that this process sees.
std::string why_not(CoRunnerKind kind, const Target& target, int gpus) {
  if (!is_collective(kind)) return "";
  if (target.kind == DeviceKind::cpu)
    return kind == CoRunnerKind::all_reduce ? "" : "peer_allreduce: between GPUs only";
  if (gpus > 1) return "";
  return fmt::format("{}: skipped: needs 2 GPUs, this process sees {}", to_string(kind), gpus);
}

std::vector<CoRunnerKind> kinds_asked_for(const Options& options, const Target& target, int gpus,
                                          std::vector<std::string>& left_out) {
  std::vector<CoRunnerKind> all(kCoRunnerKinds.begin(), kCoRunnerKinds.end());
  all.insert(all.end(), kCollectiveCoRunners.begin(), kCollectiveCoRunners.end());
  std::vector<CoRunnerKind> out;
  for (const CoRunnerKind kind : all) {
    const bool named = std::ranges::find(options.beside, to_string(kind)) != options.beside.end();
    if (!named && !options.beside.empty()) continue;
    const std::string why = why_not(kind, target, gpus);
    if (why.empty()) {
      out.push_back(kind);
    } else if (named) {
      left_out.push_back(why);
    }
  }
  return out;
}

// Of a collective: every GPU; on a CPU one on each of its cores, but two where it has one.
int ranks_of(CoRunnerKind kind, const Target& target, std::int64_t share, int gpus) {
  if (!is_collective(kind)) return 1;
  return target.kind == DeviceKind::gpu ? gpus : std::max(2, static_cast<int>(share));
}

}  // namespace

CaseList overlap_cases(const Options& options, const Target& target) {
  require_versus(options);
  Victims victims(options, target);
  CaseList list;
  list.left_out = victims.left_out;
  const bool own = !options.co_sms.empty();
  const int seen = target.kind == DeviceKind::gpu ? static_cast<int>(gpus().devices.size()) : 0;
  const std::vector<CoRunnerKind> kinds = kinds_asked_for(options, target, seen, list.left_out);
  for (const std::int64_t share : own ? options.co_sms : default_shares(target)) {
    if (share >= target.device.sms) {
      list.left_out.push_back(fmt::format("--co_sms={}: leaves none of {} {}", share,
                                          target.device.sms,
                                          target.kind == DeviceKind::gpu ? "SMs" : "cores"));
      continue;
    }
    const auto left = static_cast<int>(target.device.sms - share);
    for (const Victim& victim : victims.found) {
      for (const CoRunnerKind kind : kinds) {
        Case one = victim.all;
        one.overlap = Overlap{.beside = {.kind = kind,
                                         .sms = static_cast<int>(share),
                                         .bytes_per_s = static_cast<double>(options.co_bytes_per_s),
                                         .ranks = ranks_of(kind, target, share, seen)},
                              .make_rest = victim.for_sms ? victim.for_sms(left) : nullptr};
        one.name += fmt::format("/{}/{}:{}", to_string(kind), kCoSms, share);
        one.shape[kCoSms] = share;
        if (options.co_bytes_per_s > 0) {
          one.name += fmt::format("/{}:{}", kCoRate, options.co_bytes_per_s);
          one.shape[kCoRate] = options.co_bytes_per_s;
        }
        if (std::string why = why_no_room(one.name, one.memory_bytes, target); !why.empty()) {
          list.left_out.push_back(std::move(why));
          continue;
        }
        list.cases.push_back(std::move(one));
      }
    }
  }
  return list;
}

}  // namespace trainmeter
