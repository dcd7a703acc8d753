// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's operations compose a layer that is right, and each of many mistakes is found.
#include "bench/layer_check.hpp"

#include "bench/case_lists.hpp"
#include "bench/layer_ways.hpp"
#include "kernels/operand_values.hpp"
#include "workload/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using testing::HasSubstr;

constexpr LayerShare kDense = {.seq_len = 4096};
constexpr LayerShare kExperts = {.kind = GemmGroup::moe, .seq_len = 4096, .ep = 64};

MakeStep maker(DType dtype = DType::fp32, const std::string& prefer = "") {
  std::vector<std::string> words = {"layer_bench"};
  if (!prefer.empty()) words.push_back("--prefer=" + prefer);
  return layer_maker(read_options(Program::layer, words), {.kind = DeviceKind::cpu}, dtype);
}

SmallLayer small(const std::string& model, const LayerShare& share = kDense) {
  return small_layer(Library(published_data()).model(model), share);
}

// An operation after which something is done to what it wrote.
class Spoilt : public Operation {
 public:
  Spoilt(std::unique_ptr<Operation> inner, std::function<void(Operation&)> after)
      : inner_(std::move(inner)), after_(std::move(after)) {}
  void run(int set) override {
    inner_->run(set);
    after_(*inner_);
  }
  Check verify() override { return inner_->verify(); }
  [[nodiscard]] int sets() const override { return inner_->sets(); }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    return inner_->operand_views();
  }

 private:
  std::unique_ptr<Operation> inner_;
  std::function<void(Operation&)> after_;
};

// One of a layer's steps that isn't as it should be: the first of this entry and operation.
struct Mistake {
  std::string what, entry, operation;
  std::function<void(LayerStep&)> before;  // it is prepared
  std::function<void(Operation&)> after;   // it ran
};

Check with_mistake(const SmallLayer& layer, const Mistake& mistake) {
  const MakeStep right = maker();
  bool made = false;
  const Check check =
      check_layer(layer, layer_steps(layer.model, layer.share), DType::fp32,
                  [&](LayerStep step) -> std::unique_ptr<Operation> {
                    if (made || step.entry != mistake.entry || step.operation != mistake.operation)
                      return right(step);
                    made = true;
                    if (mistake.before) mistake.before(step);
                    if (!mistake.after) return right(step);
                    return std::make_unique<Spoilt>(right(step), mistake.after);
                  });
  EXPECT_TRUE(made) << mistake.what;
  return check;
}

std::function<void(Operation&)> copies(const char* from, const char* to) {
  return [=](Operation& operation) {
    set_operand_values(operation, to, operand_values(operation, from));
  };
}

std::function<void(Operation&)> changes(const char* operand, std::function<void(Tensor&)> how) {
  return [=](Operation& operation) {
    Tensor values = operand_values(operation, operand);
    how(values);
    set_operand_values(operation, operand, values);
  };
}

void expect_found(const SmallLayer& layer, const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    const Check check = with_mistake(layer, mistake);
    EXPECT_FALSE(check.ok) << mistake.what << ": " << check.error;
  }
}

}  // namespace

TEST(LayerCheck, WhatTheCpuComposesIsTheLayer) {
  const std::vector<std::pair<std::string, LayerShare>> layers = {{"gpt2-124m", kDense},
                                                                  {"llama-3-8b", kDense},
                                                                  {"deepseek-v3", kDense},
                                                                  {"deepseek-v3", kExperts},
                                                                  {"qwen3-30b-a3b", kExperts}};
  for (const auto& [model, share] : layers) {
    const SmallLayer layer = small(model, share);
    for (const DType dtype : {DType::fp32, DType::bf16}) {
      try {
        const Check check =
            check_layer(layer, layer_steps(layer.model, layer.share), dtype, maker(dtype));
        EXPECT_TRUE(check.ok) << model << ": " << check.error << ", " << check.how;
        EXPECT_GT(check.error, 0) << model;
      } catch (const Unavailable& error) {  // bf16 on a processor without it
        EXPECT_THAT(error.what(), HasSubstr("bf16"));
        EXPECT_EQ(dtype, DType::bf16) << error.what();
      }
    }
  }
  const SmallLayer layer = small("gpt2-124m");
  EXPECT_TRUE(check_layer(layer, layer_steps(layer.model, layer.share), DType::fp32,
                          maker(DType::fp32, "openblas"))
                  .ok);
}

