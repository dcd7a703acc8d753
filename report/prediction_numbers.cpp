// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The numbers of a prediction, from estimates over the parts of a step down to rates, factors and
// what was given.
#include "record/names.hpp"
#include "report/number_leaves.hpp"
#include "report/part_sources.hpp"
#include "report/story.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

namespace trainmeter {
namespace {

using Ids = std::vector<std::string>;

constexpr const char* kWork[] = {"gpus", "tokens", "seq_len", "global_batch_sequences", "steps"};

std::string last_part(const std::string& what) {
  return what.substr(what.rfind('.') + 1);
}

bool is_work(const UsedInput& input) {
  return std::ranges::find(kWork, last_part(input.what)) != std::end(kWork);
}

std::string shown_input(const UsedInput& input) {
  return is_work(input) ? format_count(input.value) : shown_number(input.what, input.value);
}

class PredictionNumbers {
 public:
  PredictionNumbers(Numbers& numbers, const Prediction& p, const std::filesystem::path& published,
                    KeyLines& lines)
      : numbers_(numbers),
        p_(p),
        published_(published),
        lines_(lines),
        by_line_(ids_by_line(numbers)),
        prefix_("predict/" + p.run_id) {}

  void add() {
    for (const UsedRate& used : p_.rates) add_rate(used);
    for (const UsedFactor& used : p_.factors) add_factor(used);
    for (const InPlaceLink& link : p_.in_place) add_link(link);
    for (const UsedInput& input : p_.inputs) add_input(input);
    for (const auto& [part, seconds] : p_.breakdown_s) add_part(part, seconds);
    add_estimates();
    add_null_model();
    auto json = to_json(p_);
    for (const char* done : {"estimates", "null_model", "rates", "breakdown_s"}) json.erase(done);
    add_leaves(numbers_, prefix_, json, [this](const std::string& path) { return source(path); });
  }

 private:
  [[nodiscard]] std::string id(std::string_view what) const {
    return fmt::format("{}:{}", prefix_, what);
  }
  [[nodiscard]] std::string rate_id(const UsedRate& used) const {
    return id(fmt::format("rates.{}.value", word(used.what)));
  }
  [[nodiscard]] std::string factor_id(Factor factor) const {
    return id(fmt::format("factors.{}.middle", to_string(factor)));
  }
  [[nodiscard]] std::string part_id(std::string_view part) const {
    return id(fmt::format("breakdown_s.{}", part));
  }
  // Those of them that there are.
  [[nodiscard]] Ids known(const std::vector<std::string_view>& whats) const {
    Ids out;
    for (const std::string_view what : whats) {
      if (numbers_.find(id(what)) != nullptr) out.push_back(id(what));
    }
    return out;
  }
  void put(const std::string& id, double value, std::string shown, std::string kind,
           std::string formula, Ids inputs, std::string source = "") {
    numbers_.add({.id = id,
                  .value = value,
                  .shown = std::move(shown),
                  .kind = std::move(kind),
                  .formula = std::move(formula),
                  .inputs = std::move(inputs),
                  .source = std::move(source)});
  }

  // The numbers of these lines of records.
  [[nodiscard]] Ids lines_of(const std::vector<std::string>& origins) const {
    Ids out;
    for (const std::string& origin : origins) {
      if (const auto line = by_line_.find(origin); line != by_line_.end())
        out.push_back(line->second);
    }
    return out;
  }

  // Tied to the number of the record's line, published figure or machine's figure it came from.
  void add_rate(const UsedRate& used) {
    const Rate& rate = used.rate;
    Ids inputs;
    if (numbers_.find(rate.figure + ":rate") != nullptr) {
      inputs = {rate.figure + ":rate"};
    } else if (const auto line = by_line_.find(rate.origin); line != by_line_.end()) {
      inputs = {line->second};
    } else if (numbers_.find("machine:" + rate.key) != nullptr) {
      inputs = {"machine:" + rate.key};
    }
    put(rate_id(used), rate.value, shown_rate(used),
        rate.basis == Basis::datasheet ? "published" : std::string(to_string(rate.basis)), rate.how,
        std::move(inputs), rate.origin);
  }

  // Measured, tied to the lines it follows from; else to the file it stands in.
  void add_factor(const UsedFactor& used) {
    if (!used.origins.empty()) {
      put(factor_id(used.factor), used.middle, fmt::format("{:.3g}", used.middle), basis_of(used),
          used.why, lines_of(used.origins), fmt::format("{}", fmt::join(used.origins, "; ")));
      return;
    }
    put(factor_id(used.factor), used.middle, fmt::format("{:.3g}", used.middle),
        used.learnt ? "derived" : "assumed",
        used.learnt ? "learnt from published steps of other families" : used.why, {},
        lines_.shown(used.place));
  }

