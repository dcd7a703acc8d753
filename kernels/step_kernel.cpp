// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Names and sizes of the kernels of a step.
#include "kernels/step_kernel.hpp"

#include <limits>
#include <stdexcept>

namespace trainmeter {
namespace {

// Rows, columns and places are indexed with 32 bits, elements with 64.
constexpr std::int64_t kMostIndex = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostElements = std::int64_t{1} << 44;

bool is_rope(StepKernel kernel) {
  return kernel == StepKernel::rope || kernel == StepKernel::rope_backward;
}

bool is_router(StepKernel kernel) {
  return kernel == StepKernel::topk_softmax || kernel == StepKernel::topk_softmax_backward ||
         kernel == StepKernel::topk_sigmoid || kernel == StepKernel::topk_sigmoid_backward;
}

bool is_permute(StepKernel kernel) {
  return kernel == StepKernel::permute || kernel == StepKernel::permute_backward ||
         kernel == StepKernel::unpermute || kernel == StepKernel::unpermute_backward;
}

std::map<std::string, std::int64_t> sizes_of(const StepProblem& p) {
  switch (p.kernel) {
    case StepKernel::rope:
    case StepKernel::rope_backward:
      return {{"rows", p.rows}, {"heads", p.heads}, {"head_dim", p.head_dim}};
    case StepKernel::permute:
    case StepKernel::permute_backward:
    case StepKernel::unpermute:
    case StepKernel::unpermute_backward:
      return {{"rows", p.rows}, {"cols", p.cols}, {"experts", p.experts}, {"top_k", p.top_k}};
    case StepKernel::topk_softmax:
    case StepKernel::topk_softmax_backward:
    case StepKernel::topk_sigmoid_backward:  // which knows what was chosen
      return {{"rows", p.rows}, {"experts", p.experts}, {"top_k", p.top_k}};
    case StepKernel::topk_sigmoid:
      return {{"rows", p.rows},
              {"experts", p.experts},
              {"top_k", p.top_k},
              {"groups", p.groups},
              {"group_limit", p.group_limit}};
    case StepKernel::adamw:
      return {{"weights", p.weights}};
    default:
      return {{"rows", p.rows}, {"cols", p.cols}};
  }
}

}  // namespace

std::string_view to_string(StepKernel kernel) {
  const auto i = static_cast<std::size_t>(kernel);
  if (i >= kStepKernelNames.size()) throw std::invalid_argument("no such kernel of a step");
  return kStepKernelNames[i];
}

bool step_takes(StepKernel kernel, DType dtype) {
  if (kernel == StepKernel::recast_fp8) return dtype == DType::fp8;
  return dtype == DType::bf16 || dtype == DType::fp32;
}

std::map<std::string, std::int64_t> step_shape(const StepProblem& p) {
  std::map<std::string, std::int64_t> sizes = sizes_of(p);
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(std::string(to_string(p.kernel)) + ": " + why);
  };
  std::int64_t elements = 1;
  for (const auto& [name, size] : sizes) {
    const std::int64_t most = name == "weights" ? kMostElements : kMostIndex;
    if (size < 1 || size > most) {
      refuse(name + ": expected 1 to " + std::to_string(most) + ", found " + std::to_string(size));
    }
    if (name == "experts" && is_permute(p.kernel)) continue;  // of no array
    if (name == "groups" || name == "group_limit") continue;
    if (size > kMostElements / elements) refuse("too many elements");
    elements *= size;
  }
  if (is_rope(p.kernel) && p.head_dim % 2 != 0) refuse("head_dim is even");
  if (is_rope(p.kernel) && p.heads * p.head_dim > kMostIndex) refuse("too many heads");
  const bool has_top_k = is_permute(p.kernel) || is_router(p.kernel);
  if (has_top_k && p.top_k > p.experts) refuse("top_k is at most experts");
  if (has_top_k && p.rows * p.top_k > kMostIndex) refuse("too many copies");
  if (p.kernel == StepKernel::topk_sigmoid) {
    if (p.experts % p.groups != 0) refuse("groups: expected a divisor of the experts");
    if (p.group_limit > p.groups) refuse("group_limit is at most groups");
    if (p.top_k > p.experts / p.groups * p.group_limit)
      refuse("top_k is at most the experts of group_limit groups");
  }
  return sizes;
}

}  // namespace trainmeter
