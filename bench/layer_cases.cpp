// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// layer_bench's cases: a layer of a model, forward or backward, composed of the operations that
// gemm_bench, memory_bench and attention_bench measure alone.
#include "bench/case_lists.hpp"
#include "bench/step_cases.hpp"
#include "record/error.hpp"
#include "workload/layer_steps.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::int64_t kGpusOfExperts = 64;  // DeepSeek-V3's expert parallelism (its report, 3.2)
constexpr std::int64_t kLongestSequence = 4096;
// Sets of operands that a small part has at least: more than it runs back to back.
constexpr double kLeastSets = 8;

using Ways = std::vector<Case>;  // to do one part, the preferred first

DType precision_of(const LayerStep& step, DType precision) {
  if (precision != DType::fp8) return precision;
  return step.gemm && step.gemm->low_precision ? DType::fp8 : DType::bf16;
}

GemmProblem gemm_of(const GemmWork& work, DType dtype, const Target& target) {
  GemmProblem p = {.m = work.m,
                   .n = work.n,
                   .k = work.k,
                   .dtype = dtype,
                   .layout = layout_of(work.pass),
                   .groups = work.groups};
  if (dtype == DType::fp8) {  // both operands lie along k: they were cast so before
    p.layout = Layout::nt;
    p.scaling = Scaling::block128;
  }
  // On a GPU weight gradients are added up over micro-batches, in fp32.
  p.accumulate = work.pass == Pass::wgrad && target.kind == DeviceKind::gpu && dtype != DType::fp32;
  return p;
}

// Experts' tokens are balanced, so one launch of groups and a batch of products are the same work.
GroupedGemmProblem grouped_of(const GemmProblem& batch, Pass pass) {
  GroupedGemmProblem p{.all = batch, .sizes = {}};
  std::int64_t& shared = pass == Pass::wgrad ? p.all.k : p.all.m;
  p.sizes.assign(static_cast<std::size_t>(batch.groups), shared);
  shared *= batch.groups;
  p.all.groups = 1;
  return p;
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
  const auto size = [&](const char* key) {
    const auto found = step.shape.find(key);
    return found == step.shape.end() ? 0 : found->second;
  };
  return {.kernel = *std::ranges::find(kStepKernels, step.operation,
                                       [](StepKernel kernel) { return to_string(kernel); }),
          .dtype = dtype,
          .rows = size("rows"),
          .cols = size("cols"),
          .heads = size("heads"),
          .head_dim = size("head_dim"),
          .experts = size("experts"),
          .top_k = size("top_k")};
}

// The ways to do a step on a device, and why there are no others.
class Finder {
 public:
  Finder(const Options& options, const Target& target) : options_(options), target_(target) {}

  Ways ways(const LayerStep& step, DType precision) {
    why_none_.clear();
    ways_.clear();
    const DType dtype = precision_of(step, precision);
    if (step.gemm) {
      gemm(*step.gemm, dtype);
    } else if (step.entry == "core") {
      each(attention_backends(), attention_of(step, dtype), attention_case);
    } else {
      each(step_backends(), kernel_of(step, dtype), step_case);
    }
    return std::move(ways_);
  }

  [[nodiscard]] std::string why_none() const {
    return why_none_.empty() ? "no implementation for this device was built in" : why_none_;
  }

 private:
  template <class Backends, class Problem, class MakeCase>
  void each(const Backends& backends, const Problem& problem, MakeCase make) {
    for (const auto& backend : backends) {
      if (backend.device != target_.kind) continue;
      if constexpr (requires { backend.on_request; }) {
        if (backend.on_request && backend.name != options_.prefer) continue;
      }
      if (const std::string why = backend.why_not(problem); why.empty()) {
        ways_.push_back(make(problem, backend));
      } else if (why_none_.empty()) {
        why_none_ = why;
      }
    }
  }

  void gemm(const GemmWork& work, DType dtype) {
    const GemmProblem problem = gemm_of(work, dtype, target_);
    if (problem.groups > 1) {
      each(grouped_gemm_backends(), grouped_of(problem, work.pass),
           [](const GroupedGemmProblem& p, const GroupedGemmBackend& backend) {
             return grouped_case(p, Skew::balanced, backend);
           });
    }
    each(gemm_backends(), problem, gemm_case);
    std::ranges::stable_partition(ways_,
                                  [&](const Case& way) { return way.backend == options_.prefer; });
  }

  const Options& options_;
  const Target& target_;
  Ways ways_;
  std::string why_none_;
};

class Builder {
 public:
  Builder(const Options& options, const Target& target)
      : options_(options), target_(target), finder_(options, target) {}

  void add(const Model& model, DType precision) {
    const LayerShare share = share_of(model, precision);
    const LayerSteps steps = layer_steps(model, share);
    const bool experts = share.kind == GemmGroup::moe;
    for (const bool forward : {true, false}) {
      const char* pass = forward ? "forward" : "backward";
      if (!options_.passes.empty() &&
          std::ranges::find(options_.passes, pass) == options_.passes.end()) {
        continue;
      }
      Case made;
      made.operation = fmt::format("layer_{}", pass);
      made.dtype = share.precision;
      made.backend = "composed";
      made.shape = {{"rows", share.tokens()}};
      made.name = fmt::format("{}/{}/{}/{}/{}/rows:{}", made.operation, made.dtype, made.backend,
                              model.id, experts ? "moe" : "dense", share.tokens());
      if (experts) {
        made.shape["experts"] = model.moe->experts / share.ep;
        made.name += fmt::format("/experts:{}", made.shape["experts"]);
      }
      compose(std::move(made), forward ? steps.forward : steps.backward, steps.left_out, precision);
    }
  }

