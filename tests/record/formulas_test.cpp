// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Formulas against values worked out by hand.
#include "record/formulas.hpp"

#include "record/names.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

using namespace trainmeter;

TEST(Formulas, GemmFlopsCountAMultiplyAndAnAdd) {
  EXPECT_DOUBLE_EQ(gemm_flops(2, 3, 4), 48);
  EXPECT_DOUBLE_EQ(gemm_flops(1'000'000, 1'000'000, 1'000'000),
                   2e18);  // beyond 32 and near 64 bits
}

TEST(Formulas, GemmBytesReadBothOperandsAndWriteOnce) {
  EXPECT_DOUBLE_EQ(gemm_bytes(2, 3, 4, 2, 4), (8 + 12) * 2 + 6 * 4);
}

TEST(Formulas, StreamBytesLeaveWriteAllocateOut) {
  EXPECT_DOUBLE_EQ(stream_bytes("copy", 100), 200);
  EXPECT_DOUBLE_EQ(stream_bytes("read", 100), 100);
  EXPECT_DOUBLE_EQ(stream_bytes("write", 100), 100);
  EXPECT_DOUBLE_EQ(stream_bytes("triad", 100), 300);
  EXPECT_THROW(stream_bytes("add", 100), std::invalid_argument);
}

TEST(Formulas, StepKernelBytesCountEachOperandOnce) {
  using Shape = std::map<std::string, std::int64_t>;
  const Shape matrix = {{"rows", 10}, {"cols", 200}};
  EXPECT_DOUBLE_EQ(step_kernel_bytes("rmsnorm", matrix, 2), 2 * 4000 + 400);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("swiglu", matrix, 2), 3 * 4000);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("residual_add", matrix, 4), 3 * 8000);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("cast_fp8", matrix, 2), 4000 + 2000 + 10 * 2 * 4);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("cast_fp8_transpose", matrix, 2),
                   4000 + 2 * 2000 + 10 * 2 * 4 + 200 * 1 * 4);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("cast_fp8_block", matrix, 4), 8000 + 2000 + 1 * 2 * 4);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("recast_fp8", matrix, 1), 2 * 2000 + 10 * 2 * 4 + 200 * 1 * 4);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("layernorm", matrix, 2), 2 * 4000 + 2 * 400);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("layernorm_backward", matrix, 2),
                   3 * 4000 + 400 + 2 * 200 * 4);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("gelu", matrix, 2), 2 * 4000);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("gelu_backward", matrix, 2), 3 * 4000);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("cross_entropy", matrix, 2), 2 * 4000 + 80);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("rope", {{"rows", 10}, {"heads", 3}, {"head_dim", 8}}, 2),
                   2 * 480 + 320);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("unpermute", {{"rows", 10}, {"cols", 200}, {"top_k", 2}}, 2),
                   10 * 200 * 2 * 3 + 10 * 2 * 8);
  EXPECT_DOUBLE_EQ(
      step_kernel_bytes("unpermute_backward", {{"rows", 10}, {"cols", 200}, {"top_k", 2}}, 2),
      10 * 200 * 2 * 5 + 10 * 2 * 12);
  const Shape router = {{"rows", 10}, {"experts", 16}, {"top_k", 2}};
  EXPECT_DOUBLE_EQ(step_kernel_bytes("topk_softmax", router, 2), 10 * 16 * 2 + 10 * 2 * 8);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("topk_sigmoid", router, 2),
                   10 * 16 * 2 + 16 * 4 + 10 * 2 * 12);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("topk_sigmoid_backward", router, 2),
                   step_kernel_bytes("topk_softmax_backward", router, 2));
  EXPECT_DOUBLE_EQ(step_kernel_bytes("topk_softmax_backward", router, 2),
                   10 * 16 * 2 + 10 * 2 * 12);
  EXPECT_DOUBLE_EQ(
      step_kernel_bytes("permute", {{"rows", 10}, {"cols", 200}, {"experts", 8}, {"top_k", 2}}, 2),
      4000 + 2 * 4000 + 80);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("rmsnorm_backward", matrix, 2), 3 * 4000 + 400 + 800);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("swiglu_backward", matrix, 2), 5 * 4000);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("adamw", {{"weights", 10}}, 2), 300);
  EXPECT_DOUBLE_EQ(step_kernel_bytes("adamw", {{"weights", 10}}, 4), 280);
  EXPECT_THROW(step_kernel_bytes("batchnorm", matrix, 2), std::invalid_argument);
  EXPECT_THROW(step_kernel_bytes("rope", matrix, 2), std::out_of_range);
}

