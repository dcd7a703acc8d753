// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Adds the stages' predictions.
#include "report/stages.hpp"

#include "record/error.hpp"
#include "report/price.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

// Hours alone can't be predicted, nor added to what is.
void refuse_mixed(const Run& run) {
  if (run.model || run.seq_len || run.rl) return;  // the run itself is predicted
  const auto has_run = [](const Stage& s) { return s.run != nullptr; };
  const auto without = std::ranges::find_if_not(run.stages, has_run);
  if (without == run.stages.end() || std::ranges::none_of(run.stages, has_run)) return;
  throw BadInput(
      fmt::format("{}: stages[{}] ({}): expected a run, as other stages are; only numbers "
                  "of it are given",
                  run.place.file, without - run.stages.begin(), without->title));
}

struct Part {
  Prediction prediction;
  double steps = 0, gpus = 0;
};

bool says_goodput(const Run& run) {
  return std::ranges::find(run.left_out, "goodput") == run.left_out.end();
}

// A stage with what the whole says of it: the price of its GPU-hours and its goodput, where the
// stage has none of its own.
Part predicted(const Run& whole, std::size_t index, const System& system, const RateBook& book,
               const Knowledge& knowledge, PredictOptions options) {
  Run run = *whole.stages[index].run;
  if (is_in_stages(run)) {
    throw BadInput(fmt::format(
        "{}: stages[{}].stages: expected a run with seq_len and tokens of its own: stages of a "
        "stage are not added",
        whole.place.file, index));
  }
  if (!run.tokens) {
    throw BadInput(fmt::format("{}: stages: {}: tokens: missing; the sum of stages needs them",
                               whole.place.file, run.id));
  }
  const bool whole_price = !options.price_usd_per_gpu_hour && whole.price_usd_per_gpu_hour &&
                           !carried_to(run, system).price_usd_per_gpu_hour;
  if (whole_price) options.price_usd_per_gpu_hour = whole.price_usd_per_gpu_hour;
  if (!says_goodput(run) && says_goodput(whole)) {
    run.goodput = whole.goodput;
    std::erase(run.left_out, "goodput");
  }
  Part out{.prediction = predict(run, system, book, knowledge, options),
           .gpus = static_cast<double>(run.gpus)};
  if (whole_price) {
    const Price price = price_of(whole, system, {});
    out.prediction.price_how = price.how;
    std::ranges::replace_if(
        out.prediction.inputs, [](const UsedInput& input) { return input.what == kPriceInput; },
        *price.input());
  }
  out.steps = *run.tokens / static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  return out;
}

void add(Estimate& sum, const Estimate& other, double times) {
  sum.p05 += other.p05 * times;
  sum.p50 += other.p50 * times;
  sum.p95 += other.p95 * times;
}

// A figure that each stage has: what all have alike, or the mean over what they take.
class Mean {
 public:
  void add(double value, double weight) {
    if (weight_ == 0) first_ = value;
    same_ = same_ && value == first_;
    sum_ += value * weight;
    weight_ += weight;
  }
  [[nodiscard]] double value() const { return same_ ? first_ : sum_ / weight_; }

 private:
  double first_ = 0, sum_ = 0, weight_ = 0;
  bool same_ = true;
};

// The whole's figures: those of the predictions, or of their null models.
struct Sum {
  Estimate time_s, gpu_s, hours, cost;  // GPU-seconds that train; hours and dollars with the rest
  Mean peak, goodput, price;
  double flops = 0, steps = 0;
  bool priced = true;

  void add_stage(const Part& part, const RunEstimates& stage) {
    const Prediction& p = part.prediction;
    add(time_s, stage.step_time_s, part.steps);
    add(gpu_s, stage.step_time_s, part.steps * part.gpus);
    add(hours, *stage.gpu_hours, 1);
    priced = priced && stage.cost_usd;
    if (stage.cost_usd) {
      add(cost, *stage.cost_usd, 1);
      price.add(*p.price_usd_per_gpu_hour, stage.gpu_hours->p50);
    }
    peak.add(p.mfu_peak_flops, stage.step_time_s.p50 * part.steps * part.gpus);
    goodput.add(p.goodput, stage.gpu_hours->p50);
    flops += p.flops_per_step * part.steps;
    steps += part.steps;
  }

  // Rates over the time of all GPUs: a fast step is a high rate.
  [[nodiscard]] RunEstimates estimates() const {
    const auto rate = [&](double unit) {
      return Estimate{flops / gpu_s.p95 / unit, flops / gpu_s.p50 / unit, flops / gpu_s.p05 / unit};
    };
    RunEstimates out;
    add(out.step_time_s, time_s, 1 / steps);
    out.tflops_per_gpu = rate(1e12);
    out.mfu = rate(peak.value());
    out.gpu_hours = hours;
    if (priced) out.cost_usd = cost;
    return out;
  }
};

double step_of(const Prediction& p) {
  double out = 0;
  for (const auto& [name, seconds] : p.breakdown_s) out += seconds;
  return out;
}

double gpu_time_of(const Part& part) {
  return part.prediction.estimates.step_time_s.p50 * part.steps * part.gpus;
}

void add_breakdown(Prediction& out, const Prediction& part, double share) {
  for (const auto& [name, seconds] : part.breakdown_s) {
    const auto same =
        std::ranges::find(out.breakdown_s, name, &std::pair<std::string, double>::first);
    if (same == out.breakdown_s.end()) {
      out.breakdown_s.emplace_back(name, seconds * share);
    } else {
      same->second += seconds * share;
    }
  }
}

