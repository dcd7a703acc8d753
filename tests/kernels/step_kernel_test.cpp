// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's kernels of a step are right in each type and odd shape, a wrong result is caught, and
// fp8 is what one works out by hand.
#include "kernels/step_kernel.hpp"

#include "kernels/random.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/step_verify.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
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
    problem.dtype = type;
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
        fill_step_array(p, static_cast<int>(i), before[i].data(), 1);
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
      case StepKernel::permute:
        for (std::int64_t i = 0; i < p.rows * p.top_k; ++i) {
          std::copy_n(in<T>(0) + i / p.top_k * p.cols, p.cols,
                      out<T>(2) + in<std::int32_t>(1)[i] * p.cols);
        }
        return;
      case StepKernel::residual_add:
        return residual_add(out<T>(2), in<T>(0), in<T>(1), p.rows * p.cols);
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
      return output % 2 == 1 ? 1 : 4;
    case StepKernel::cross_entropy:
      return output == 2 ? 4 : static_cast<std::size_t>(size_of(p.dtype));
    case StepKernel::adamw:
      return output == 4 ? 2 : 4;
    case StepKernel::topk_softmax:
      return 4;
    case StepKernel::unpermute_backward:
      return output == 5 ? 4 : static_cast<std::size_t>(size_of(p.dtype));
    case StepKernel::rmsnorm_backward:
      return output == 4 ? 4 : static_cast<std::size_t>(size_of(p.dtype));
    default:
      return static_cast<std::size_t>(size_of(p.dtype));
  }
}

TEST_P(CpuStep, AWrongElementIsCaughtWhereverItIs) {
  const auto [kernel, type] = GetParam();
  StepProblem problem = problems(kernel, type)[1];
  if (kernel == StepKernel::cast_fp8_transpose) problem.rows = 64;  // one tile
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
                                       static_cast<double>(size_of(type))),
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
    EXPECT_THAT(backend.why_not(problem), ::testing::HasSubstr("not fp64"));
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
    problem = norm;
    problem.rows = problem.cols = 1 << 22;  // 32 TiB
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
    for (const StepProblem& bad :
         {StepProblem{.rows = 0, .cols = 8}, StepProblem{.rows = 8, .cols = std::int64_t{1} << 31},
          StepProblem{.kernel = StepKernel::rope, .rows = 2, .heads = 2, .head_dim = 3},
          StepProblem{
              .kernel = StepKernel::permute, .rows = 2, .cols = 2, .experts = 2, .top_k = 3},
          StepProblem{.kernel = StepKernel::topk_softmax, .rows = 2, .experts = 2, .top_k = 3},
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

// Casts one row; its values again, scaled back.
struct CastRow {
  explicit CastRow(std::vector<float> values) : x(std::move(values)), q(x.size()) {
    scales.resize(static_cast<std::size_t>(cast_blocks(static_cast<std::int64_t>(x.size()))));
    cast_fp8(q.data(), scales.data(), x.data(), 1, static_cast<std::int64_t>(x.size()));
  }
  std::vector<float> x;
  std::vector<std::uint8_t> q;
  std::vector<float> scales;
};

TEST(CastFp8, OfABlockByHand) {
  // amax 448: scale 1, each value as e4m3 has it, ties to even.
  const CastRow cast({448, -448, 1, 1.0625F, 1.1875F, 0x1p-6F, 0x1p-9F, 0x1p-10F, 0x1.8p-10F, 0, 17,
                      19, 0x1.fp-7F});
  EXPECT_EQ(cast.scales[0], 1);
  EXPECT_THAT(cast.q, ::testing::ElementsAre(0x7e, 0xfe, 0x38, 0x38, 0x3a, 0x08, 0x01, 0x00, 0x01,
                                             0x00, 0x58, 0x5a, 0x08));
}

TEST(CastFp8, ScalesEachBlockByItself) {
  std::vector<float> x(300, 0.5F);
  x[0] = 896;    // scale 2
  x[128] = -14;  // scale 1 / 32
  const CastRow cast(x);
  ASSERT_EQ(cast.scales.size(), 3U);
  EXPECT_EQ(cast.scales[0], 2);
  EXPECT_EQ(cast.scales[1], 1.0F / 32);
  EXPECT_EQ(cast.scales[2], 0.5F / 448);
  EXPECT_EQ(cast.q[0], 0x7e);
  EXPECT_EQ(float_from_fp8(cast.q[1]), 0.25);
  EXPECT_EQ(cast.q[128], 0xfe);
  EXPECT_EQ(float_from_fp8(cast.q[129]), 16);
  EXPECT_EQ(cast.q[299], 0x7e);
}

TEST(CastFp8, ZeroAndNonFiniteBlocks) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(384, 1.0F);
    std::fill_n(x.begin() + 128, 128, 0.0F);
    x[300] = bad;
    const CastRow cast(x);
    EXPECT_EQ(cast.q[127], 0x7e);
    EXPECT_EQ(cast.scales[1], 1);
    EXPECT_EQ(std::count(cast.q.begin() + 128, cast.q.begin() + 256, 0), 128);
    EXPECT_TRUE(std::isnan(cast.scales[2]));
    EXPECT_EQ(std::count(cast.q.begin() + 256, cast.q.end(), 0x7f), 128);
  }
  // Below 448 x 2^-126 the scale stays a normal number.
  const CastRow tiny({1e-40F, 0});
  EXPECT_EQ(tiny.scales[0], kLeastScale);
  EXPECT_NEAR(float_from_fp8(tiny.q[0]) * static_cast<double>(kLeastScale), 1e-40, 0x1p-136);
}