  // Measured, tied to the lines in place and alone; else to the factor that is assumed or learnt.
  void add_link(const InPlaceLink& link) {
    Ids inputs = lines_of(link.origins);
    if (link.factor) inputs = {factor_id(*link.factor)};
    put(number_id(p_, link), link.ratio, fmt::format("{:.3g}", link.ratio),
        link.basis == "measured"          ? "measured"
        : link.basis == "published steps" ? "derived"
                                          : "assumed",
        link.factor ? "no GEMM of this dtype was timed in a layer (layer_bench): the factor"
                    : link.why,
        std::move(inputs));
  }

  void add_input(const UsedInput& input) {
    Ids inputs, elsewhere;
    const auto take = [&](const std::string& one) {
      if (std::ranges::find(inputs, one) == inputs.end()) inputs.push_back(one);
    };
    for (const std::string& number : input.numbers) {
      if (numbers_.find(number) != nullptr) take(number);
    }
    for (const std::string& origin : input.origins) {
      if (const auto line = by_line_.find(origin); line != by_line_.end()) {
        take(line->second);
      } else if (std::ranges::find(elsewhere, origin) == elsewhere.end()) {
        elsewhere.push_back(origin);
      }
    }
    const KeyPlace file{input.place.file, ""};
    const bool left_out = lines_.line(input.place) == 0 && lines_.line(file) != 0;
    std::string source;
    if (inputs.empty()) {
      source = left_out ? lines_.shown(file) + ", which leaves it to the default (docs/files.md)"
               : file.file.empty() ? fmt::format("{}", fmt::join(elsewhere, "; "))
                                   : lines_.shown(input.place);
    }
    const std::string kind = !input.kind.empty() ? input.kind
                             : left_out          ? "assumed"
                             : inputs.empty()    ? kind_of(input.place, published_)
                                                 : numbers_.at(inputs.front()).kind;
    for (const std::string& other : input.of) {
      if (std::ranges::find(p_.inputs, other, &UsedInput::what) != p_.inputs.end()) take(id(other));
    }
    put(id(input.what), input.value, shown_input(input), kind, input.how, std::move(inputs),
        std::move(source));
  }

  [[nodiscard]] Ids part_inputs(const std::string& part) const {
    const PartSources from = sources_of(part);
    Ids out;
    for (const UsedRate& used : p_.rates) {  // layers of several kinds share some
      const std::string rate = rate_id(used);
      if (used.part == part && std::ranges::find(out, rate) == out.end()) out.push_back(rate);
    }
    for (const UsedFactor& used : p_.factors) {
      const bool linked = std::ranges::any_of(
          p_.in_place, [&](const InPlaceLink& link) { return link.factor == used.factor; });
      if (!linked && std::ranges::find(from.factors, used.factor) != from.factors.end())
        out.push_back(factor_id(used.factor));
    }
    if (from.in_place) {
      for (const InPlaceLink& link : p_.in_place) out.push_back(number_id(p_, link));
    }
    for (const UsedInput& input : p_.inputs) {
      if (std::ranges::find(input.parts, part) != input.parts.end()) out.push_back(id(input.what));
    }
    for (const auto& [other, seconds] : p_.breakdown_s) {
      if (std::ranges::find(from.parts, other) != from.parts.end()) out.push_back(part_id(other));
    }
    return out;
  }

  void add_part(const std::string& part, double seconds) {
    put(part_id(part), seconds, format_seconds(seconds), "derived",
        "work / (rate x in place x other factors), summed over this part of the step with every "
        "input at its middle, averaged over the plausible layouts, scaled to the median of the "
        "draws (docs/extrapolation.md)",
        part_inputs(part));
  }

  void estimate(const std::string& name, const Estimate& e, const std::string& formula,
                Ids inputs) {
    put(id(name), e.p50, shown_number(name, e.p50), "derived", formula, std::move(inputs));
    put(id(name + ".p05"), e.p05, shown_number(name, e.p05), "derived",
        "5 % of the draws lie below", {id(name)});
    put(id(name + ".p95"), e.p95, shown_number(name, e.p95), "derived",
        "95 % of the draws lie below", {id(name)});
  }

  // How many steps on how many GPUs; of stages, theirs.
  [[nodiscard]] Ids work_inputs() const {
    Ids out;
    for (const UsedInput& input : p_.inputs) {
      if (is_work(input)) out.push_back(id(input.what));
    }
    return out;
  }

