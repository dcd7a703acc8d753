// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The step time, drawn: everything uncertain sampled together with a fixed seed.
#pragma once

#include "report/candidates.hpp"
#include "report/used_factors.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

// The geometric mean of the middle tenth: the median, but one that doesn't jump from one lobe to
// the other where what a run doesn't print (its attention kernel, say) makes two of them.
double middle(const std::vector<double>& draws);

struct DrawnInput {
  std::string name;
  std::vector<double> values;  // logarithms or standard normals, one a draw
};

struct DrawnSteps {                 // one value a draw
  std::vector<double> step_s;       // with the error of the model's form
  std::vector<double> form;         // of it, that error's factor
  std::vector<double> over_centre;  // step_s / the step of the drawn candidate at the centre
  std::vector<DrawnInput> inputs;
};

// Draw d is of the same factors for all candidates of whatever layout, given the seed, the number
// of samples and the belief: so two layouts of a run can be compared draw by draw.
DrawnSteps draw_steps(const std::vector<Candidate>& candidates, const Belief& belief,
                      const FactorValues& centre, int samples, std::uint64_t seed,
                      const std::vector<MeasuredFactor>& measured = {});

}  // namespace trainmeter
