// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A layer's steps, run once in their order, each on what those before it wrote.
#pragma once

#include "bench/layer_reference.hpp"
#include "kernels/operation.hpp"
#include "workload/layer_steps.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter {

using MakeStep = std::function<std::unique_ptr<Operation>(const LayerStep&)>;

class NotTheLayer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A result, and the step whose operation was the last one before it was there: "d_expert_up",
// "expert_up wgrad (algorithm id 66, ...; case gemm/fp8/cublaslt/...)".
struct MadeBy {
  std::string result, step;
};
inline constexpr const char* kCaseNote = "case";  // note of an operation: which case it is

// What layer_reference() gives, computed by the operations that `make` makes. No step splits or
// merges columns and heads, which kernels with strides of their own needn't do, or adds up over
// heads the gradient of latent attention's shared key, or puts the logits of experts that the input
// doesn't choose out of reach: these are done here, between the steps.
//
// NotTheLayer where the steps aren't those of the layer in order, which names the first one that
// isn't. Unavailable where an operation keeps its operands to itself. Into `by` who made what, in
// the order of the results.
Tensors flow_through(const LayerInput& input, const LayerSteps& steps, const MakeStep& make,
                     std::vector<MadeBy>* by = nullptr);

}  // namespace trainmeter