TEST(Formulas, BusFactorsAreThoseOfNcclTests) {
  EXPECT_DOUBLE_EQ(bus_factor("allreduce", 8), 1.75);
  EXPECT_DOUBLE_EQ(bus_factor("allreduce", 2), 1);
  EXPECT_DOUBLE_EQ(bus_factor("allgather", 8), 0.875);
  EXPECT_DOUBLE_EQ(bus_factor("alltoall", 4), 0.75);
  EXPECT_DOUBLE_EQ(bus_factor("alltoallv", 4), 0.75);
  EXPECT_DOUBLE_EQ(bus_factor("broadcast", 8), 1);
  for (const std::string& name : collective_names()) EXPECT_GT(bus_factor(name, 2), 0) << name;
  for (const char* name : {"allreduce", "reducescatter", "alltoall", "broadcast"}) {
    EXPECT_DOUBLE_EQ(bus_factor(name, 1), 0) << name;
  }
  EXPECT_THROW(bus_factor("allreduce", 0), std::invalid_argument);
  EXPECT_THROW(bus_factor("gossip", 2), std::invalid_argument);
}

TEST(Formulas, ARateWithoutTimeIsNotANumber) {
  EXPECT_DOUBLE_EQ(rate(10, 2), 5);
  EXPECT_TRUE(std::isnan(rate(10, 0)));
  EXPECT_TRUE(std::isnan(rate(10, -1)));
  EXPECT_TRUE(std::isnan(rate(10, NAN)));
}

TEST(Formulas,
     MfuOfTheDeepSeekV3Step) {  // ISCA'25 table 4: 38.94 % causal, from 249.81 GFLOP/token
  EXPECT_NEAR(mfu(272.80e9 / 86400, 249.81e9, 2048, 989e12), 0.3894, 5e-5);
}

TEST(Formulas, AnSmOfH100DoesAtMost4096FlopACycle) {  // 989.4 TFLOP/s at 1830 MHz, 132 SMs
  EXPECT_NEAR(flops_per_cycle(989.4e12, 1, 1830e6, 132), 4096, 1);
  EXPECT_DOUBLE_EQ(work_per_joule(600e12, 2, 1400), 1.2e15 / 1400);
  EXPECT_TRUE(std::isnan(work_per_joule(1, 1, 0)));
}

TEST(Formulas, HoursAndDollars) {
  EXPECT_DOUBLE_EQ(gpu_hours(512, 80 * 3600.0), 40960);
  EXPECT_DOUBLE_EQ(cost_usd(40960, 2), 81920);
}

TEST(Formulas, PrintedFiguresShowTheirRounding) {
  EXPECT_DOUBLE_EQ(printed_unit(294000), 1000);
  EXPECT_DOUBLE_EQ(printed_unit(2788000), 1000);
  EXPECT_DOUBLE_EQ(printed_unit(80), 10);
  EXPECT_DOUBLE_EQ(printed_unit(198), 1);
  EXPECT_DOUBLE_EQ(printed_unit(3.42), 0.01);
  EXPECT_THROW(printed_unit(0), std::invalid_argument);
  EXPECT_THROW(printed_unit(NAN), std::invalid_argument);
  EXPECT_TRUE(agrees_within_rounding(40960, 41000, 1000));
  EXPECT_TRUE(agrees_within_rounding(147500, 147000, 1000));
  EXPECT_FALSE(agrees_within_rounding(81920, 294000, 1000));
  EXPECT_FALSE(agrees_within_rounding(NAN, 294000, 1000));
}