TEST(CastFp8, TransposedIsTheCastOfTheTranspose) {
  constexpr std::int64_t kRows = 100;
  constexpr std::int64_t kCols = 70;
  std::vector<float> x(kRows * kCols);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  x[5 * kCols + 3] = std::numeric_limits<float>::infinity();
  for (std::int64_t r = 0; r < kRows; ++r) x[static_cast<std::size_t>(r * kCols + 9)] = 0;
  std::vector<float> turned(x.size());
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t c = 0; c < kCols; ++c) turned[c * kRows + r] = x[r * kCols + c];
  }
  std::vector<std::uint8_t> q(x.size());
  std::vector<std::uint8_t> expected(x.size());
  std::vector<float> scales(kCols);
  std::vector<float> expected_scales(kCols);
  cast_transposed(q.data(), scales.data(), x.data(), {kRows, kCols, kCols, kRows, 1});
  cast_fp8(expected.data(), expected_scales.data(), turned.data(), kCols, kRows);
  EXPECT_EQ(q, expected);
  EXPECT_TRUE(std::isnan(scales[3]) && std::isnan(expected_scales[3]));
  scales[3] = expected_scales[3] = 0;
  EXPECT_EQ(scales, expected_scales);
}

TEST(StepLoops, OneRowByHand) {
  float y[4];
  const float x[4] = {3, 4, 0, 0};
  const float w[4] = {1, 2, 3, 4};
  rmsnorm(y, x, w, 1, 2);  // root mean square: sqrt(12.5)
  EXPECT_NEAR(y[0], 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[1], 8 / std::sqrt(12.5), 1e-6);
  swiglu(y, x, 1, 2);  // gates 3 and 4 on zeros
  EXPECT_EQ(y[0], 0);
  swiglu(y, w, 1, 2);
  EXPECT_NEAR(y[0], 1 / (1 + std::exp(-1.0)) * 3, 1e-6);
  const float quarter_turn[2] = {0, 1};
  rope(y, x, quarter_turn, 1, 1, 2);
  EXPECT_EQ(y[0], -4);
  EXPECT_EQ(y[1], 3);
  float loss = 0;
  const std::int32_t target = 1;
  cross_entropy(&loss, y, x, &target, 1, 2);  // log(e^3 + e^4) - 4 = log(1 + 1 / e)
  EXPECT_NEAR(loss, std::log(1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(y[0], 1 / (1 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(y[1], -1 / (1 + std::exp(1.0)), 1e-6);
}

// Each gradient against the forward kernel in fp32: the loss is sum of dy y, its slope along one
// element by a central difference of 2^-7.
TEST(StepLoops, GradientsAreTheSlopesOfTheForwardKernels) {
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kCols = 8;  // rope: two heads of four
  const auto random = [](std::size_t count, std::uint64_t seed) {
    std::vector<float> out(count);
    fill_random(out.data(), static_cast<std::int64_t>(count), DType::fp32, seed);
    return out;
  };
  std::vector<float> x = random(2 * kRows * kCols, 1);
  std::vector<float> w = random(kCols, 2);
  const std::vector<float> dy = random(kRows * kCols, 3);
  const auto slope = [&](float& at, const auto& forward) {
    constexpr float kStep = 0x1p-7F;
    const float kept = at;
    const auto loss = [&](float moved) {
      at = moved;
      std::vector<float> y(kRows * kCols);
      forward(y.data());
      return std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
    };
    const double out = (loss(kept + kStep) - loss(kept - kStep)) / (2 * kStep);
    at = kept;
    return out;
  };
  std::vector<float> dx(2 * kRows * kCols);
  std::vector<float> dw(kCols);
  const auto norm = [&](float* y) { rmsnorm(y, x.data(), w.data(), kRows, kCols); };
  rmsnorm_backward(dx.data(), dw.data(), x.data(), w.data(), dy.data(), kRows, kCols);
  for (std::size_t i = 0; i < kRows * kCols; ++i) EXPECT_NEAR(dx[i], slope(x[i], norm), 2e-3);
  for (std::size_t c = 0; c < kCols; ++c) EXPECT_NEAR(dw[c], slope(w[c], norm), 2e-3);
  const auto gate = [&](float* y) { swiglu(y, x.data(), kRows, kCols); };
  swiglu_backward(dx.data(), x.data(), dy.data(), kRows, kCols);
  for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], slope(x[i], gate), 2e-3);
  const std::vector<float> table = random(kRows * 4, 4);  // a linear map, whatever its entries
  const auto turn = [&](float* y) { rope(y, x.data(), table.data(), kRows, 2, 4); };
  rope_backward(dx.data(), dy.data(), table.data(), kRows, 2, 4);
  for (std::size_t i = 0; i < kRows * kCols; ++i) EXPECT_NEAR(dx[i], slope(x[i], turn), 2e-3);
}

TEST(StepLoops, APermutationsGradientSumsTheCopies) {
  const float dy[8] = {1, 2, 10, 20, 100, 200, 1000, 2000};  // four copies of two columns
  const std::int32_t place[4] = {0, 3, 2, 1};                // of two tokens
  float dx[4];
  permute_backward(dx, dy, place, 2, 2, 2);
  EXPECT_THAT(dx, ::testing::ElementsAre(1001, 2002, 110, 220));
}

TEST(StepLoops, UnpermuteByHand) {
  const float x[8] = {1, 2, 10, 20, 100, 200, 1000, 2000};  // four copies of two columns
  const std::int32_t place[4] = {0, 3, 2, 1};               // of two tokens
  const float w[4] = {1, 0.5, 2, 3};
  const RoutedRows of = {place, w, 2, 2, 2};
  float y[4];
  unpermute(y, x, of);
  EXPECT_THAT(y, ::testing::ElementsAre(501, 1002, 230, 460));
  const float dy[4] = {1, 2, 3, 4};
  float dx[8];
  float dw[4];
  unpermute_backward(dx, dw, x, dy, of);
  EXPECT_THAT(dx, ::testing::ElementsAre(1, 2, 9, 12, 6, 8, 0.5, 1));
  EXPECT_THAT(dw, ::testing::ElementsAre(5, 5000, 1100, 110));
}

TEST(StepLoops, ATokensExpertsByHand) {
  const float x[6] = {1, 3, 3, -2, 1 + std::log(3.0F), 2};
  std::int32_t chosen[3];
  float w[3];
  topk_softmax(chosen, w, x, {1, 6, 3});
  EXPECT_THAT(chosen, ::testing::ElementsAre(1, 2, 4));  // of equal ones the lower first
  const float sum = 2 * std::exp(2.0F) + 3;
  EXPECT_THAT(w, ::testing::Pointwise(::testing::FloatNear(1e-6F),
                                      {std::exp(2.0F) / sum, std::exp(2.0F) / sum, 3 / sum}));
  const float gates[2] = {0.25F, 0.75F};
  const float d_gates[2] = {8, 4};  // 5 in the gates' mean
  const std::int32_t two[2] = {3, 0};
  float dx[5];
  topk_softmax_backward(dx, two, gates, d_gates, {1, 5, 2});
  EXPECT_THAT(dx, ::testing::ElementsAre(-0.75, 0, 0, 0.75, 0));
}

TEST(StepLoops, LargeValuesOverflowNothing) {
  float y[2];
  const float gates[4] = {-200, 200, 1, 1};
  swiglu(y, gates, 1, 2);
  EXPECT_NEAR(y[0], 0, 1e-30);
  EXPECT_EQ(y[1], 200);
  float dx[4];
  const float ones[2] = {1, 1};
  swiglu_backward(dx, gates, ones, 1, 2);
  EXPECT_NEAR(dx[0], 0, 1e-30);
  EXPECT_EQ(dx[1], 1);
  EXPECT_NEAR(dx[2], 0, 1e-30);
  EXPECT_EQ(dx[3], 200);
  float loss = 0;
  const float logits[2] = {-1e4F, 1e4F};
  const std::int32_t target = 0;
  cross_entropy(&loss, y, logits, &target, 1, 2);
  EXPECT_EQ(loss, 2e4F);
  EXPECT_EQ(y[1], 1);
  EXPECT_EQ(y[0], -1);
}

}  // namespace
}  // namespace trainmeter
