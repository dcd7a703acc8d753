// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One RL update as the sum of its parts, for one draw of what is uncertain.
#pragma once

#include "report/decode.hpp"
#include "report/rl_training.hpp"
#include "report/rollout.hpp"

#include <array>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// The constants that no kernel measurement gives, each with median, 90 % range and reason.
enum class RlFactor : std::size_t {
  decode_efficiency,       // the parts of a decode step / the step
  decode_kernels_s,        // of a layer, beside its bytes and FLOPs
  exchange_s,              // one dispatch, combine or all-reduce of next to no bytes
  tokens_per_decode_step,  // where the model has a module to draft with
  mean_of_allowed,         // mean output / longest allowed, where no mean is printed
  length_spread,           // standard deviation of the logarithm of output lengths
  transition_s,            // between rollout and training and back, once a rollout
  form,                    // what the model leaves out
};
inline constexpr std::size_t kRlFactors = static_cast<std::size_t>(RlFactor::form) + 1;
std::string_view to_string(RlFactor factor);
const FactorPrior& rl_prior(RlFactor factor);

struct RlDraw {
  std::array<double, kRlFactors> factors{};
  double node_links = 1, network_links = 1;
  double memory = 1;       // measured bandwidth / its median
  double training = 1;     // training pass / its median
  std::size_t engine = 0;  // which rollout engine, the likeliest first

  [[nodiscard]] double operator[](RlFactor f) const { return factors[static_cast<std::size_t>(f)]; }
  double& operator[](RlFactor f) { return factors[static_cast<std::size_t>(f)]; }
};

struct RlStep {  // the mean update over all phases
  double rollout_s = 0, training_s = 0, reference_s = 0, weight_transfer_s = 0, overhead_s = 0;
  // Of the rollout, what the rates of memory and GEMMs would take by themselves: nothing for
  // launches and exchanges, and the sum of the parts reached. mean_step() fills it in.
  double rollout_at_rates_s = 0;
  double tokens = 0;  // generated, and trained on
  double flops = 0;   // model FLOPs of all passes
  [[nodiscard]] double total_s() const {
    return rollout_s + training_s + reference_s + weight_transfer_s + overhead_s;
  }
};

// A rollout engine, and how likely it is the one that ran: whoever ran it chose among the fast
// ones, so its weight halves with every kTuning (candidates.hpp) by which it makes a step slower.
// The dtype of its weights is no such choice: each that fits has the same share.
struct Engine {
  DecodeStep decode;
  double weight = 1;  // all add up to 1
};

class RlModel {
 public:
  // `phases` have lengths. BadInput where the counts contradict each other, the model doesn't fit,
  // or a rate is missing.
  RlModel(const Run& run, const System& system, const RateBook& book, const Knowledge& knowledge,
          const PredictOptions& options, double peak_flops, std::vector<RlPhase> phases);

  [[nodiscard]] RlDraw central() const;  // every factor at its median, on the likeliest engine
  // Appends what was drawn to `inputs` (logarithms of the ratios to the medians), in the order of
  // input_names().
  [[nodiscard]] RlDraw draw(std::mt19937_64& random, std::vector<double>& inputs) const;
  static std::vector<std::string> input_names();

  [[nodiscard]] RlStep step(const RlDraw& draw) const;
  // The geometric mean over the engines by their weights, its parts in the shares that they have
  // in the arithmetic one.
  [[nodiscard]] RlStep mean_step(RlDraw draw) const;
  [[nodiscard]] Lengths lengths(const RlPhase& phase, const RlDraw& draw) const;
  [[nodiscard]] RolloutTime rollout(const Lengths& lengths, const RlDraw& draw) const;

  [[nodiscard]] double steps() const { return steps_; }
  [[nodiscard]] double outputs_per_rollout() const { return outputs_per_rollout_; }
  [[nodiscard]] double updates_per_rollout() const { return outputs_per_rollout_ / outputs_; }
  [[nodiscard]] bool drafts() const { return run_.model->mtp_depth > 0; }
  [[nodiscard]] const std::vector<RlPhase>& phases() const { return phases_; }
  [[nodiscard]] const std::vector<Engine>& engines() const { return engines_; }
  [[nodiscard]] const TrainingPass& training() const { return training_; }
  [[nodiscard]] bool one_node() const { return run_.gpus <= system_.gpus_per_node; }

 private:
  [[nodiscard]] double flops_per_token(const Lengths& lengths) const;  // of a training pass
  [[nodiscard]] DecodeFactors decode_factors(const RlDraw& draw) const;
  [[nodiscard]] RolloutTime rollout(const Lengths& lengths, const RlDraw& draw,
                                    const DecodeFactors& factors) const;
  [[nodiscard]] double rollout_at_rates_s(const RlDraw& draw) const;
  [[nodiscard]] double weight_transfer_s(const RlDraw& draw) const;  // after each rollout
  [[nodiscard]] UpdateWork mean_work(const RlDraw& draw) const;
  void weigh_engines();

  const Run& run_;
  const System& system_;
  std::vector<RlPhase> phases_;
  double outputs_ = 0;  // of one update
  double outputs_per_rollout_ = 0;
  double steps_ = 0;
  FactorPrior node_links_, network_links_;
  std::vector<Engine> engines_;
  std::vector<double> log_steps_;  // of each engine, every factor at its median
  TrainingPass training_;
};

}  // namespace trainmeter
