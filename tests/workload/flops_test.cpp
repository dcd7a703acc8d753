// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// FLOPs, parameters and GEMMs against published figures and hand counts.
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "workload/decode_gemms.hpp"
#include "workload/run.hpp"
#include "workload/step.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

using namespace trainmeter;

namespace {

Model model(const std::string& id) {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published").model(id);
}

std::map<std::string, Component> by_name(const Model& m, const FlopOptions& options) {
  std::map<std::string, Component> out;
  for (const Component& c : components(m, options)) out.emplace(c.name, c);
  return out;
}

double gflops(const Model& m, const FlopOptions& options) {
  return training_flops_per_token(m, options) / 1e9;
}

}  // namespace

// The table of DeepSeek-V3's components that docs/flops.md derives.
TEST(Flops, DeepSeekV3ByComponent) {
  const auto c = by_name(model("deepseek-v3"), {.seq_len = 4096, .router = true, .mtp = true});
  EXPECT_NEAR(c.at("attention_projections").active_params / 61, 187.1e6, 0.05e6);
  EXPECT_NEAR(c.at("attention_projections").training_flops_per_token / 1e9, 68.48, 0.005);
  EXPECT_NEAR(c.at("attention_core").training_flops_per_token / 1e9, 30.70, 0.005);
  EXPECT_NEAR(c.at("routed_experts").training_flops_per_token / 1e9, 122.61, 0.005);
  EXPECT_NEAR(c.at("shared_experts").training_flops_per_token / 1e9, 15.33, 0.005);
  EXPECT_NEAR(c.at("ffn").training_flops_per_token / 1e9, 7.13, 0.005);
  EXPECT_NEAR(c.at("lm_head").training_flops_per_token / 1e9, 5.56, 0.005);
  EXPECT_NEAR(c.at("router").training_flops_per_token / 1e9, 0.64, 0.005);
  EXPECT_NEAR(c.at("mtp").active_params, 1.615e9, 0.0005e9);
  EXPECT_NEAR(c.at("mtp").training_flops_per_token / 1e9, 10.19, 0.005);
}

TEST(Flops, DeepSeekV3InEveryConvention) {
  const Model m = model("deepseek-v3");
  EXPECT_NEAR(gflops(m, {.seq_len = 4096, .router = true}), 250.45, 0.005);
  EXPECT_NEAR(gflops(m, {.seq_len = 4096, .attention = AttentionFlops::full, .router = true}),
              281.15, 0.005);
  EXPECT_NEAR(gflops(m, {.seq_len = 4096}), 249.81, 0.005);
  EXPECT_NEAR(gflops(m, {.seq_len = 4096, .attention = AttentionFlops::full}), 280.51, 0.005);
}

// ISCA'25 table 4: all four figures of DeepSeek's own step follow from 272.80 B tokens a day.
TEST(Flops, DeepSeekV3sPublishedUtilisation) {
  const Model m = model("deepseek-v3");
  const double tokens_per_s = 272.80e9 / 86400 / 2048;
  const double causal = training_flops_per_token(m, {.seq_len = 4096});
  const double full =
      training_flops_per_token(m, {.seq_len = 4096, .attention = AttentionFlops::full});
  EXPECT_NEAR(tokens_per_s * causal / 1e12, 385.1, 0.06);
  EXPECT_NEAR(tokens_per_s * full / 1e12, 432.5, 0.06);
  EXPECT_NEAR(mfu(tokens_per_s, causal, 1, 989e12), 0.3894, 5e-5);
  EXPECT_NEAR(mfu(tokens_per_s, full, 1, 989e12), 0.4373, 5e-5);
}

TEST(Flops, Parameters) {
  // GPT-2: 124,439,808 as released, less 1,024 x 768 learned positions, the projections' biases and
  // the norms' offsets, which the format has no fields for.
  EXPECT_DOUBLE_EQ(parameters(model("gpt2-124m")), 124439808 - 786432 - 12 * 6912 - 25 * 768);
  EXPECT_NEAR(parameters(model("llama-3-405b")) / 405.85e9, 1, 1e-3);
  EXPECT_NEAR(parameters(model("deepseek-v3")) / 671e9, 1, 1e-3);
  EXPECT_NEAR(active_parameters(model("deepseek-v3")) / 36.62e9, 1, 1e-3);
}

TEST(Flops, ADenseLayerByHand) {
  const Model m = model("gpt2-124m");
  const auto c = by_name(m, {.seq_len = 1024});
  EXPECT_DOUBLE_EQ(c.at("attention_projections").active_params, 12.0 * 4 * 768 * 768);
  EXPECT_DOUBLE_EQ(c.at("ffn").active_params, 12.0 * 2 * 768 * 3072);
  EXPECT_DOUBLE_EQ(c.at("lm_head").active_params, 768.0 * 50257);
  EXPECT_DOUBLE_EQ(c.at("attention_core").training_flops_per_token,
                   3.0 * 12 * 4 * 512 * 768);  // 4 s/2 d forward
}

TEST(Flops, GroupedQueriesShareKeys) {
  const auto c = by_name(model("llama-3-405b"), {.seq_len = 8192});
  EXPECT_DOUBLE_EQ(c.at("attention_projections").active_params,
                   126.0 * 16384 * (2 * 16384 + 2 * 1024));
}

TEST(StepGemms, AddUpToTheModelsFlops) {
  for (const char* id : {"gpt2-124m", "llama-3-405b", "deepseek-v3"}) {
    const Model m = model(id);
    const FlopOptions linear{.seq_len = 1, .attention = AttentionFlops::none, .router = true};
    double sum = 0;
    for (const GemmWork& g : step_gemms(m, 4096))
      sum += g.count * static_cast<double>(g.groups) * gemm_flops(g.m, g.n, g.k);
    EXPECT_NEAR(sum / (4096 * training_flops_per_token(m, linear)), 1, 1e-12) << id;
  }
}

