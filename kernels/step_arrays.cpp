// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The arrays of the kernels of a step.
#include "kernels/step_arrays.hpp"

#include "kernels/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>

namespace trainmeter {
namespace {

using Role = StepArray::Role;

void fill_angles(const StepProblem& p, float* table) {
  const std::int64_t half = p.head_dim / 2;
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < p.rows; ++row) {
    float* const cosines = table + row * p.head_dim;
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(row) *
          std::pow(kRopeBase, -2.0 * static_cast<double>(i) / static_cast<double>(p.head_dim));
      cosines[i] = static_cast<float>(std::cos(angle));
      cosines[half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

// Each token chooses top_k distinct experts.
void fill_choices(const StepProblem& p, std::int32_t* chosen, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int32_t> experts(static_cast<std::size_t>(p.experts));
  std::iota(experts.begin(), experts.end(), 0);
  for (std::int64_t row = 0; row < p.rows; ++row) {
    for (std::int64_t j = 0; j < p.top_k; ++j) {  // the head of a Fisher-Yates shuffle
      std::uniform_int_distribution<std::int64_t> any(j, p.experts - 1);
      std::swap(experts[static_cast<std::size_t>(j)],
                experts[static_cast<std::size_t>(any(random))]);
      chosen[row * p.top_k + j] = experts[static_cast<std::size_t>(j)];
    }
  }
}

// A token's copies lie with the others of the same expert, in the order of tokens.
void fill_places(const StepProblem& p, std::int32_t* places, std::uint64_t seed) {
  fill_choices(p, places, seed);
  std::vector<std::int32_t> next(
      static_cast<std::size_t>(p.experts + 1));  // place of an expert's next copy
  for (std::int64_t i = 0; i < p.rows * p.top_k; ++i)
    ++next[static_cast<std::size_t>(places[i]) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  for (std::int64_t i = 0; i < p.rows * p.top_k; ++i) {
    places[i] = next[static_cast<std::size_t>(places[i])]++;
  }
}

void fill_targets(const StepProblem& p, std::int32_t* targets, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> any(0, p.cols - 1);
  std::generate_n(targets, p.rows, [&] { return static_cast<std::int32_t>(any(random)); });
}

void fill_biases(const StepProblem& p, float* biases, std::uint64_t seed) {
  fill_random(biases, p.experts, DType::fp32, seed);
  for (std::int64_t e = 0; e < p.experts; ++e) biases[e] *= 0.1F;
}

void fill_affinities(const StepProblem& p, float* affinities, std::uint64_t seed) {
  const std::int64_t count = p.rows * p.top_k;
  fill_random(affinities, count, DType::fp32, seed);
  for (std::int64_t i = 0; i < count; ++i) affinities[i] = 1 / (1 + std::exp(-affinities[i]));
}

// In the middle row an infinity, which is the same bits in bf16 and the upper half of fp32; at the
// end a block of zeros.
void put_special_values(const StepProblem& p, char* x) {
  if (p.rows < 3) return;
  const std::int64_t e = size_of(p.dtype);
  constexpr std::uint16_t kInfinity = 0x7f80;
  char* const middle = x + p.rows / 2 * p.cols * e;
  std::memset(middle, 0, static_cast<std::size_t>(e));
  std::memcpy(middle + e - 2, &kInfinity, 2);
  const std::int64_t zeros = p.cols - (cast_blocks(p.cols) - 1) * kCastBlock;
  std::memset(x + (p.rows * p.cols - zeros) * e, 0, static_cast<std::size_t>(zeros * e));
}

// A block of NaN and one of zeros as put_special_values() has them, cast.
void fill_quantised(const StepProblem& p, std::uint8_t* q, std::uint64_t seed) {
  std::vector<float> x(static_cast<std::size_t>(p.rows * p.cols));
  fill_random(x.data(), std::ssize(x), DType::fp32, seed);
  constexpr float kSize = 128;  // the largest of a block about as large as e4m3 has them
  std::ranges::transform(x, q, [](float value) { return fp8_from_float(kSize * value); });
  if (p.rows < 3) return;
  const std::int64_t zeros = p.cols - (cast_blocks(p.cols) - 1) * kCastBlock;
  std::fill_n(q + p.rows / 2 * p.cols, std::min<std::int64_t>(p.cols, kCastBlock), 0x7f);
  std::fill_n(q + p.rows * p.cols - zeros, zeros, 0);
}

void fill_scales(const StepProblem& p, float* scales, std::uint64_t seed) {
  const std::int64_t across = cast_blocks(p.cols);
  fill_random(scales, p.rows * across, DType::fp32, seed);
  for (std::int64_t i = 0; i < p.rows * across; ++i) scales[i] = scales[i] > 0 ? 0x1p-6F : 0x1p-8F;
  if (p.rows < 3) return;
  scales[p.rows / 2 * across] = std::numeric_limits<float>::quiet_NaN();
  scales[p.rows * across - 1] = 1;
}

void square(float* data, std::int64_t count) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) data[i] *= data[i];
}

}  // namespace

std::vector<StepArray> step_arrays(const StepProblem& p) {
  (void)step_shape(p);  // checks the sizes
  using Type = std::optional<DType>;
  const auto in = [&](std::string_view name, std::int64_t count, Type type) -> StepArray {
    return {Role::input, name, type, count * (type ? size_of(*type) : 4)};
  };
  const auto out = [&](std::string_view name, std::int64_t count, Type type) -> StepArray {
    return {Role::output, name, type, count * (type ? size_of(*type) : 4)};
  };
  const Type e = p.dtype;
  const Type indices;
  const std::int64_t matrix = p.rows * p.cols;
  const std::int64_t rotated = p.rows * p.heads * p.head_dim;
  switch (p.kernel) {
    case StepKernel::rmsnorm:
      return {in("x", matrix, e), in("w", p.cols, e), out("y", matrix, e)};
    case StepKernel::swiglu:
      return {in("x", 2 * matrix, e), out("y", matrix, e)};
    case StepKernel::rope:
      return {in("x", rotated, e), in("table", p.rows * p.head_dim, DType::fp32),
              out("y", rotated, e)};
    case StepKernel::rope_backward:
      return {in("dy", rotated, e), in("table", p.rows * p.head_dim, DType::fp32),
              out("dx", rotated, e)};
    case StepKernel::cast_fp8:
      return {in("x", matrix, e), out("q", matrix, DType::fp8),
              out("s", p.rows * cast_blocks(p.cols), DType::fp32)};
    case StepKernel::cast_fp8_transpose:
      return {in("x", matrix, e), out("q", matrix, DType::fp8),
              out("s", p.rows * cast_blocks(p.cols), DType::fp32), out("q_t", matrix, DType::fp8),
              out("s_t", p.cols * cast_blocks(p.rows), DType::fp32)};
    case StepKernel::cast_fp8_block:
      return {in("x", matrix, e), out("q", matrix, DType::fp8),
              out("s", cast_blocks(p.rows) * cast_blocks(p.cols), DType::fp32)};
    case StepKernel::recast_fp8:
      return {in("q", matrix, DType::fp8), in("s", p.rows * cast_blocks(p.cols), DType::fp32),
              out("q_t", matrix, DType::fp8),
              out("s_t", p.cols * cast_blocks(p.rows), DType::fp32)};
    case StepKernel::permute:
      return {in("x", matrix, e), in("place", p.rows * p.top_k, indices),
              out("y", matrix * p.top_k, e)};
    case StepKernel::residual_add:
      return {in("a", matrix, e), in("b", matrix, e), out("y", matrix, e)};
    case StepKernel::layernorm:
      return {in("x", matrix, e), in("w", p.cols, e), in("b", p.cols, e), out("y", matrix, e)};
    case StepKernel::gelu:
      return {in("x", matrix, e), out("y", matrix, e)};
    case StepKernel::cross_entropy:
      return {in("x", matrix, e), in("target", p.rows, indices), out("loss", p.rows, DType::fp32),
              out("gradient", matrix, e)};
    case StepKernel::adamw: {
      std::vector<StepArray> arrays = {in("gradient", p.weights, DType::fp32)};
      for (const char* name : {"weight", "m", "v"})
        arrays.push_back({Role::state, name, DType::fp32, p.weights * 4});
      if (p.dtype == DType::bf16) arrays.push_back(out("rounded", p.weights, e));
      return arrays;
    }
    case StepKernel::rmsnorm_backward:
      return {in("x", matrix, e), in("w", p.cols, e), in("dy", matrix, e), out("dx", matrix, e),
              out("dw", p.cols, DType::fp32)};
    case StepKernel::swiglu_backward:
      return {in("x", 2 * matrix, e), in("dy", matrix, e), out("dx", 2 * matrix, e)};
    case StepKernel::layernorm_backward:
      return {in("x", matrix, e),
              in("w", p.cols, e),
              in("dy", matrix, e),
              out("dx", matrix, e),
              out("dw", p.cols, DType::fp32),
              out("db", p.cols, DType::fp32)};
    case StepKernel::gelu_backward:
      return {in("x", matrix, e), in("dy", matrix, e), out("dx", matrix, e)};
    case StepKernel::permute_backward:
      return {in("dy", matrix * p.top_k, e), in("place", p.rows * p.top_k, indices),
              out("dx", matrix, e)};
    case StepKernel::unpermute:
      return {in("x", matrix * p.top_k, e), in("place", p.rows * p.top_k, indices),
              in("w", p.rows * p.top_k, DType::fp32), out("y", matrix, e)};
    case StepKernel::unpermute_backward:
      return {in("x", matrix * p.top_k, e),           in("place", p.rows * p.top_k, indices),
              in("w", p.rows * p.top_k, DType::fp32), in("dy", matrix, e),
              out("dx", matrix * p.top_k, e),         out("dw", p.rows * p.top_k, DType::fp32)};
    case StepKernel::topk_softmax:
      return {in("x", p.rows * p.experts, e), out("chosen", p.rows * p.top_k, indices),
              out("w", p.rows * p.top_k, DType::fp32)};
    case StepKernel::topk_softmax_backward:
      return {in("chosen", p.rows * p.top_k, indices), in("w", p.rows * p.top_k, DType::fp32),
              in("dw", p.rows * p.top_k, DType::fp32), out("dx", p.rows * p.experts, e)};
    case StepKernel::topk_sigmoid:
      return {in("x", p.rows * p.experts, e), in("bias", p.experts, DType::fp32),
              out("chosen", p.rows * p.top_k, indices), out("w", p.rows * p.top_k, DType::fp32),
              out("affinity", p.rows * p.top_k, DType::fp32)};
    case StepKernel::topk_sigmoid_backward:
      return {in("chosen", p.rows * p.top_k, indices),
              in("affinity", p.rows * p.top_k, DType::fp32),
              in("dw", p.rows * p.top_k, DType::fp32), out("dx", p.rows * p.experts, e)};
  }
  throw std::invalid_argument("no such kernel of a step");
}

std::int64_t step_set_bytes(const StepProblem& problem) {
  std::int64_t sum = 0;
  for (const StepArray& array : step_arrays(problem)) sum += operand_stride(array.bytes);
  return sum;
}

void fill_step_array(const StepProblem& p, std::size_t array, void* data, std::uint64_t seed) {
  const std::uint64_t own = operand_seed(seed, 0, static_cast<int>(array));
  const auto reals = [&] { return static_cast<float*>(data); };
  const auto indices = [&] { return static_cast<std::int32_t*>(data); };
  switch (p.kernel) {
    case StepKernel::adamw:
      fill_random(data, p.weights, DType::fp32, own);
      if (array == arrays::AdamW::v) square(reals(), p.weights);
      return;
    case StepKernel::recast_fp8:
      return array == arrays::RecastFp8::q
                 ? fill_quantised(p, static_cast<std::uint8_t*>(data), own)
                 : fill_scales(p, reals(), own);
    case StepKernel::topk_softmax_backward:
      if (array == arrays::TopkSoftmaxBackward::chosen) return fill_choices(p, indices(), own);
      break;
    case StepKernel::topk_sigmoid_backward:
      if (array == arrays::TopkSigmoidBackward::chosen) return fill_choices(p, indices(), own);
      if (array == arrays::TopkSigmoidBackward::affinity) return fill_affinities(p, reals(), own);
      break;
    case StepKernel::topk_sigmoid:
      if (array == arrays::TopkSigmoid::bias) return fill_biases(p, reals(), own);
      break;
    case StepKernel::rope:
      if (array == arrays::Rope::table) return fill_angles(p, reals());
      break;
    case StepKernel::rope_backward:
      if (array == arrays::RopeBackward::table) return fill_angles(p, reals());
      break;
    case StepKernel::permute:
      if (array == arrays::Permute::place) return fill_places(p, indices(), own);
      break;
    case StepKernel::permute_backward:
      if (array == arrays::PermuteBackward::place) return fill_places(p, indices(), own);
      break;
    case StepKernel::unpermute:
      if (array == arrays::Unpermute::place) return fill_places(p, indices(), own);
      break;
    case StepKernel::unpermute_backward:
      if (array == arrays::UnpermuteBackward::place) return fill_places(p, indices(), own);
      break;
    case StepKernel::cross_entropy:
      if (array == arrays::CrossEntropy::target) return fill_targets(p, indices(), own);
      break;
    default:
      break;
  }
  const StepArray filled = step_arrays(p).at(array);
  fill_random(data, filled.bytes / size_of(*filled.type), *filled.type, own);
  if (p.kernel == StepKernel::cast_fp8 || p.kernel == StepKernel::cast_fp8_transpose ||
      p.kernel == StepKernel::cast_fp8_block) {
    put_special_values(p, static_cast<char*>(data));
  }
}

}  // namespace trainmeter
