// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The batch thins out as outputs end.
#include "report/rollout.hpp"

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

double upper_tail(double z) {  // of a standard normal
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

// Smallest x in [low, high] with rising(x) >= target.
template <class Rising>
double bisect(Rising rising, double target, double low, double high) {
  constexpr int kHalvings = 50;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = 0.5 * (low + high);
    (rising(middle) < target ? low : high) = middle;
  }
  return high;
}

// E[min(X, most)^p] of a log-normal X.
double cut_moment(double mu, double sigma, double most, double p) {
  const double z = (std::log(most) - mu) / sigma;
  return std::exp(p * mu + p * p * sigma * sigma / 2) * upper_tail(p * sigma - z) +
         std::pow(most, p) * upper_tail(z);
}

}  // namespace

Lengths::Lengths(double mean, double sigma, double most)
    : mean_(std::min(mean, kFullest * most)), sigma_(sigma), most_(most) {
  const double uncut = std::log(mean_) - sigma_ * sigma_ / 2;
  mu_ = bisect([&](double mu) { return cut_moment(mu, sigma_, most_, 1); }, mean_, uncut,
               std::log(most_) + 8 * sigma_);
}

double Lengths::longer_than(double length) const {
  return length >= most_ ? 0 : upper_tail((std::log(length) - mu_) / sigma_);
}

double Lengths::longest(double outputs) const {
  const double share = 1 - std::exp2(-1 / std::max(outputs, 1.0));  // half of all rollouts have one
  const double z = bisect([](double x) { return -upper_tail(x); }, -share, -1, 9);
  return std::min(most_, std::exp(mu_ + sigma_ * z));
}

double Lengths::length_of_mean_token() const {
  return cut_moment(mu_, sigma_, most_, 2) / mean_;
}

RolloutTime rollout_time(const DecodeStep& step, const Lengths& lengths, double outputs,
                         double per_gpu, double tokens_per_step, const DecodeFactors& f) {
  constexpr int kPoints = 32;
  constexpr double kFirst = 1e-3;  // of the longest
  const double batch = std::min(per_gpu, step.room_for(lengths.mean()));
  const double longest = lengths.longest(outputs);
  const double mean_context = lengths.length_of_mean_token() / 2;
  const double full_s = step.seconds(batch, mean_context, f) / tokens_per_step / batch;
  RolloutTime out;
  // What doesn't fit waits for a place: the batch stays full meanwhile.
  out.seconds = (per_gpu - batch) * lengths.mean() * full_s;
  double before = 0;
  double before_s = step.seconds(batch, 0, f);
  for (int i = 0; i <= kPoints; ++i) {
    const double at = longest * std::pow(kFirst, 1 - static_cast<double>(i) / kPoints);
    const double now_s = step.seconds(batch * lengths.longer_than(at), at, f);
    out.seconds += 0.5 * (now_s + before_s) * (at - before) / tokens_per_step;
    before = at;
    before_s = now_s;
  }
  out.alone_s = longest * step.seconds(0, longest / 2, f) / tokens_per_step;
  out.throughput_s = per_gpu * lengths.mean() * full_s;
  return out;
}

}  // namespace trainmeter