TEST(StepGemms, APassAndItsLayoutNameEachOther) {
  EXPECT_EQ(layout_of(Pass::fprop), "nt");
  EXPECT_EQ(layout_of(Pass::dgrad), "nn");
  EXPECT_EQ(layout_of(Pass::wgrad), "tn");
  for (const Pass pass : {Pass::fprop, Pass::dgrad, Pass::wgrad})
    EXPECT_EQ(pass_of(layout_of(pass)), pass);
}

TEST(StepGemms, ParallelSharesAddUpToo) {
  const auto work = [](const Model& m, std::int64_t tokens, std::int64_t tp, std::int64_t ep) {
    double sum = 0;
    for (const GemmWork& g : step_gemms(m, tokens, tp, ep))
      sum += g.count * static_cast<double>(g.groups) * gemm_flops(g.m, g.n, g.k);
    return sum;
  };
  const Model dense = model("llama-3-405b");
  EXPECT_NEAR(work(dense, 8192, 8, 1) * 8 / work(dense, 8192, 1, 1), 1, 1e-12);
  const Model moe = model("deepseek-v3");
  EXPECT_NEAR(work(moe, 4096, 1, 64) / work(moe, 4096, 1, 1), 1, 1e-12);
  EXPECT_NEAR(work(moe, 4096, 4, 64) * 4 / work(moe, 4096, 1, 1), 1, 1e-12);
  EXPECT_THROW((void)step_gemms(dense, 8192, 3), BadInput);
  EXPECT_THROW((void)step_gemms(dense, 0), BadInput);
}

TEST(StepGemms, ShapesOfDeepSeekV3) {  // as DeepGEMM's tables list them
  bool routed = false;
  for (const GemmWork& g : step_gemms(model("deepseek-v3"), 4096, 1, 64)) {
    if (g.name == "expert_up" && g.pass == Pass::fprop) {
      routed = true;
      EXPECT_EQ(g.groups, 4);
      EXPECT_EQ(g.m, 8192);
      EXPECT_EQ(g.n, 4096);
      EXPECT_EQ(g.k, 7168);
    }
    EXPECT_EQ(g.low_precision, g.name != "lm_head" && g.name != "router");
  }
  EXPECT_TRUE(routed);
}

// 8 sequences on each of 64 GPUs: 64 rows for the 4 local experts; every weight's FLOPs, and MLA on
// the latent: 128 heads, 128 wide without rotation, by a latent of 512.
TEST(DecodeGemms, OfDeepSeekV3ByHand) {
  std::map<std::string, GemmWork> by_name;
  for (const GemmWork& g : decode_gemms(model("deepseek-v3"), 8, 1, 64)) {
    EXPECT_EQ(g.pass, Pass::fprop);
    by_name[g.name] = g;
  }
  const auto expect = [&](const char* name, std::vector<std::int64_t> m_n_k_groups, double count) {
    const GemmWork& g = by_name.at(name);
    EXPECT_EQ((std::vector<std::int64_t>{g.m, g.n, g.k, g.groups}), m_n_k_groups) << name;
    EXPECT_DOUBLE_EQ(g.count, count) << name;
  };
  EXPECT_FALSE(by_name.contains("kv_b"));
  expect("kv_b_key", {8, 512, 128, 128}, 61);
  expect("kv_b_value", {8, 128, 512, 128}, 61);
  expect("q_a", {8, 1536, 7168, 1}, 61);
  expect("expert_up", {64, 4096, 7168, 4}, 58);
  expect("lm_head", {8, 129280, 7168, 1}, 1);
}

TEST(DecodeGemms, AddUpToTheModelsFlops) {
  for (const char* id : {"gpt2-124m", "llama-3-405b", "deepseek-v3"}) {
    const Model m = model(id);
    for (const std::int64_t tp : {1, 4}) {
      double sum = 0;
      for (const GemmWork& g : decode_gemms(m, 32, tp, 1)) {
        const bool experts = g.name.starts_with("expert_");
        sum += g.count * (experts ? 1 : static_cast<double>(g.groups)) * gemm_flops(g.m, g.n, g.k);
      }
      // What is small is copied on every tensor-parallel rank.
      const double all = 32 * 2 * active_parameters(m) / static_cast<double>(tp);
      if (tp == 1 || !m.moe) {
        EXPECT_NEAR(sum / all, 1, 1e-12) << id;
      } else {
        EXPECT_GT(sum, all) << id;
      }
    }
  }
}

TEST(DecodeGemms, OneSequenceOnManyGpus) {  // whose tokens tensor-parallel ranks don't divide
  for (const GemmWork& g : decode_gemms(model("deepseek-v3"), 1, 8, 8)) {
    EXPECT_EQ(g.m, 1) << g.name;
    if (g.name == "q_b") {
      EXPECT_EQ(g.n, 128 / 8 * 192);
    } else if (g.name == "expert_down") {
      EXPECT_EQ(g.groups, 32);  // of which one has a token
    }
  }
  EXPECT_THROW((void)decode_gemms(model("llama-3-405b"), 1, 3), BadInput);
  EXPECT_THROW((void)decode_gemms(model("llama-3-405b"), 0), BadInput);
}

TEST(Optimizer, SevenAccessesOfFp32) {
  EXPECT_DOUBLE_EQ(optimizer_bytes(10), 280);
}
