// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Draws factors, spreads, the form of the model and what a run leaves open, and prices each draw.
#include "report/step_draws.hpp"

#include "report/normal.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace trainmeter {
namespace {

// `n` numbers in (0, 1), one in each n-th of it, in random order: shares come out as they are
// meant.
std::vector<double> stratified(int n, std::mt19937_64& random) {
  std::uniform_real_distribution<double> uniform;
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back((i + uniform(random)) / n);
  std::ranges::shuffle(out, random);
  return out;
}

// The inputs of one draw beside the factors.
enum Extra { kGemmNoise, kGemmShape, kMemoryNoise, kForm, kLayout, kExtras };
constexpr std::array<const char*, kExtras> kExtraNames = {
    "spread of the GEMM measurements", "GEMM shapes that were not measured",
    "spread of the memory measurements", "form of the model", "what the run doesn't print"};

FactorValues exponentials(const FactorValues& logs) {
  FactorValues out{};
  for (std::size_t f = 0; f < kFactors; ++f) out[f] = std::exp(logs[f]);
  return out;
}

// The independent standard normals of one draw: of the factors, and of the extras but the layout.
struct Normals {
  FactorValues factors{};
  std::array<double, kLayout> extras{};
};

Normals fresh_normals(std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  Normals out;
  for (double& z : out.factors) z = normal(random);
  for (double& z : out.extras) z = normal(random);
  return out;
}

// As likely as `draw`, on the other side of the centre: a draw and its opposite (antithetic
// variates) leave little to chance in the median.
Normals opposite(Normals draw) {
  for (double& z : draw.factors) z = -z;
  for (double& z : draw.extras) z = -z;
  return draw;
}

}  // namespace

double middle(const std::vector<double>& draws) {
  std::vector<double> values = draws;
  std::ranges::sort(values);
  const std::size_t n = values.size();
  const std::size_t trimmed = std::min(n * 9 / 20, (n - 1) / 2);
  double sum = 0;
  for (std::size_t i = trimmed; i < n - trimmed; ++i) sum += std::log(values[i]);
  const double out = std::exp(sum / static_cast<double>(n - 2 * trimmed));
  return std::clamp(out, values[trimmed], values[n - 1 - trimmed]);  // rounding apart
}

DrawnSteps draw_steps(const std::vector<Candidate>& candidates, const Belief& belief,
                      const FactorValues& centre, int samples, std::uint64_t seed,
                      const std::vector<MeasuredFactor>& measured) {
  std::vector<StepSampler> samplers;
  std::vector<double> base;
  for (const Candidate& c : candidates) {
    samplers.emplace_back(c.bill, centre);
    base.push_back(std::log(samplers.back()(centre, {})));
  }
  const NormalSampler believed(belief.log_mean, belief.log_covariance);
  const auto factors_of = [&](const Normals& draw) {
    return with_measured(believed(draw.factors), belief, measured);
  };
  std::mt19937_64 random(seed);
  constexpr int kPoints = 4;  // at which a pipeline's longest path is looked for, beside the centre
  for (int i = 0; i < kPoints; ++i) {
    const FactorValues point = exponentials(factors_of(fresh_normals(random)));
    for (StepSampler& sampler : samplers) sampler.learn(point);
  }
  const std::vector<double> choices = stratified(samples, random);
  DrawnSteps out;
  for (std::size_t f = 0; f < kFactors; ++f)
    out.inputs.push_back({std::string(to_string(static_cast<Factor>(f))), {}});
  for (const char* name : kExtraNames) out.inputs.push_back({name, {}});
  Normals draw;
  for (std::size_t d = 0; d < choices.size(); ++d) {
    draw = d % 2 == 0 ? fresh_normals(random) : opposite(draw);
    const FactorValues logs = factors_of(draw);
    double u = choices[d];
    std::size_t which = 0;
    while (which + 1 < candidates.size() && u > candidates[which].weight) {
      u -= candidates[which].weight;
      ++which;
    }
    const Bill& bill = candidates[which].bill;
    std::array<double, kExtras> extra{};
    std::ranges::copy(draw.extras, extra.begin());
    extra[kLayout] = base[which];
    const FactorValues values = exponentials(logs);
    const Spread spread{
        .gemm = std::exp(bill.gemm_noise * extra[kGemmNoise] + bill.gemm_shape * extra[kGemmShape]),
        .memory = std::exp(bill.memory_noise * extra[kMemoryNoise])};
    const double form = std::exp(belief.form_sigma * extra[kForm]);
    out.step_s.push_back(samplers[which](values, spread) * form);
    out.form.push_back(form);
    out.over_centre.push_back(out.step_s.back() / std::exp(base[which]));
    for (std::size_t f = 0; f < kFactors; ++f) out.inputs[f].values.push_back(logs[f]);
    for (std::size_t e = 0; e < kExtras; ++e) out.inputs[kFactors + e].values.push_back(extra[e]);
  }
  return out;
}

}  // namespace trainmeter
