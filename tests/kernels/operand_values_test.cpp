// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operations show their operands by name, and numbers pass in and out of them.
#include "kernels/operand_values.hpp"

#include "kernels/attention.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/step_kernel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsNan;

template <class Backends>
const auto& of_cpu(const Backends& backends, std::string_view name) {
  return *std::ranges::find_if(backends, [&](const auto& backend) { return backend.name == name; });
}

std::unique_ptr<Operation> step(StepKernel kernel, DType dtype) {
  const StepProblem problem = {
      .kernel = kernel, .dtype = dtype, .rows = 2, .cols = 3, .experts = 4, .top_k = 2};
  return of_cpu(step_backends(), "openmp").make(problem, {});
}

std::vector<std::string> names(const Operation& operation) {
  std::vector<std::string> out;
  for (const OperandView& view : operation.operand_views()) out.emplace_back(view.name);
  return out;
}

TEST(OperandValues, PassThroughAProduct) {
  const auto product =
      of_cpu(gemm_backends(), "openblas").make({2, 2, 3, DType::fp32, GemmLayout::nt}, {});
  EXPECT_THAT(names(*product), ElementsAre("a", "b", "c"));
  set_operand_values(*product, "a", {1, 2, 3, 4, 5, 6});
  set_operand_values(*product, "b", {1, 0, 0, 0, 1, 1});  // its rows are the columns of B
  clear_results(*product);
  EXPECT_THAT(operand_values(*product, "c"), Each(IsNan()));
  product->run(0);
  EXPECT_THAT(operand_values(*product, "c"), ElementsAre(1, 5, 4, 11));
}

// Of one operand, and what it keeps of it.
class Keeps final : public Operation, public KeepsOfOperands {
 public:
  void run(int /*set*/) override {}
  Check verify() override { return {}; }
  [[nodiscard]] int sets() const override { return 1; }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    return {{.name = "a", .type = DType::fp32, .bytes = 4, .data = const_cast<float*>(&a_)}};
  }
  void operands_written() override { kept_ = a_; }
  [[nodiscard]] float kept() const { return kept_; }

 private:
  float a_ = 1, kept_ = 1;
};

TEST(OperandValues, WhoKeepsSomethingOfThemIsTold) {
  Keeps keeps;
  set_operand_values(keeps, "a", {2});
  EXPECT_EQ(keeps.kept(), 2);
  set_operand_bytes(keeps, "a", operand_bytes(keeps, "a"));
  EXPECT_EQ(keeps.kept(), 2);
}

TEST(OperandValues, AreRoundedToTheType) {
  const auto add = step(StepKernel::residual_add, DType::bf16);
  set_operand_values(*add, "a", {1, 1.001, 2, 3, 1e-3, -7});
  EXPECT_EQ(operand_values(*add, "a")[1], 1);
  EXPECT_EQ(operand_values(*add, "a")[4], rounded_to(DType::bf16, 1e-3));
  EXPECT_NE(rounded_to(DType::bf16, 1e-3), 1e-3);
  EXPECT_EQ(rounded_to(DType::fp64, 1e-3), 1e-3);
}

TEST(OperandValues, IndicesSayWhereCopiesGo) {
  const auto permute = step(StepKernel::permute, DType::fp32);
  EXPECT_THAT(names(*permute), ElementsAre("x", "place", "y"));
  set_operand_values(*permute, "x", {1, 2, 3, 4, 5, 6});
  set_operand_indices(*permute, "place", {3, 0, 1, 2});
  permute->run(0);
  EXPECT_THAT(operand_values(*permute, "y"), ElementsAre(1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3));
}

