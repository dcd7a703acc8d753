// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The loops of a router: which experts a token goes to, their gates, and the gates' gradient.
#include "kernels/float_math.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/target_clones.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace trainmeter {
namespace {

// The top_k experts of the largest values, in falling order, of equal ones the one that came first.
// Few values are larger than the least of these: of 256 in any order, some 28 for a top_k of 8.
struct Best {
  std::int32_t* chosen;
  float* values;
  std::int64_t top_k;
  std::int64_t have = 0;

  TRAINMETER_INLINE void consider(std::int64_t expert, float value) {
    if (have == top_k && !(value > values[have - 1])) return;
    std::int64_t at = have < top_k ? have++ : have - 1;
    for (; at > 0 && value > values[at - 1]; --at) {
      values[at] = values[at - 1];
      chosen[at] = chosen[at - 1];
    }
    values[at] = value;
    chosen[at] = static_cast<std::int32_t>(expert);
  }
};

// The chosen logits stay in w until all are known.
template <class T>
void topk_softmax_of(std::int32_t* chosen, float* w, const T* x, const RouterRows& of) {
  for (std::int64_t row = 0; row < of.rows;
       ++row, x += of.experts, chosen += of.top_k, w += of.top_k) {
    Best best = {chosen, w, of.top_k};
    for (std::int64_t e = 0; e < of.experts; ++e) best.consider(e, to_float(x[e]));
    const float most = w[0];
    float sum = 0;
    for (std::int64_t j = 0; j < of.top_k; ++j) {
      w[j] = exp_of(w[j] - most);
      sum += w[j];
    }
    for (std::int64_t j = 0; j < of.top_k; ++j) w[j] /= sum;
  }
}

template <class T>
void topk_softmax_backward_of(T* dx, const std::int32_t* chosen, const float* w, const float* dw,
                              const RouterRows& of) {
  std::fill_n(dx, of.rows * of.experts, T{0});
  for (std::int64_t row = 0; row < of.rows; ++row, dx += of.experts) {
    const std::int64_t first = row * of.top_k;
    float mean = 0;
    for (std::int64_t j = first; j < first + of.top_k; ++j) mean += w[j] * dw[j];
    for (std::int64_t j = first; j < first + of.top_k; ++j)
      store(dx[chosen[j]], w[j] * (dw[j] - mean));
  }
}

TRAINMETER_INLINE float sigmoid_of(float x) {
  return 1 / (1 + exp_of(-x));
}

TRAINMETER_INLINE float score_of_group(const float* scores, std::int64_t experts) {
  float first = scores[0];
  float second = -std::numeric_limits<float>::infinity();
  for (std::int64_t e = 1; e < experts; ++e) {
    second = std::max(second, std::min(first, scores[e]));
    first = std::max(first, scores[e]);
  }
  return experts == 1 ? first : first + second;
}

// Whether it is among the group_limit best, of equal ones the lower first.
TRAINMETER_INLINE bool is_kept(const float* group_scores, std::int64_t group,
                               const RouterRows& of) {
  const float own = group_scores[group];
  std::int64_t better = 0;
  for (std::int64_t g = 0; g < of.groups; ++g) {
    if (g < group ? group_scores[g] >= own : group_scores[g] > own) ++better;
  }
  return better < of.group_limit;
}

// The chosen scores stay in w until all are known.
template <class T>
TRAINMETER_INLINE void topk_sigmoid_of(const RouterChoice& to, const T* x, const float* bias,
                                       const RouterRows& of) {
  std::vector<float> buffer(static_cast<std::size_t>(of.experts + of.groups));
  float* const scores = buffer.data();
  float* const group_scores = scores + of.experts;
  const std::int64_t size = of.experts / of.groups;
  for (std::int64_t row = 0; row < of.rows; ++row, x += of.experts) {
#pragma omp simd
    for (std::int64_t e = 0; e < of.experts; ++e) scores[e] = sigmoid_of(to_float(x[e])) + bias[e];
    for (std::int64_t g = 0; g < of.groups; ++g)
      group_scores[g] = score_of_group(scores + g * size, size);
    std::int32_t* const chosen = to.chosen + row * of.top_k;
    float* const w = to.w + row * of.top_k;
    float* const affinity = to.affinity + row * of.top_k;
    Best best = {chosen, w, of.top_k};
    for (std::int64_t g = 0; g < of.groups; ++g) {
      if (!is_kept(group_scores, g, of)) continue;
      for (std::int64_t e = g * size; e < (g + 1) * size; ++e) best.consider(e, scores[e]);
    }
    float sum = 0;
    for (std::int64_t j = 0; j < of.top_k; ++j) {
      affinity[j] = sigmoid_of(to_float(x[chosen[j]]));
      sum += affinity[j];
    }
    const float scale = kRoutedScale / (sum + kLeastAffinities);
    for (std::int64_t j = 0; j < of.top_k; ++j) w[j] = scale * affinity[j];
  }
}

template <class T>
void topk_sigmoid_backward_of(T* dx, const std::int32_t* chosen, const float* affinity,
                              const float* dw, const RouterRows& of) {
  std::fill_n(dx, of.rows * of.experts, T{0});
  for (std::int64_t row = 0; row < of.rows; ++row, dx += of.experts) {
    const std::int64_t first = row * of.top_k;
    float sum = kLeastAffinities;
    float mean = 0;
    for (std::int64_t j = first; j < first + of.top_k; ++j) {
      sum += affinity[j];
      mean += affinity[j] * dw[j];
    }
    mean /= sum;
    for (std::int64_t j = first; j < first + of.top_k; ++j) {
      const float a = affinity[j];
      store(dx[chosen[j]], kRoutedScale * (a / sum) * (1 - a) * (dw[j] - mean));
    }
  }
}

}  // namespace

void topk_softmax(std::int32_t* chosen, float* w, const Bf16* x, const RouterRows& of) {
  topk_softmax_of(chosen, w, x, of);
}

void topk_softmax(std::int32_t* chosen, float* w, const float* x, const RouterRows& of) {
  topk_softmax_of(chosen, w, x, of);
}

void topk_softmax_backward(Bf16* dx, const std::int32_t* chosen, const float* w, const float* dw,
                           const RouterRows& of) {
  topk_softmax_backward_of(dx, chosen, w, dw, of);
}

void topk_softmax_backward(float* dx, const std::int32_t* chosen, const float* w, const float* dw,
                           const RouterRows& of) {
  topk_softmax_backward_of(dx, chosen, w, dw, of);
}

TRAINMETER_TARGET_CLONES
void topk_sigmoid(const RouterChoice& to, const Bf16* x, const float* bias, const RouterRows& of) {
  topk_sigmoid_of(to, x, bias, of);
}

TRAINMETER_TARGET_CLONES
void topk_sigmoid(const RouterChoice& to, const float* x, const float* bias, const RouterRows& of) {
  topk_sigmoid_of(to, x, bias, of);
}

void topk_sigmoid_backward(Bf16* dx, const std::int32_t* chosen, const float* affinity,
                           const float* dw, const RouterRows& of) {
  topk_sigmoid_backward_of(dx, chosen, affinity, dw, of);
}

void topk_sigmoid_backward(float* dx, const std::int32_t* chosen, const float* affinity,
                           const float* dw, const RouterRows& of) {
  topk_sigmoid_backward_of(dx, chosen, affinity, dw, of);
}

}  // namespace trainmeter
