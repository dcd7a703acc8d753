// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The interference matrix: GEMMs, the cast to fp8 and a copy, each beside each co-runner, by the
// SMs (cores) that it holds.
#include "bench/case_lists.hpp"
#include "bench/step_cases.hpp"
#include "record/error.hpp"
#include "record/overlap.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

// DeepSeek-V3's gate and up of 4096 tokens; on a CPU a square.
struct Sizes {
  std::int64_t m = 4096, n = 4096, k = 7168;
  std::int64_t copy_bytes = 512 * kMiB;
};

Sizes sizes_of(const Options& options, const Target& target) {
  Sizes out;
  if (target.kind == DeviceKind::cpu) out = {1024, 1024, 1024, 64 * kMiB};
  if (!options.m.empty()) {
    out.m = options.m.front();
    out.n = options.n.front();
    out.k = options.k.front();
  }
  return out;
}

// A case, and how to make it for so many SMs.
struct Victim {
  Case all;
  std::function<std::function<std::unique_ptr<Operation>(const OperandOptions&)>(int sms)> for_sms;
};

class Victims {
 public:
  Victims(const Options& options, const Target& target)
      : options_(options), target_(target), sizes_(sizes_of(options, target)) {
    for (const DType dtype : {DType::bf16, DType::fp8, DType::fp32}) {
      if (dtype == DType::fp32 && target.kind == DeviceKind::gpu && options.dtypes.empty())
        continue;
      if (wanted(to_string(dtype))) add_gemm(dtype);
    }
    if (wanted("bf16")) add_cast();
    if (wanted("fp64")) add_copy();
  }

  std::vector<Victim> found;
  std::vector<std::string> left_out;

 private:
  [[nodiscard]] bool wanted(std::string_view dtype) const {
    return options_.dtypes.empty() ||
           std::ranges::find(options_.dtypes, dtype) != options_.dtypes.end();
  }

  // By every backend of a GPU; on a CPU by the first one that can.
  void add_gemm(DType dtype) {
    GemmProblem problem = {.m = sizes_.m, .n = sizes_.n, .k = sizes_.k, .dtype = dtype};
    if (dtype == DType::fp8) problem.scaling = Scaling::block128;
    for (const GemmBackend& backend : gemm_backends()) {
      if (backend.device != target_.kind) continue;
      if (const std::string why = backend.why_not(problem); !why.empty()) {
        if (!options_.dtypes.empty()) left_out.push_back(why);
        continue;
      }
      Victim one{gemm_case(problem, backend), {}};
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
      if (target_.kind == DeviceKind::cpu) return;
    }
  }

  void add_cast() {
    const StepProblem problem{
        .kernel = StepKernel::cast_fp8, .dtype = DType::bf16, .rows = sizes_.m, .cols = sizes_.k};
    for (const StepBackend& backend : step_backends()) {
      if (backend.device == target_.kind && backend.why_not(problem).empty())
        add({step_case(problem, backend), {}});
    }
  }

  void add_copy() {
    const MemoryProblem problem{.array_bytes = sizes_.copy_bytes};
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
    if (target_.kind == DeviceKind::cpu) one.for_sms = [make = one.all.make](int) { return make; };
    found.push_back(std::move(one));
  }

  const Options& options_;
  const Target& target_;
  Sizes sizes_;
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

std::vector<CoRunnerKind> kinds_asked_for(const Options& options) {
  std::vector<CoRunnerKind> out;
  for (const CoRunnerKind kind : kCoRunnerKinds) {
    if (options.beside.empty() ||
        std::ranges::find(options.beside, to_string(kind)) != options.beside.end())
      out.push_back(kind);
  }
  return out;
}

}  // namespace

CaseList overlap_cases(const Options& options, const Target& target) {
  Victims victims(options, target);
  CaseList list;
  list.left_out = victims.left_out;
  const bool own = !options.co_sms.empty();
  for (const std::int64_t share : own ? options.co_sms : default_shares(target)) {
    if (share >= target.device.sms) {
      list.left_out.push_back(fmt::format("--co_sms={}: leaves none of {} {}", share,
                                          target.device.sms,
                                          target.kind == DeviceKind::gpu ? "SMs" : "cores"));
      continue;
    }
    const auto left = static_cast<int>(target.device.sms - share);
    for (const Victim& victim : victims.found) {
      for (const CoRunnerKind kind : kinds_asked_for(options)) {
        Case one = victim.all;
        one.overlap =
            Overlap{.beside = {.kind = kind,
                               .sms = static_cast<int>(share),
                               .bytes_per_s = static_cast<double>(options.co_bytes_per_s)},
                    .make_rest = victim.for_sms ? victim.for_sms(left) : nullptr};
        one.name += fmt::format("/{}/{}:{}", to_string(kind), kCoSms, share);
        one.shape[kCoSms] = share;
        if (options.co_bytes_per_s > 0) {
          one.name += fmt::format("/{}:{}", kCoRate, options.co_bytes_per_s);
          one.shape[kCoRate] = options.co_bytes_per_s;
        }
        require_memory(one.name, one.memory_bytes, target);
        list.cases.push_back(std::move(one));
      }
    }
  }
  return list;
}

}  // namespace trainmeter
