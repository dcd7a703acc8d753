// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How long a rollout takes: many outputs of uneven lengths, generated side by side.
#pragma once

#include "report/decode.hpp"

namespace trainmeter {

// Output lengths: log-normal, cut off at `most`.
class Lengths {
 public:
  // `mean` is that of the lengths after the cut, taken as kFullest x `most` where it is more.
  // `sigma`: standard deviation of the logarithm before it.
  Lengths(double mean, double sigma, double most);
  static constexpr double kFullest = 0.95;

  [[nodiscard]] double mean() const { return mean_; }
  [[nodiscard]] double longer_than(double length) const;  // share of the outputs
  [[nodiscard]] double longest(double outputs) const;     // median of the longest among so many
  [[nodiscard]] double length_of_mean_token() const;      // of the output that the mean token is in

 private:
  double mean_, sigma_, most_, mu_ = 0;
};

struct RolloutTime {
  double seconds = 0;
  double alone_s = 0;       // the longest output, with nothing beside it
  double throughput_s = 0;  // all tokens, at the rate of the full batch
};

// `outputs` start together, `per_gpu` of them on each GPU as far as its memory goes, and all wait
// for the longest. A sequence grows by `tokens_per_step` in each decode step.
RolloutTime rollout_time(const DecodeStep& step, const Lengths& lengths, double outputs,
                         double per_gpu, double tokens_per_step, const DecodeFactors& factors);

}  // namespace trainmeter