  CaseList take() { return std::move(list_); }

 private:
  // All tokens of a micro-batch, some of the experts; the kind that most of the model's layers are.
  [[nodiscard]] LayerShare share_of(const Model& model, DType precision) const {
    const std::int64_t tokens =
        options_.tokens.value_or(target_.kind == DeviceKind::gpu ? 4096 : 256);
    LayerShare share;
    share.precision = to_string(precision);
    share.seq_len = tokens % kLongestSequence == 0 ? kLongestSequence : tokens;
    share.sequences = tokens / share.seq_len;
    if (!model.moe) return share;
    share.kind = GemmGroup::moe;
    const std::int64_t all = model.moe->experts;
    const std::int64_t here =
        options_.experts.value_or(std::max<std::int64_t>(1, all / kGpusOfExperts));
    if (here > all || all % here != 0) {
      throw BadInput(
          fmt::format("--experts={}: expected a divisor of {}'s {} experts", here, model.id, all));
    }
    share.ep = all / here;
    return share;
  }

  void compose(Case layer, const std::vector<LayerStep>& steps, std::vector<std::string> missing,
               DType precision) {
    std::map<std::string, std::size_t> known;
    for (const LayerStep& step : steps) {
      Ways ways = finder_.ways(step, precision);
      if (ways.empty() && step.gemm) {  // no layer without its GEMMs
        list_.left_out.push_back(
            fmt::format("{}: {}: {}", layer.name, step.entry, finder_.why_none()));
        return;
      }
      if (ways.empty()) {
        if (std::ranges::find(missing, step.entry) == missing.end()) missing.push_back(step.entry);
        continue;
      }
      layer.flops += ways.front().flops;
      layer.bytes += ways.front().bytes;
      const auto [found, is_new] = known.try_emplace(ways.front().name, layer.parts.size());
      if (is_new) layer.parts.push_back(std::move(ways));
      layer.order.push_back(found->second);
    }
    if (!missing.empty()) layer.notes["left_out"] = fmt::format("{}", fmt::join(missing, " "));
    rotate(layer);
    try {
      require_memory(layer.name, layer.memory_bytes, target_);
      list_.cases.push_back(std::move(layer));
    } catch (const Unavailable& error) {
      list_.left_out.emplace_back(error.what());
    }
  }

  // Alone, a part's runs go round so much memory as in its own program; but for a small part some
  // sets are enough, since all other parts run between its turns.
  void rotate(Case& layer) const {
    const auto all = static_cast<double>(target_.rotate_bytes);
    for (Ways& ways : layer.parts) {
      const double one = ways.front().memory_bytes;
      const double enough =
          std::max(kLeastSets * one, all / static_cast<double>(layer.parts.size()));
      const OperandOptions operands =
          options_.operands(static_cast<std::int64_t>(std::min(all, enough)));
      for (Case& way : ways) way.operands = operands;
      layer.memory_bytes += std::max(one, static_cast<double>(operands.rotate_bytes) + one);
    }
  }

  const Options& options_;
  const Target& target_;
  Finder finder_;
  CaseList list_;
};

void require_known_backend(const std::string& name) {
  if (name.empty()) return;
  std::vector<std::string_view> known;
  for (const GemmBackend& backend : gemm_backends()) known.push_back(backend.name);
  if (std::ranges::find(known, name) == known.end())
    throw BadInput(fmt::format("--prefer={}: expected one of {}", name, fmt::join(known, ", ")));
}

std::vector<DType> precisions(const Options& options, const Target& target) {
  if (options.dtypes.empty()) {
    return target.kind == DeviceKind::gpu ? std::vector{DType::fp8, DType::bf16}
                                          : std::vector{DType::fp32, DType::bf16};
  }
  std::vector<DType> out;
  for (const std::string& name : options.dtypes) {
    const DType dtype = *dtype_from(name);
    if (dtype != DType::fp8 && dtype != DType::bf16 && dtype != DType::fp32)
      throw BadInput(fmt::format("--dtype: '{}': expected one of bf16, fp32, fp8", name));
    out.push_back(dtype);
  }
  return out;
}

}  // namespace

CaseList layer_cases(const Options& options, const Target& target) {
  require_known_backend(options.prefer);
  std::vector<std::string> ids = options.models;
  if (ids.empty()) {
    ids = target.kind == DeviceKind::gpu ? std::vector<std::string>{"deepseek-v3", "llama-3-8b"}
                                         : std::vector<std::string>{"gpt2-124m"};
  }
  const Library library(published_data());
  Builder builder(options, target);
  for (const std::string& id : ids) {
    const Model model = library.model(id);
    for (const DType precision : precisions(options, target)) builder.add(model, precision);
  }
  return builder.take();
}

}  // namespace trainmeter