// What the stages take as given, under their names; what the whole has of its own is their mean.
void add_stage_inputs(Prediction& out, const std::vector<Part>& parts) {
  const auto whole = [&](const std::string& what, double value, const char* how) -> UsedInput& {
    UsedInput input;
    input.what = what;
    input.value = value;
    input.how = how;
    input.kind = "derived";
    return out.inputs.emplace_back(std::move(input));
  };
  whole("mfu_peak_flops", out.mfu_peak_flops, "the stages', by their GPU-time");
  whole("goodput", out.goodput, "the stages', by their GPU-hours");
  whole("flops_per_step", out.flops_per_step, "the stages', by their steps");
  whole("gpus", static_cast<double>(out.gpus), "the most that a stage has");
  if (out.price_usd_per_gpu_hour)
    whole(kPriceInput, *out.price_usd_per_gpu_hour, "the stages', by their GPU-hours");
  const std::size_t wholes = out.inputs.size();
  for (const Part& part : parts) {
    const std::string& stage = part.prediction.run_id;
    for (UsedInput input : part.prediction.inputs) {
      for (std::size_t i = 0; i < wholes; ++i) {
        if (out.inputs[i].what == input.what) out.inputs[i].of.push_back(stage + "." + input.what);
      }
      input.what = stage + "." + input.what;
      for (std::string& other : input.of) other = stage + "." + other;
      out.inputs.push_back(std::move(input));
    }
  }
}

void assume(Prediction& out, const std::string& text) {
  if (std::ranges::find(out.assumptions, text) == out.assumptions.end())
    out.assumptions.push_back(text);
}

}  // namespace

bool is_in_stages(const Run& run) {
  return !run.seq_len && !run.rl && !run.stages.empty() &&
         std::ranges::all_of(run.stages, [](const Stage& s) { return s.run != nullptr; });
}

Prediction predict_run(const Run& original, const System& system, const RateBook& book,
                       const Knowledge& knowledge, const PredictOptions& options) {
  refuse_mixed(original);
  if (!is_in_stages(original)) return predict(original, system, book, knowledge, options);
  const Run run = carried_to(original, system);
  std::vector<Part> parts;
  Sum sum, null_sum;
  for (std::size_t i = 0; i < run.stages.size(); ++i) {
    parts.push_back(predicted(run, i, system, book, knowledge, options));
    sum.add_stage(parts.back(), parts.back().prediction.estimates);
    null_sum.add_stage(parts.back(), parts.back().prediction.null_model);
  }
  // Factors, and what moves the whole most, are those of the stage that takes most of its GPU-time.
  const Prediction& longest = std::ranges::max_element(parts, {}, gpu_time_of)->prediction;
  Prediction out;
  out.run_id = run.id;
  out.system_id = system.id;
  out.estimates = sum.estimates();
  out.null_model = null_sum.estimates();
  out.flops_per_step = sum.flops / sum.steps;
  out.mfu_peak_flops = sum.peak.value();
  out.goodput = sum.goodput.value();
  if (sum.priced) out.price_usd_per_gpu_hour = sum.price.value();
  out.moves_most = longest.moves_most;
  out.factors = longest.factors;
  out.in_place = longest.in_place;
  for (const Part& part : parts) add_breakdown(out, part.prediction, part.steps / sum.steps);
  out.price_how = parts.front().prediction.price_how;
  out.place = run.place;
  for (const Part& part : parts) {
    out.gpus = std::max(out.gpus, part.prediction.gpus);
    out.most_mfu = std::max(out.most_mfu, part.prediction.most_mfu);
    const std::string& precision = part.prediction.precision;
    if (out.precision.find(precision) == std::string::npos)
      out.precision += (out.precision.empty() ? "" : ", ") + precision;
  }
  add_stage_inputs(out, parts);
  if (longest.run_id != out.run_id)
    assume(out,
           fmt::format("factors, in-place ratios and what moves it most are those of {}, which "
                       "takes the most GPU-time",
                       longest.run_id));
  const double step = step_of(out);
  for (const Part& part : parts) {
    const Prediction& p = part.prediction;
    for (UsedRate used : p.rates) {
      used.what = p.run_id + ": " + used.what;
      used.share *= part.steps / sum.steps * step_of(p) / step;
      out.rates.push_back(std::move(used));
    }
    out.assumptions.push_back(fmt::format("{}: {:.0f} steps, {:.4g} s each", p.run_id, part.steps,
                                          p.estimates.step_time_s.p50));
    for (const std::string& text : p.assumptions) assume(out, text);
    const auto share = [](const MemoryUse& memory) { return memory.need / memory.of; };
    if (p.memory && (!out.memory || share(*out.memory) < share(*p.memory))) out.memory = p.memory;
  }
  std::ranges::stable_sort(out.rates, std::ranges::greater{}, &UsedRate::share);
  if (const std::string left_out = left_out_on(system, original); !left_out.empty())
    assume(out, left_out);
  out.published = printed_figures(run.published);
  std::optional<double> hours = run.published.gpu_hours;
  const std::optional<double> gpus = printed_gpus(run);
  if (!hours && run.published.wall_hours && gpus) hours = *run.published.wall_hours * *gpus;
  if (hours) {
    const double off = out.estimates.gpu_hours->p50 / *hours;
    out.published_step_time_s = out.estimates.step_time_s.p50 / off;
    out.error_pct = (off - 1) * 100;
  }
  refuse_impossible(out);
  return out;
}

}  // namespace trainmeter