  void add_estimates() {
    Ids parts;
    for (const auto& [part, seconds] : p_.breakdown_s) parts.push_back(part_id(part));
    const RunEstimates& e = p_.estimates;
    estimate("step_time_s", e.step_time_s, "median of the draws: the sum of these parts", parts);
    estimate("tflops_per_gpu", e.tflops_per_gpu, "model FLOPs of a step / step time / GPUs",
             known({"flops_per_step", "step_time_s", "gpus"}));
    estimate("mfu", e.mfu, "model FLOP/s per GPU / peak",
             known({"tflops_per_gpu", "mfu_peak_flops"}));
    if (e.gpu_hours) {
      Ids inputs = known({"step_time_s", "goodput"});
      for (std::string& work : work_inputs()) inputs.push_back(std::move(work));
      estimate("gpu_hours", *e.gpu_hours, "steps x step time x GPUs / 3600 / goodput",
               std::move(inputs));
    }
    if (e.cost_usd) {
      estimate("cost_usd", *e.cost_usd, "GPU-hours x price",
               known({"gpu_hours", "price_usd_per_gpu_hour"}));
    }
  }

  void add_null_model() {
    const RunEstimates& e = p_.null_model;
    const std::string peak = numbers_.find(id("null_model.peak_flops")) == nullptr
                                 ? "mfu_peak_flops"
                                 : "null_model.peak_flops";
    const std::string formula = "the null model: 40 % of the dense bf16 peak for everything";
    estimate("null_model.step_time_s", e.step_time_s, formula,
             known({"flops_per_step", "gpus", peak}));
    estimate("null_model.tflops_per_gpu", e.tflops_per_gpu, formula,
             known({"flops_per_step", "gpus", "null_model.step_time_s"}));
    estimate("null_model.mfu", e.mfu, formula,
             known({"null_model.tflops_per_gpu", "mfu_peak_flops"}));
    if (e.gpu_hours) {
      Ids inputs = known({"null_model.step_time_s", "goodput"});
      for (std::string& work : work_inputs()) inputs.push_back(std::move(work));
      estimate("null_model.gpu_hours", *e.gpu_hours, formula, std::move(inputs));
    }
    if (e.cost_usd) {
      estimate("null_model.cost_usd", *e.cost_usd, formula,
               known({"null_model.gpu_hours", "price_usd_per_gpu_hour"}));
    }
  }

  // Of what the JSON holds beside all that.
  [[nodiscard]] LeafSource source(const std::string& path) const {
    const std::string stem = path.substr(0, path.rfind('.'));
    const auto derived = [](std::string formula, Ids inputs) {
      return LeafSource{"derived", "", std::move(formula), std::move(inputs)};
    };
    if (path.starts_with("published.")) {
      return {kind_of(p_.place, published_),
              lines_.shown(p_.place.at(path)),
              "as the run's source prints it",
              {}};
    }
    if (path == "published_step_time_s")
      return derived("what the source's figure comes to", published_figure());
    if (path == "error_pct")
      return derived("step time / published step time - 1",
                     {id("step_time_s"), id("published_step_time_s")});
    if (path.starts_with("factors.")) return derived("", known({stem + ".middle"}));
    if (path.starts_with("in_place.")) return derived("", known({stem + ".ratio"}));
    if (path.starts_with("moves_most.")) {
      const std::string name = last_part(stem);
      return derived("squared correlation with the logarithm of the step time, over the draws",
                     known({"step_time_s", fmt::format("factors.{}.middle", name),
                            fmt::format("rl.{}", name)}));
    }
    if (path.starts_with("slot_time_s")) {
      return derived("one micro-batch forward and backward in the median stage",
                     part_inputs("pipeline_bubble"));
    }
    return derived("", {id("step_time_s")});
  }

  // The first there is, as published_step_time() and predict_rl() look for it.
  [[nodiscard]] Ids published_figure() const {
    const bool rl = std::ranges::any_of(p_.breakdown_s,
                                        [](const auto& part) { return part.first == "rollout"; });
    std::vector<std::string_view> keys = {
        "step_time_s", "tokens_per_s_per_gpu", "tokens_per_day", "tflops_per_gpu", "mfu", "hfu",
        "gpu_hours"};
    if (rl) keys = {"wall_hours", "gpu_hours"};
    for (const std::string_view key : keys) {
      if (p_.published.contains(std::string(key))) return {id(fmt::format("published.{}", key))};
    }
    return {};
  }

  Numbers& numbers_;
  const Prediction& p_;
  const std::filesystem::path& published_;
  KeyLines& lines_;
  std::map<std::string, std::string> by_line_;
  std::string prefix_;
};

}  // namespace

std::string number_id(const Prediction& p, const InPlaceLink& link) {
  return fmt::format("predict/{}:in_place.{}.ratio", p.run_id, word(link.what));
}

void add_prediction(Numbers& numbers, const Prediction& prediction,
                    const std::filesystem::path& published, KeyLines& lines) {
  PredictionNumbers(numbers, prediction, published, lines).add();
}

}  // namespace trainmeter
