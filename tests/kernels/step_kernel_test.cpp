// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's kernels of a step are right in each type and odd shape, and a wrong result is caught.
#include "kernels/step_kernel.hpp"

#include "kernels/step_arrays.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/step_verify.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <omp.h>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace trainmeter {
namespace {

using Role = StepArray::Role;

// Shapes of no multiple of anything, and of one row, one column and several blocks.
std::vector<StepProblem> problems(StepKernel kernel, DType type) {
  std::vector<StepProblem> out;
  const auto add = [&](const StepProblem& sizes) {
    StepProblem problem = sizes;
    problem.kernel = kernel;
    problem.dtype = step_takes(kernel, type) ? type : DType::fp8;
    out.push_back(problem);
  };
  if (kernel == StepKernel::rope || kernel == StepKernel::rope_backward) {
    add({.rows = 1, .heads = 1, .head_dim = 2});
    add({.rows = 37, .heads = 3, .head_dim = 10});
    add({.rows = 300, .heads = 5, .head_dim = 64});
  } else if (kernel == StepKernel::permute || kernel == StepKernel::permute_backward ||
             kernel == StepKernel::unpermute || kernel == StepKernel::unpermute_backward) {
    add({.rows = 1, .cols = 1, .experts = 1, .top_k = 1});
    add({.rows = 67, .cols = 33, .experts = 5, .top_k = 5});
    add({.rows = 300, .cols = 256, .experts = 64, .top_k = 6});
  } else if (kernel == StepKernel::topk_softmax || kernel == StepKernel::topk_softmax_backward) {
    add({.rows = 1, .experts = 1, .top_k = 1});
    add({.rows = 67, .experts = 13, .top_k = 13});
    add({.rows = 300, .experts = 256, .top_k = 8});
    add({.rows = 11, .experts = 1000, .top_k = 40});
  } else if (kernel == StepKernel::topk_sigmoid || kernel == StepKernel::topk_sigmoid_backward) {
    add({.rows = 1, .experts = 1, .top_k = 1});
    add({.rows = 67, .experts = 15, .top_k = 6, .groups = 5, .group_limit = 2});
    add({.rows = 300, .experts = 256, .top_k = 8, .groups = 8, .group_limit = 4});
    add({.rows = 67, .experts = 13, .top_k = 13});
    add({.rows = 67, .experts = 13, .top_k = 3, .groups = 13, .group_limit = 4});
    add({.rows = 11, .experts = 1000, .top_k = 40, .groups = 20, .group_limit = 3});
  } else if (kernel == StepKernel::adamw) {
    for (const std::int64_t weights : {1, 63, 100'003}) add({.weights = weights});
  } else {
    add({.rows = 1, .cols = 1});
    add({.rows = 3, .cols = 127});
    add({.rows = 130, .cols = 257});
    add({.rows = 257, .cols = 5000});
  }
  return out;
}

std::string described(const StepProblem& problem) {
  std::string out =
      std::string(to_string(problem.kernel)) + " " + std::string(to_string(problem.dtype));
  for (const auto& [name, size] : step_shape(problem)) {
    out += " " + name + ":" + std::to_string(size);
  }
  return out;
}

class CpuStep : public ::testing::TestWithParam<std::tuple<StepKernel, DType>> {};

TEST_P(CpuStep, IsRight) {
  const auto [kernel, type] = GetParam();
  const int threads = omp_get_max_threads();
  for (const StepBackend& backend : step_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    for (const StepProblem& problem : problems(kernel, type)) {
      for (const int used : {1, 2, 5}) {  // more threads than rows, too
        omp_set_num_threads(used);
        const auto operation =
            backend.make(problem, {.rotate_bytes = 3 * step_set_bytes(problem), .seed = 7});
        EXPECT_EQ(operation->sets(), 3);
        for (int round = 0; round < 2; ++round) {
          const Check check = operation->verify();
          EXPECT_TRUE(check.ok) << backend.name << ", " << described(problem) << ", " << used
                                << " threads: " << check.error << ", " << check.how;
          for (int set = 0; set < operation->sets(); ++set) operation->run(set);
        }
      }
    }
  }
  omp_set_num_threads(threads);
}

// Arrays of a problem, computed by the loops on one thread, to be damaged.
struct Arrays {
  explicit Arrays(const StepProblem& p) : problem(p), roles(step_arrays(p)) {
    for (std::size_t i = 0; i < roles.size(); ++i) {
      before.emplace_back(static_cast<std::size_t>(roles[i].bytes));
      if (roles[i].role != Role::output) {
        fill_step_array(p, i, before[i].data(), 1);
      }
    }
    after = before;
  }

  template <class T>
  T* in(std::size_t i) {
    return reinterpret_cast<T*>(before[i].data());
  }
  template <class T>
  T* out(std::size_t i) {
    return reinterpret_cast<T*>(after[i].data());
  }

  template <class T>
  void compute() {
    const StepProblem& p = problem;
    switch (p.kernel) {
      case StepKernel::rmsnorm:
        return rmsnorm(out<T>(2), in<T>(0), in<T>(1), p.rows, p.cols);
      case StepKernel::swiglu:
        return swiglu(out<T>(1), in<T>(0), p.rows, p.cols);
      case StepKernel::rope:
        return rope(out<T>(2), in<T>(0), in<float>(1), p.rows, p.heads, p.head_dim);
      case StepKernel::cast_fp8:
      case StepKernel::cast_fp8_transpose:
        cast_fp8(out<std::uint8_t>(1), out<float>(2), in<T>(0), p.rows, p.cols);
        if (p.kernel == StepKernel::cast_fp8) return;
        return cast_transposed(out<std::uint8_t>(3), out<float>(4), in<T>(0),
                               {p.rows, p.cols, p.cols, p.rows, 1});
      case StepKernel::cast_fp8_block:  // of one block
        return cast_square(out<std::uint8_t>(1), out<float>(2), in<T>(0), p.rows, p.cols, p.cols);
      case StepKernel::recast_fp8:  // of one tile
        return recast_tile(out<std::uint8_t>(2), out<float>(3), in<std::uint8_t>(0), in<float>(1),
                           {p.rows, p.cols, p.cols, p.rows, 1});
      case StepKernel::permute:
        for (std::int64_t i = 0; i < p.rows * p.top_k; ++i) {
          std::copy_n(in<T>(0) + i / p.top_k * p.cols, p.cols,
                      out<T>(2) + in<std::int32_t>(1)[i] * p.cols);
        }
        return;
      case StepKernel::residual_add:
        return residual_add(out<T>(2), in<T>(0), in<T>(1), p.rows * p.cols);
      case StepKernel::layernorm:
        return layernorm(out<T>(3), in<T>(0), in<T>(1), in<T>(2), p.rows, p.cols);
      case StepKernel::gelu:
        return gelu(out<T>(1), in<T>(0), p.rows * p.cols);
      case StepKernel::cross_entropy:
        return cross_entropy(out<float>(2), out<T>(3), in<T>(0), in<std::int32_t>(1), p.rows,
                             p.cols);
      case StepKernel::adamw:
        return adamw(out<float>(1), out<float>(2), out<float>(3),
                     roles.size() > 4 ? out<Bf16>(4) : nullptr, in<float>(0), p.weights);
      case StepKernel::rmsnorm_backward:
        return rmsnorm_backward(out<T>(3), out<float>(4), in<T>(0), in<T>(1), in<T>(2), p.rows,
                                p.cols);
      case StepKernel::swiglu_backward:
        return swiglu_backward(out<T>(2), in<T>(0), in<T>(1), p.rows, p.cols);
      case StepKernel::layernorm_backward:
        return layernorm_backward(out<T>(3), out<float>(4), out<float>(5), in<T>(0), in<T>(1),
                                  in<T>(2), p.rows, p.cols);
      case StepKernel::gelu_backward:
        return gelu_backward(out<T>(2), in<T>(0), in<T>(1), p.rows * p.cols);
      case StepKernel::rope_backward:
        return rope_backward(out<T>(2), in<T>(0), in<float>(1), p.rows, p.heads, p.head_dim);
      case StepKernel::permute_backward:
        return permute_backward(out<T>(2), in<T>(0), in<std::int32_t>(1), p.rows, p.cols, p.top_k);
      case StepKernel::unpermute:
        return unpermute(out<T>(3), in<T>(0), routed());
      case StepKernel::unpermute_backward:
        return unpermute_backward(out<T>(4), out<float>(5), in<T>(0), in<T>(3), routed());
      case StepKernel::topk_softmax:
        return topk_softmax(out<std::int32_t>(1), out<float>(2), in<T>(0),
                            {p.rows, p.experts, p.top_k});
      case StepKernel::topk_softmax_backward:
        return topk_softmax_backward(out<T>(3), in<std::int32_t>(0), in<float>(1), in<float>(2),
                                     {p.rows, p.experts, p.top_k});
      case StepKernel::topk_sigmoid:
        return topk_sigmoid({out<std::int32_t>(2), out<float>(3), out<float>(4)}, in<T>(0),
                            in<float>(1), {p.rows, p.experts, p.top_k, p.groups, p.group_limit});
      case StepKernel::topk_sigmoid_backward:
        return topk_sigmoid_backward(out<T>(3), in<std::int32_t>(0), in<float>(1), in<float>(2),
                                     {p.rows, p.experts, p.top_k});
    }
  }

  RoutedRows routed() {
    return {in<std::int32_t>(1), in<float>(2), problem.rows, problem.cols, problem.top_k};
  }

  [[nodiscard]] Check check() const {
    std::vector<const void*> b;
    std::vector<const void*> a;
    for (std::size_t i = 0; i < roles.size(); ++i) {
      b.push_back(before[i].data());
      a.push_back(after[i].data());
    }
    return verify_step(problem, b, a);
  }

  StepProblem problem;
  std::vector<StepArray> roles;
  std::vector<std::vector<char>> before, after;
};

std::size_t element_bytes(const StepProblem& p, std::size_t output) {
  switch (p.kernel) {
    case StepKernel::cast_fp8:
    case StepKernel::cast_fp8_transpose:
    case StepKernel::cast_fp8_block:
      return output % 2 == 1 ? 1 : 4;
    case StepKernel::recast_fp8:
      return output % 2 == 0 ? 1 : 4;
    case StepKernel::cross_entropy:
      return output == 2 ? 4 : static_cast<std::size_t>(size_of(p.dtype));
    case StepKernel::adamw:
      return output == 4 ? 2 : 4;
    case StepKernel::topk_softmax:
    case StepKernel::topk_sigmoid:
      return 4;
    case StepKernel::unpermute_backward:
      return output == 5 ? 4 : static_cast<std::size_t>(size_of(p.dtype));
    case StepKernel::rmsnorm_backward:
    case StepKernel::layernorm_backward:
      return output >= 4 ? 4 : static_cast<std::size_t>(size_of(p.dtype));
    default:
      return static_cast<std::size_t>(size_of(p.dtype));
  }
}

TEST_P(CpuStep, AWrongElementIsCaughtWhereverItIs) {
  const auto [kernel, type] = GetParam();
  StepProblem problem = problems(kernel, type)[1];
  if (kernel == StepKernel::cast_fp8_transpose) problem.rows = 64;  // one tile
  // With more rows all would be NaN, as poison is.
  if (kernel == StepKernel::cast_fp8_block || kernel == StepKernel::recast_fp8) problem.rows = 2;
  Arrays arrays(problem);
  if (type == DType::bf16) {
    arrays.compute<Bf16>();
  } else {
    arrays.compute<float>();
  }
  ASSERT_TRUE(arrays.check().ok) << arrays.check().error;
  const std::vector<std::vector<char>> right = arrays.after;
  for (std::size_t i = 0; i < arrays.roles.size(); ++i) {
    if (arrays.roles[i].role == Role::input) continue;
    std::vector<char>& bytes = arrays.after[i];
    const std::size_t e = element_bytes(problem, i);
    for (const std::size_t element : {std::size_t{0}, bytes.size() / e / 2, bytes.size() / e - 1}) {
      bytes[element * e + e - 1] ^= 0x40;  // of the exponent
      EXPECT_FALSE(arrays.check().ok) << described(problem) << ": array " << i << ", " << element;
      bytes = right[i];
    }
    std::ranges::fill(bytes, static_cast<char>(0xff));  // as poisoned
    EXPECT_FALSE(arrays.check().ok) << described(problem) << ": array " << i;
    bytes = arrays.before[i];  // as if nothing had run
    EXPECT_FALSE(arrays.check().ok) << described(problem) << ": array " << i;
    bytes = right[i];
  }
}

TEST_P(CpuStep, BytesAreTheArraysEachMovedOnce) {
  const auto [kernel, type] = GetParam();
  for (const StepProblem& problem : problems(kernel, type)) {
    double moved = 0;
    for (const StepArray& array : step_arrays(problem)) {
      moved += static_cast<double>(array.bytes) * (array.role == Role::state ? 2 : 1);
    }
    EXPECT_DOUBLE_EQ(step_kernel_bytes(to_string(kernel), step_shape(problem),
                                       static_cast<double>(size_of(problem.dtype))),
                     moved)
        << described(problem);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CpuStep,
                         ::testing::Combine(::testing::ValuesIn(kStepKernels),
                                            ::testing::Values(DType::bf16, DType::fp32)),
                         [](const auto& p) {
                           return std::string(to_string(std::get<0>(p.param))) + "_" +
                                  std::string(to_string(std::get<1>(p.param)));
                         });

TEST(StepKernels, AreCalledAsTheRecordCallsThem) {
  std::vector<std::string> names;
  for (const StepKernel kernel : kStepKernels) names.emplace_back(to_string(kernel));
  EXPECT_EQ(names, step_kernel_names());
}

TEST(StepKernels, RefuseWhatTheyCannotDo) {
  const StepProblem norm = {.rows = 4, .cols = 8};
  for (const StepBackend& backend : step_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    StepProblem problem = norm;
    problem.dtype = DType::fp64;
    EXPECT_THAT(backend.why_not(problem), ::testing::HasSubstr("isn't of fp64"));
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
    problem = norm;
    problem.kernel = StepKernel::recast_fp8;
    EXPECT_THROW(backend.make(problem, {}), Unavailable);  // in bf16
    problem = norm;
    problem.rows = problem.cols = 1 << 22;  // 32 TiB
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
    for (const StepProblem& bad :
         {StepProblem{.rows = 0, .cols = 8}, StepProblem{.rows = 8, .cols = std::int64_t{1} << 31},
          StepProblem{.kernel = StepKernel::rope, .rows = 2, .heads = 2, .head_dim = 3},
          StepProblem{
              .kernel = StepKernel::permute, .rows = 2, .cols = 2, .experts = 2, .top_k = 3},
          StepProblem{.kernel = StepKernel::topk_softmax, .rows = 2, .experts = 2, .top_k = 3},
          StepProblem{
              .kernel = StepKernel::topk_sigmoid, .rows = 2, .experts = 6, .top_k = 1, .groups = 4},
          StepProblem{.kernel = StepKernel::topk_sigmoid,
          .rows = 2,
          .experts = 6,
          .top_k = 1,
          .groups = 3,
          .group_limit = 4},
          StepProblem{.kernel = StepKernel::topk_sigmoid,
          .rows = 2,
          .experts = 6,
          .top_k = 3,
          .groups = 3,
          .group_limit = 1},
          StepProblem{.kernel = StepKernel::topk_softmax_backward,
          .rows = 1 << 30,
          .experts = 1 << 30,
          .top_k = 1},
          StepProblem{.kernel = StepKernel::adamw, .rows = 2, .cols = 2}}) {
      EXPECT_THROW(backend.make(bad, {}), std::invalid_argument);
    }
  }
}

TEST(StepArrays, PlacesAreAPermutationSortedByExpert) {
  const StepProblem p = {
      .kernel = StepKernel::permute, .rows = 50, .cols = 1, .experts = 4, .top_k = 2};
  std::vector<std::int32_t> places(100);
  fill_step_array(p, 1, places.data(), 3);
  std::vector<std::int32_t> sorted = places;
  std::ranges::sort(sorted);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
  for (std::size_t row = 0; row < 50; ++row) EXPECT_NE(places[2 * row], places[2 * row + 1]);
}

}  // namespace
}  // namespace trainmeter
