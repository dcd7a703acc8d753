// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The names of the step kernels' arrays stand where step_arrays() lists these.
#include "kernels/step_array_order.hpp"

#include "kernels/step_arrays.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace trainmeter {
namespace {

struct Named {
  std::string_view name;
  std::size_t place;
};

#define AT(name)   \
  Named {          \
#name, A::name \
  }

std::vector<Named> named(StepKernel kernel) {
  switch (kernel) {
    case StepKernel::rmsnorm: {
      using A = arrays::RmsNorm;
      return {AT(x), AT(w), AT(y)};
    }
    case StepKernel::swiglu: {
      using A = arrays::Swiglu;
      return {AT(x), AT(y)};
    }
    case StepKernel::rope: {
      using A = arrays::Rope;
      return {AT(x), AT(table), AT(y)};
    }
    case StepKernel::cast_fp8: {
      using A = arrays::CastFp8;
      return {AT(x), AT(q), AT(s)};
    }
    case StepKernel::cast_fp8_transpose: {
      using A = arrays::CastFp8Transpose;
      return {AT(x), AT(q), AT(s), AT(q_t), AT(s_t)};
    }
    case StepKernel::cast_fp8_block: {
      using A = arrays::CastFp8Block;
      return {AT(x), AT(q), AT(s)};
    }
    case StepKernel::recast_fp8: {
      using A = arrays::RecastFp8;
      return {AT(q), AT(s), AT(q_t), AT(s_t)};
    }
    case StepKernel::permute: {
      using A = arrays::Permute;
      return {AT(x), AT(place), AT(y)};
    }
    case StepKernel::residual_add: {
      using A = arrays::ResidualAdd;
      return {AT(a), AT(b), AT(y)};
    }
    case StepKernel::layernorm: {
      using A = arrays::LayerNorm;
      return {AT(x), AT(w), AT(b), AT(y)};
    }
    case StepKernel::gelu: {
      using A = arrays::Gelu;
      return {AT(x), AT(y)};
    }
    case StepKernel::cross_entropy: {
      using A = arrays::CrossEntropy;
      return {AT(x), AT(target), AT(loss), AT(gradient)};
    }
    case StepKernel::adamw: {
      using A = arrays::AdamW;
      return {AT(gradient), AT(weight), AT(m), AT(v), AT(rounded)};
    }
    case StepKernel::rmsnorm_backward: {
      using A = arrays::RmsNormBackward;
      return {AT(x), AT(w), AT(dy), AT(dx), AT(dw)};
    }
    case StepKernel::swiglu_backward: {
      using A = arrays::SwigluBackward;
      return {AT(x), AT(dy), AT(dx)};
    }
    case StepKernel::layernorm_backward: {
      using A = arrays::LayerNormBackward;
      return {AT(x), AT(w), AT(dy), AT(dx), AT(dw), AT(db)};
    }
    case StepKernel::gelu_backward: {
      using A = arrays::GeluBackward;
      return {AT(x), AT(dy), AT(dx)};
    }
    case StepKernel::rope_backward: {
      using A = arrays::RopeBackward;
      return {AT(dy), AT(table), AT(dx)};
    }
    case StepKernel::permute_backward: {
      using A = arrays::PermuteBackward;
      return {AT(dy), AT(place), AT(dx)};
    }
    case StepKernel::unpermute: {
      using A = arrays::Unpermute;
      return {AT(x), AT(place), AT(w), AT(y)};
    }
    case StepKernel::unpermute_backward: {
      using A = arrays::UnpermuteBackward;
      return {AT(x), AT(place), AT(w), AT(dy), AT(dx), AT(dw)};
    }
    case StepKernel::topk_softmax: {
      using A = arrays::TopkSoftmax;
      return {AT(x), AT(chosen), AT(w)};
    }
    case StepKernel::topk_softmax_backward: {
      using A = arrays::TopkSoftmaxBackward;
      return {AT(chosen), AT(w), AT(dw), AT(dx)};
    }
    case StepKernel::topk_sigmoid: {
      using A = arrays::TopkSigmoid;
      return {AT(x), AT(bias), AT(chosen), AT(w), AT(affinity)};
    }
    case StepKernel::topk_sigmoid_backward: {
      using A = arrays::TopkSigmoidBackward;
      return {AT(chosen), AT(affinity), AT(dw), AT(dx)};
    }
  }
  return {};
}

TEST(StepArrayOrder, IsThatOfTheArrays) {
  StepProblem problem = {
      .rows = 2, .cols = 4, .heads = 1, .head_dim = 2, .experts = 2, .top_k = 1, .weights = 3};
  for (const StepKernel kernel : kStepKernels) {
    problem.kernel = kernel;
    const std::vector<StepArray> arrays = step_arrays(problem);
    const std::vector<Named> names = named(kernel);
    ASSERT_EQ(names.size(), arrays.size()) << to_string(kernel);
    for (std::size_t i = 0; i < names.size(); ++i) {
      EXPECT_EQ(names[i].name, arrays[i].name) << to_string(kernel);
      EXPECT_EQ(names[i].place, i) << to_string(kernel) << ": " << names[i].name;
    }
  }
}

}  // namespace
}  // namespace trainmeter