TEST(LayerCheck, AMistakeInADenseLayerIsFound) {
  const auto nan = [](Tensor& values) { values[77] = std::numeric_limits<double>::quiet_NaN(); };
  expect_found(
      small("llama-3-8b"),
      {{"a wrong transpose",
        "attention_output",
        "gemm",
        [](LayerStep& step) { step.gemm->pass = Pass::dgrad; },
        {}},
       {"no residual", "residual_and_norm", "residual_add", {}, copies("b", "y")},
       {"only the residual", "residual_and_norm", "residual_add", {}, copies("a", "y")},
       {"heads that aren't turned", "rotary", "rope", {}, copies("x", "y")},
       {"gradients that aren't turned back", "rotary", "rope_backward", {}, copies("dy", "dx")},
       {"two sequences as one",
        "core",
        "attention_forward",
        [](LayerStep& step) {
          step.shape["batch"] = 1;
          step.shape["queries"] = step.shape["seq_len"] = 64;
        },
        {}},
       {"one element of a gradient",
        "core",
        "attention_backward",
        {},
        changes("d_k", [](Tensor& d_k) { d_k[1000] += 1; })},
       {"a norm's gradient of one row only",
        "residual_and_norm",
        "rmsnorm_backward",
        {},
        changes("dw", [](Tensor& dw) { dw.assign(dw.size(), 0.1); })},
       {"1 % too much",
        "activation",
        "swiglu_backward",
        {},
        changes("dx",
                [](Tensor& dx) {
                  for (double& d : dx) d *= 1.01;
                })},
       {"one value that is none", "qkv", "gemm", {}, changes("c", nan)}});
}

TEST(LayerCheck, AMistakeInALayerOfExpertsIsFound) {
  expect_found(small("deepseek-v3", kExperts),
               {{"no shared expert", kSum, "residual_add", {}, copies("a", "y")},
                {"copies at other experts",
                 "expert_permute",
                 "permute",
                 {},
                 changes("y", [](Tensor& y) { std::ranges::rotate(y, y.begin() + 192); })},
                {"weights of one expert's neighbour",
                 "expert_down",
                 "gemm",
                 [](LayerStep& step) { step.gemm->pass = Pass::dgrad; },
                 {}},
                {"a rotated key that isn't", "rotary", "rope", {}, copies("x", "y")},
                {"another router", "router", "gemm", {}, changes("c", [](Tensor& logits) {
                   logits[3] += 0.1;
                 })}});
}

TEST(LayerCheck, StepsThatArentTheLayersAreNamed) {
  const SmallLayer layer = small("gpt2-124m");
  const LayerSteps right = layer_steps(layer.model, layer.share);
  const auto said = [&](const LayerSteps& steps) {
    const Check check = check_layer(layer, steps, DType::fp32, maker());
    EXPECT_FALSE(check.ok);
    return check.how;
  };
  LayerSteps no_residual = right;
  no_residual.forward.erase(no_residual.forward.begin() + 4);
  EXPECT_EQ(said(no_residual), "step 5 is rmsnorm, where the layer needs residual_add");
  LayerSteps one_more = right;
  one_more.forward.push_back(right.forward.back());
  EXPECT_EQ(said(one_more), "step 10 is residual_add, where the layer has ended");
  LayerSteps cut = right;
  cut.backward.resize(2);
  EXPECT_EQ(said(cut), "no step is left for ffn_up dgrad");
  LayerSteps swapped = right;
  std::swap(swapped.backward[0], swapped.backward[1]);
  EXPECT_EQ(said(swapped), "step 1 is ffn_down wgrad, where the layer needs ffn_down dgrad");
}

TEST(LayerCheck, ASmallLayerHasTheStepsOfTheLarge) {
  const Library library(published_data());
  const auto names = [](const std::vector<LayerStep>& steps) {
    std::vector<std::string> out;
    for (const LayerStep& step : steps) {
      out.push_back(step.entry + " " + step.operation);
      if (step.gemm) out.back() += std::string(to_string(step.gemm->pass));
    }
    return out;
  };
  for (const std::string& id : library.ids("models")) {
    const Model model = library.model(id);
    const LayerShare share = model.moe ? kExperts : kDense;
    const SmallLayer layer = small_layer(model, share);
    const LayerSteps few = layer_steps(layer.model, layer.share);
    LayerShare whole = share;
    whole.ep = 1;
    const LayerSteps many = layer_steps(model, whole);
    EXPECT_EQ(names(few.forward), names(many.forward)) << id;
    EXPECT_EQ(names(few.backward), names(many.backward)) << id;
    EXPECT_LE(layer.share.tokens() * layer.model.hidden, 1 << 14);
  }
}

}  // namespace trainmeter