TEST(OperandValues, BytesPassAsTheyAre) {
  const StepProblem problem = {
      .kernel = StepKernel::cast_fp8_transpose, .dtype = DType::fp32, .rows = 2, .cols = 3};
  const auto cast = of_cpu(step_backends(), "openmp").make(problem, {});
  EXPECT_THAT(names(*cast), ElementsAre("x", "q", "s", "q_t", "s_t"));
  set_operand_values(*cast, "x", {448, 224, -112, 1, 0, 2});
  cast->run(0);
  const auto e4m3 = [](float value) { return std::byte{fp8_from_float(value)}; };
  EXPECT_THAT(operand_bytes(*cast, "q"),
              ElementsAre(e4m3(448), e4m3(224), e4m3(-112), e4m3(224), e4m3(0), e4m3(448)));
  EXPECT_EQ(operand_values(*cast, "s")[0], 1);
  const std::vector<std::byte> bytes(6, std::byte{7});
  set_operand_bytes(*cast, "q", bytes);
  EXPECT_EQ(operand_bytes(*cast, "q"), bytes);
  EXPECT_THROW(set_operand_bytes(*cast, "q", std::vector<std::byte>(5)), std::invalid_argument);
  EXPECT_THROW((void)operand_values(*cast, "q"), std::invalid_argument);
}

TEST(OperandValues, AScaledProductHasItsScales) {
  GemmProblem problem = {.m = 16, .n = 16, .k = 16, .dtype = DType::fp8, .layout = GemmLayout::nt};
  std::vector<float> memory(5);
  const auto at = [&](int i) { return OperandPlace{&memory[static_cast<std::size_t>(i)], 4}; };
  const auto views = [&] {
    return gemm_views(problem, DeviceKind::cpu, {at(0), at(1), at(2)}, {at(3), at(4)});
  };
  EXPECT_EQ(views().size(), 3U);
  problem.scaling = Scaling::block128;
  ASSERT_EQ(views().size(), 5U);
  EXPECT_EQ(views()[3].name, "scales_a");
  EXPECT_EQ(views()[4].name, "scales_b");
  EXPECT_EQ(views()[4].data, &memory[4]);
  EXPECT_EQ(views()[4].type, DType::fp32);
}

TEST(OperandValues, StatesAreClearedToZeros) {
  const auto adamw =
      of_cpu(step_backends(), "openmp")
          .make({.kernel = StepKernel::adamw, .dtype = DType::fp32, .weights = 5}, {});
  clear_results(*adamw);
  EXPECT_THAT(operand_values(*adamw, "m"), Each(0));
  EXPECT_THAT(operand_values(*adamw, "gradient"), Each(testing::Ne(0)));
}

TEST(OperandValues, EachPassOfAttentionHasItsTensors) {
  AttentionProblem problem{
      .dtype = DType::fp32, .heads = 2, .kv_heads = 1, .queries = 3, .keys = 3};
  const auto& openmp = of_cpu(attention_backends(), "openmp");
  EXPECT_THAT(names(*openmp.make(problem, {})), ElementsAre("q", "k", "v", "o", "l"));
  problem.pass = AttentionPass::backward;
  const auto backward = openmp.make(problem, {});
  EXPECT_THAT(names(*backward), ElementsAre("q", "k", "v", "o", "l", "d_o", "d_q", "d_k", "d_v"));
  EXPECT_EQ(operand_values(*backward, "q").size(), 2U * 3 * 64);
  EXPECT_EQ(operand_values(*backward, "l").size(), 2U * 3);
}

TEST(OperandValues, MistakesAreRefused) {
  const auto permute = step(StepKernel::permute, DType::fp32);
  EXPECT_THROW((void)operand_values(*permute, "z"), std::invalid_argument);
  EXPECT_THROW((void)operand_values(*permute, "place"), std::invalid_argument);
  EXPECT_THROW(set_operand_values(*permute, "x", {1, 2}), std::invalid_argument);
  EXPECT_THROW(set_operand_indices(*permute, "x", {1, 2, 3, 4, 5, 6}), std::invalid_argument);
  EXPECT_THROW(set_operand_indices(*permute, "place", {1}), std::invalid_argument);
}

}  // namespace
}  // namespace trainmeter
