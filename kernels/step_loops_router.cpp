// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The loops of a router: which experts a token goes to, their gates, and the gates' gradient.
#include "kernels/float_math.hpp"
#include "kernels/step_loops.hpp"

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

// The chosen logits stay in w until all are known. Few logits are larger than the least of these:
// of 256 in any order, some 28 for a top_k of 8.
template <class T>
void topk_softmax_of(std::int32_t* chosen, float* w, const T* x, const RouterRows& of) {
  for (std::int64_t row = 0; row < of.rows;
       ++row, x += of.experts, chosen += of.top_k, w += of.top_k) {
    std::int64_t have = 0;
    for (std::int64_t e = 0; e < of.experts; ++e) {
      const float logit = to_float(x[e]);
      if (have == of.top_k && !(logit > w[have - 1])) continue;
      std::int64_t at = have < of.top_k ? have++ : have - 1;
      for (; at > 0 && logit > w[at - 1]; --at) {
        w[at] = w[at - 1];
        chosen[at] = chosen[at - 1];
      }
      w[at] = logit;
      chosen[at] = static_cast<std::int32_t>(e);
    }
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

}  // namespace trainmeter
