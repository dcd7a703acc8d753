// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The step-time model: a step is a sum of parts. Each part has a middle value and a few named
// uncertain inputs that stretch it (its GEMM rate, the bandwidth, ...). An input moves all its
// parts together: errors of neighbouring shapes don't cancel.
#pragma once

#include "report/predict.hpp"

#include <array>
#include <string>
#include <vector>

namespace trainmeter {

enum Input { kGemmNoise, kGemmShape, kMemory, kLinks, kInPlace, kAttention, kInputs };
constexpr std::array<const char*, kInputs> kInputNames = {"spread of the GEMM measurements",
                                                          "GEMM shapes that were not measured",
                                                          "memory bandwidth",
                                                          "link bandwidth",
                                                          "slow-down of kernels inside a step",
                                                          "rate of the attention core"};

struct Part {
  std::string name;
  double middle_s = 0;
  double gemm_noise = 0, gemm_shape = 0, memory = 0, links = 0;  // standard deviations of the log
  bool in_place = false, attention = false;
};

// An input's value in one draw: a standard normal for those before kInPlace, a uniform in 0..1 for
// the others.
using Draw = std::array<double, kInputs>;
Draw middle_draw();

double part_time(const Part& part, const Draw& draw);  // seconds
double step_time(const std::vector<Part>& parts, const Draw& draw);

// The parts of one optimiser step on one GPU. Adds the rates it used (with seconds for their share)
// and what it assumed to `out`.
std::vector<Part> step_parts(const Run& run, const System& system, const RateBook& book,
                             Prediction& out);

}  // namespace trainmeter
