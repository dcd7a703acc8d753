// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Whether a choice by scores that were computed in fp32 is right: scores in fp64 say how far apart
// two must be for their order to be certain. Within that any order is, but for experts whose logit
// and bias are equal, of which the lower goes first.
#pragma once

#include "kernels/step_kernel.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace trainmeter::step_verify {

struct Score {
  double value, off;  // fp32's may be so far off
};

struct Candidate {  // an expert
  Score score;
  double logit, bias;
};

// Whether `chosen` are top_k of the experts in group_limit of the groups, by falling score, as
// step_kernel.hpp has it for topk_sigmoid. False where an index is none, or there twice.
bool may_choose(const std::vector<Candidate>& experts, std::span<const std::int32_t> chosen,
                const StepProblem& problem);

}  // namespace trainmeter::step_verify
