// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The memory-bound kernels of a training step at the shapes of models.
#include "bench/step_cases.hpp"

#include "bench/case_lists.hpp"
#include "kernels/step_arrays.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "workload/layer_steps.hpp"
#include "workload/run.hpp"
#include "workload/worklist.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

// A layer's weights beyond this many are measured as this many: AdamW treats all alike.
std::int64_t most_weights(const Target& target) {
  return std::int64_t{1} << (target.kind == DeviceKind::gpu ? 28 : 24);
}

// A layer of the kind that most of the model's layers are.
std::int64_t layer_weights(const Model& model) {
  StageContent one;
  (model.moe ? one.moe : one.dense) = 1;
  const StageWeights weights = stage_weights(model, {}, one);
  return static_cast<std::int64_t>(weights.common + weights.routed);
}

// What a kernel works on in a step of `model`; nothing where the model has no such kernel.
std::vector<StepProblem> problems(const Model& m, StepKernel kernel, std::int64_t tokens,
                                  const Target& target) {
  std::vector<StepProblem> out;
  const auto matrix = [&](std::int64_t rows, std::int64_t cols) {
    out.push_back({.kernel = kernel, .rows = rows, .cols = cols});
  };
  const bool gate = m.ffn_kind == FfnKind::swiglu;  // such models have rotary embeddings, too
  switch (kernel) {
    case StepKernel::layernorm:
    case StepKernel::layernorm_backward:
      if (layer_norm(m)) matrix(tokens, m.hidden);
      break;
    case StepKernel::rmsnorm:
    case StepKernel::rmsnorm_backward:
      if (layer_norm(m)) break;
      matrix(tokens, m.hidden);
      if (m.mla) {
        matrix(tokens, m.mla->q_lora_rank);
        matrix(tokens, m.mla->kv_lora_rank);
      }
      break;
    case StepKernel::cast_fp8:
    case StepKernel::cast_fp8_transpose:
    case StepKernel::recast_fp8:
    case StepKernel::residual_add:
      matrix(tokens, m.hidden);
      break;
    case StepKernel::cast_fp8_block:  // what an FFN goes up by, an expert's where there are any
      matrix((gate ? 2 : 1) * (m.moe ? m.moe->expert_ffn : m.ffn), m.hidden);
      break;
    case StepKernel::cross_entropy:
      matrix(tokens, m.vocab);
      break;
    case StepKernel::gelu:
    case StepKernel::gelu_backward:
      if (m.ffn_kind == FfnKind::gelu) matrix(tokens, m.ffn);
      break;
    case StepKernel::swiglu:
    case StepKernel::swiglu_backward:
      if (gate && m.ffn > 0) matrix(tokens, m.ffn);
      if (gate && m.moe) matrix(tokens * m.moe->experts_per_token, m.moe->expert_ffn);
      break;
    case StepKernel::rope:
    case StepKernel::rope_backward:  // queries and keys; latent attention has one key for all heads
      if (!gate) break;
      out.push_back({.kernel = kernel,
                     .rows = tokens,
                     .heads = m.heads + (m.mla ? 1 : m.kv_heads),
                     .head_dim = m.mla ? m.mla->qk_rope_head_dim : m.head_dim});
      break;
    case StepKernel::permute:
    case StepKernel::permute_backward:
    case StepKernel::unpermute:
    case StepKernel::unpermute_backward:
      if (!m.moe) break;
      out.push_back({.kernel = kernel,
                     .rows = tokens,
                     .cols = m.hidden,
                     .experts = m.moe->experts,
                     .top_k = m.moe->experts_per_token});
      break;
    case StepKernel::topk_softmax:
    case StepKernel::topk_softmax_backward:
    case StepKernel::topk_sigmoid:
    case StepKernel::topk_sigmoid_backward: {  // one pair or the other
      const auto sigmoid = sigmoid_routing(m);
      const bool asked =
          kernel == StepKernel::topk_sigmoid || kernel == StepKernel::topk_sigmoid_backward;
      if (!m.moe || sigmoid.has_value() != asked) break;
      const SigmoidRouting all = sigmoid.value_or(SigmoidRouting{1, 1});
      out.push_back({.kernel = kernel,
                     .rows = tokens,
                     .experts = m.moe->experts,
                     .top_k = m.moe->experts_per_token,
                     .groups = all.groups,
                     .group_limit = all.group_limit});
      break;
    }
    case StepKernel::adamw:
      out.push_back(
          {.kernel = kernel, .weights = std::min(layer_weights(m), most_weights(target))});
      break;
  }
  return out;
}

class Builder {
 public:
  explicit Builder(const Target& target) : target_(target) {}

  void add(const StepProblem& problem) {
    for (const StepBackend& backend : step_backends()) {
      if (backend.device != target_.kind) continue;
      Case made = step_case(problem, backend);
      if (!names_.insert(made.name).second) continue;
      if (const std::string why = backend.why_not(problem); !why.empty()) {
        leave_out(made.name + ": " + why);
        continue;
      }
      if (std::string why = why_no_room(made.name, made.memory_bytes, target_); !why.empty()) {
        leave_out(std::move(why));
        continue;
      }
      list_.cases.push_back(std::move(made));
    }
  }

  void leave_out(std::string why) { list_.left_out.push_back(std::move(why)); }
  CaseList take() { return std::move(list_); }

 private:
  const Target& target_;
  CaseList list_;
  std::set<std::string> names_;
};

}  // namespace

Case step_case(const StepProblem& problem, const StepBackend& backend) {
  Case made;
  made.operation = to_string(problem.kernel);
  made.dtype = to_string(problem.dtype);
  made.backend = backend.name;
  made.shape = step_shape(problem);
  made.name = fmt::format("{}/{}/{}", made.operation, made.dtype, made.backend);
  for (const char* key : {"rows", "cols", "heads", "head_dim", "experts", "top_k", "groups",
                          "group_limit", "weights"}) {
    if (made.shape.contains(key)) made.name += fmt::format("/{}:{}", key, made.shape.at(key));
  }
  made.bytes =
      step_kernel_bytes(made.operation, made.shape, static_cast<double>(size_of(problem.dtype)));
  made.memory_bytes = static_cast<double>(step_set_bytes(problem));
  made.make = [problem, make = backend.make](const OperandOptions& operands) {
    return make(problem, operands);
  };
  return made;
}

CaseList step_cases(const Options& options, const std::vector<StepKernel>& kernels,
                    const std::vector<DType>& dtypes, const Target& target) {
  const std::int64_t tokens = tokens_of_models(options, target);
  if (options.data != "normal") {
    throw BadInput("--data: the kernels of a step have content of their own; expected normal");
  }
  const Library library(published_data());
  Builder builder(target);
  for (const std::string& id : options.models) {
    const Model model = library.model(id);
    for (const StepKernel kernel : kernels) {
      const std::vector<StepProblem> found = problems(model, kernel, tokens, target);
      if (found.empty() && !options.kernels.empty()) {
        builder.leave_out(fmt::format("{}: {} has none", to_string(kernel), id));
      }
      for (StepProblem problem : found) {
        for (const DType dtype : dtypes) {
          problem.dtype = step_takes(kernel, dtype) ? dtype : DType::fp8;
          builder.add(problem);
        }
      }
    }
  }
  return builder.take();
}

}  // namespace trainmeter
