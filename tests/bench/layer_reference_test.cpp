// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The reference of a layer: its gradients against finite differences, and what a token may see.
#include "bench/layer_reference.hpp"

#include "../workload/small_models.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

constexpr LayerShare kDense = {.sequences = 2, .seq_len = 4};
constexpr LayerShare kExperts = {.kind = GemmGroup::moe, .sequences = 2, .seq_len = 4};

Model narrow(Model model) {  // few enough weights that a direction changes each noticeably
  model.hidden = 12;
  model.ffn = 10;
  model.heads = 4;
  model.kv_heads = model.kv_heads == 2 ? 2 : 4;
  model.head_dim = 4;
  return model;
}

struct Layer {
  std::string name;
  Model model;
  LayerShare share;
};

std::vector<Layer> layers() {
  Model two_shared = small_moe();
  two_shared.moe->shared_experts = 2;
  Model none_shared = small_gpt();
  none_shared.moe = small_moe().moe;
  none_shared.moe->shared_experts = 0;
  Model sigmoid = small_mla();  // whose mtp_depth is 1
  sigmoid.moe->group_limit = 4;
  return {{"gpt", narrow(small_gpt()), kDense},
          {"llama", narrow(small_llama()), kDense},
          {"experts", narrow(two_shared), kExperts},
          {"experts without a gate", narrow(none_shared), kExperts},
          {"latent attention", narrow(small_mla()), kExperts},
          {"a router by sigmoid", narrow(sigmoid), kExperts}};
}

LayerInput drawn(const Layer& layer) {
  return draw_layer_input(layer.model, layer.share, DType::fp64, 7);
}

double dot(const Tensor& a, const Tensor& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double loss(const LayerInput& input) {
  const Tensors results = layer_reference(input);
  const double of_y = dot(results.at("y"), input.d_y);
  return input.d_router.empty() ? of_y : of_y + dot(results.at("router"), input.d_router);
}

}  // namespace

TEST(LayerReference, GradientsAreTheSlopesOfTheLoss) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  for (const Layer& layer : layers()) {
    LayerInput input = drawn(layer);
    const Tensors results = layer_reference(input);
    std::map<std::string, Tensor*> tensors = {{"x", &input.x}};
    for (auto& [name, weight] : input.weights) tensors[name] = &weight;
    // And y; of experts the logits, and the gradients of the gates, which come into the router's.
    EXPECT_EQ(results.size(), tensors.size() + (layer.share.kind == GemmGroup::moe ? 3 : 1));
    for (auto& [name, tensor] : tensors) {
      const Tensor& gradient = results.at("d_" + name);
      ASSERT_EQ(gradient.size(), tensor->size()) << layer.name << ": " << name;
      Tensor direction(tensor->size());
      for (double& d : direction) d = normal(random);
      const double size = std::sqrt(dot(gradient, gradient));
      EXPECT_GT(size, 1e-3) << layer.name << ": " << name;
      const Tensor kept = *tensor;
      const auto along = [&](double by) {
        for (std::size_t i = 0; i < kept.size(); ++i) (*tensor)[i] = kept[i] + by * direction[i];
        return loss(input);
      };
      constexpr double kStep = 1e-5;
      const double found = (along(kStep) - along(-kStep)) / (2 * kStep);
      *tensor = kept;
      EXPECT_NEAR(found, dot(gradient, direction), 1e-6 * size) << layer.name << ": " << name;
    }
  }
}

TEST(LayerReference, ATokenSeesThoseBeforeItInItsSequence) {
  for (const Layer& layer : layers()) {
    LayerInput input = drawn(layer);
    const Tensor before = layer_reference(input).at("y");
    const auto hidden = static_cast<std::size_t>(layer.model.hidden);
    constexpr std::size_t kChanged = 5;  // the second of the second sequence
    for (std::size_t c = 0; c < hidden; ++c)
      input.x[kChanged * hidden + c] += 1 + 0.1 * real(static_cast<std::int64_t>(c));
    const Tensor after = layer_reference(input).at("y");
    for (std::size_t t = 0; t < 8; ++t) {
      const bool same = std::equal(before.begin() + t * hidden, before.begin() + (t + 1) * hidden,
                                   after.begin() + t * hidden);
      EXPECT_EQ(same, t < kChanged) << layer.name << ": token " << t;
    }
  }
}

TEST(LayerReference, AnInputIsBalancedAndRounded) {
  const LayerInput input = draw_layer_input(small_mla(), kExperts, DType::bf16, 1);
  std::map<std::int32_t, int> tokens_of;
  for (const std::int32_t expert : input.experts) ++tokens_of[expert];
  EXPECT_EQ(tokens_of.size(), 8U);
  for (const auto& [expert, count] : tokens_of) EXPECT_EQ(count, 2) << expert;
  for (const double value : input.weights.at("q_a"))
    EXPECT_EQ(value, float_from_bf16(bf16_from_float(static_cast<float>(value))));
  EXPECT_THROW(
      draw_layer_input(small_mla(), {.kind = GemmGroup::moe, .seq_len = 12}, DType::bf16, 1),
      std::invalid_argument);
}

}  // namespace trainmeter
