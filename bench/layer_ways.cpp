// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From a layer's steps to operations.
#include "bench/layer_ways.hpp"

#include "bench/case_lists.hpp"
#include "bench/step_cases.hpp"
#include "kernels/operand_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

DType precision_of(const LayerStep& step, DType precision) {
  if (precision != DType::fp8) return precision;
  return step.gemm && step.gemm->low_precision ? DType::fp8 : DType::bf16;
}

AttentionProblem attention_of(const LayerStep& step, DType dtype) {
  const auto& s = step.shape;
  return {.pass = step.operation == "attention_forward" ? AttentionPass::forward
                                                        : AttentionPass::backward,
          .dtype = dtype,
          .batch = s.at("batch"),
          .heads = s.at("heads"),
          .kv_heads = s.at("kv_heads"),
          .queries = s.at("queries"),
          .keys = s.at("seq_len"),
          .head_dim = s.at("head_dim"),
          .value_dim = s.at("value_dim")};
}

StepProblem kernel_of(const LayerStep& step, DType dtype) {
  const auto size = [&](const char* key, std::int64_t otherwise = 0) {
    const auto found = step.shape.find(key);
    return found == step.shape.end() ? otherwise : found->second;
  };
  return {.kernel = *std::ranges::find(kStepKernels, step.operation,
                                       [](StepKernel kernel) { return to_string(kernel); }),
          .dtype = dtype,
          .rows = size("rows"),
          .cols = size("cols"),
          .heads = size("heads"),
          .head_dim = size("head_dim"),
          .experts = size("experts"),
          .top_k = size("top_k"),
          .groups = size("groups", 1),
          .group_limit = size("group_limit", 1)};
}

// With its case in the notes.
class Named final : public Operation, public KeepsOfOperands {
 public:
  Named(std::unique_ptr<Operation> inner, std::string name)
      : inner_(std::move(inner)), name_(std::move(name)) {}

  void run(int set) override { inner_->run(set); }
  Check verify() override { return inner_->verify(); }
  void operands_written() override { trainmeter::operands_written(*inner_); }
  [[nodiscard]] int sets() const override { return inner_->sets(); }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    return inner_->operand_views();
  }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    std::map<std::string, std::string> notes = inner_->notes();
    notes[kCaseNote] = name_;
    return notes;
  }
  [[nodiscard]] void* stream() const override { return inner_->stream(); }
  [[nodiscard]] int launches() const override { return inner_->launches(); }

 private:
  std::unique_ptr<Operation> inner_;
  std::string name_;
};

}  // namespace

GemmProblem gemm_problem(const GemmWork& work, DType dtype, DeviceKind device) {
  GemmProblem p = {.m = work.m,
                   .n = work.n,
                   .k = work.k,
                   .dtype = dtype,
                   .layout = layout_named(layout_of(work.pass)),
                   .groups = work.groups};
  if (dtype == DType::fp8) {
    p.layout = GemmLayout::nt;
    p.scaling = Scaling::block128;
  }
  // Over micro-batches.
  const bool adds = dtype == DType::fp8 || (device == DeviceKind::gpu && dtype != DType::fp32);
  p.accumulate = work.pass == Pass::wgrad && adds;
  return p;
}

GroupedGemmProblem grouped_problem(const GemmProblem& batch, Pass pass) {
  GroupedGemmProblem p{.all = batch, .sizes = {}};
  std::int64_t& shared = pass == Pass::wgrad ? p.all.k : p.all.m;
  p.sizes.assign(static_cast<std::size_t>(batch.groups), shared);
  shared *= batch.groups;
  p.all.groups = 1;
  return p;
}

Ways StepFinder::ways(const LayerStep& step, DType precision) {
  why_none_.clear();
  why_not_preferred_.clear();
  ways_.clear();
  const DType dtype = precision_of(step, precision);
  if (step.gemm) {
    if (!gemms_by_.empty()) {
      gemm(*step.gemm, dtype, gemms_by_);
      if (!ways_.empty()) return std::move(ways_);
      if (why_not_by_.empty()) why_not_by_ = why_none();
      why_none_.clear();
    }
    gemm(*step.gemm, dtype);
  } else if (step.entry == "core") {
    each(attention_backends(), attention_of(step, dtype), attention_case);
  } else {
    each(step_backends(), kernel_of(step, dtype), step_case);
  }
  std::ranges::stable_partition(ways_, [&](const Case& way) { return preferred(way.backend); });
  return std::move(ways_);
}

std::string StepFinder::why_none() const {
  return why_none_.empty() ? "no implementation for this device was built in" : why_none_;
}

bool StepFinder::preferred(std::string_view backend) const {
  return std::ranges::find(options_.prefer, backend) != options_.prefer.end();
}

// On a CPU with the threads that there are then; on a GPU where it can be told of fewer SMs.
template <class Backend, class Problem>
std::string StepFinder::for_what_is_left(const Backend& backend, const Problem& problem,
                                         Case& way) const {
  if (sms_left_ == 0) return "";
  if (target_.kind == DeviceKind::cpu) {
    way.overlap = Overlap{.beside = {}, .make_rest = way.make};
    return "";
  }
  const std::optional<Problem> rest = on_sms(problem, sms_left_);
  if (!rest) return "";
  if (std::string why = backend.why_not(*rest); !why.empty()) return why;
  way.overlap =
      Overlap{.beside = {},
              .make_rest = [rest = *rest, make = backend.make](const OperandOptions& operands) {
                return make(rest, operands);
              }};
  return "";
}

template <class Backends, class Problem, class MakeCase>
void StepFinder::each(const Backends& backends, const Problem& problem, MakeCase make,
                      std::string_view only) {
  for (const auto& backend : backends) {
    if (backend.device != target_.kind) continue;
    if (!only.empty() && backend.name != only) continue;
    if constexpr (requires { backend.on_request; }) {
      if (backend.on_request && only.empty() && !preferred(backend.name)) continue;
    }
    std::string why = backend.why_not(problem);
    if (why.empty()) {
      Case way = make(problem, backend);
      why = for_what_is_left(backend, problem, way);
      if (why.empty()) {
        ways_.push_back(std::move(way));
        continue;
      }
      if (preferred(backend.name)) why_not_preferred_.push_back(why);
    }
    if (why_none_.empty()) why_none_ = why;
  }
}

void StepFinder::gemm(const GemmWork& work, DType dtype, std::string_view only) {
  const GemmProblem problem = gemm_problem(work, dtype, target_.kind);
  if (problem.groups > 1) {
    each(
        grouped_gemm_backends(), grouped_problem(problem, work.pass),
        [](const GroupedGemmProblem& p, const GroupedGemmBackend& backend) {
          return grouped_case(p, Skew::balanced, backend);
        },
        only);
  }
  each(gemm_backends(), problem, gemm_case, only);
}

std::unique_ptr<Operation> make_first(const Ways& ways, const OperandOptions& operands,
                                      const Case*& used) {
  for (const Case& way : ways) {
    used = &way;
    try {
      return way.make(way.operands.value_or(operands));
    } catch (const Unavailable& error) {
      if (&way == &ways.back()) throw Unavailable(fmt::format("{}: {}", way.name, error.what()));
    }
  }
  throw std::logic_error("a part has at least one way to be done");
}

MakeStep layer_maker(const Options& options, const Target& target, DType precision,
                     const std::string& gemms_by) {
  return
      [options, target, precision, gemms_by](const LayerStep& step) -> std::unique_ptr<Operation> {
        StepFinder finder(options, target, gemms_by);
        const Ways ways = finder.ways(step, precision);
        if (ways.empty()) throw Unavailable(fmt::format("{}: {}", step.entry, finder.why_none()));
        const Case* used = nullptr;
        std::unique_ptr<Operation> made = make_first(ways, {}, used);
        return std::make_unique<Named>(std::move(made), used->name);
      };
}

}  // namespace trainmeter
