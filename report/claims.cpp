// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The sums of a claim, and the verdict. docs/claims.md says how to read it.
#include "report/claims.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "report/stages.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

// A printed figure with its rounding: half a unit of its last digit that isn't a trailing zero.
struct Printed {
  double value;
  double slack;
};

Printed printed(double value) {
  return {value, value > 0 ? printed_unit(value) / 2 : 0};
}

Printed exact(double value) {
  return {value, 0};
}

Printed times(Printed a, Printed b) {
  return {a.value * b.value, a.slack * b.value + b.slack * a.value + a.slack * b.slack};
}

// Both sides carry rounding: they agree where their ranges touch.
Arithmetic compare(const std::string& what, Printed computed, double printed_value,
                   const std::string& unit) {
  const double slack = computed.slack + printed(printed_value).slack;
  const bool agrees = agrees_within_rounding(computed.value, printed_value, 2 * slack);
  return {what, computed.value, printed_value, unit, agrees};
}

std::string shown(double value, const std::string& unit) {
  return unit == "USD" ? format_usd(value) : format_count(value) + " " + unit;
}

std::string plain(double value) {
  return value == std::floor(value) ? format_count(value) : fmt::format("{:g}", value);
}

// GPUs x hours against GPU-hours, and GPU-hours x price against dollars, for a claim or one of its
// stages.
void add_products(std::vector<Arithmetic>& out, const std::string& title,
                  std::optional<double> gpus, std::optional<double> wall,
                  std::optional<double> hours, std::optional<double> price,
                  std::optional<double> cost) {
  const std::string prefix = title.empty() ? "" : title + ": ";
  std::optional<Printed> computed_hours;
  std::string computed_text;
  if (gpus && wall) {
    computed_hours = times(exact(*gpus), printed(*wall));
    computed_text = fmt::format("{} GPUs x {} h = {}", plain(*gpus), plain(*wall),
                                shown(computed_hours->value, "GPU-hours"));
    if (hours) out.push_back(compare(prefix + computed_text, *computed_hours, *hours, "GPU-hours"));
  }
  if (!price || !cost) return;
  if (hours) {
    const Printed dollars = times(printed(*hours), exact(*price));
    out.push_back(compare(fmt::format("{}{} GPU-hours x {} = {}", prefix, format_count(*hours),
                                      format_usd(*price), format_usd(dollars.value)),
                          dollars, *cost, "USD"));
  } else if (computed_hours) {
    const Printed dollars = times(*computed_hours, exact(*price));
    out.push_back(compare(fmt::format("{}{} x {} = {}", prefix, computed_text, format_usd(*price),
                                      format_usd(dollars.value)),
                          dollars, *cost, "USD"));
  }
}

void add_sum(std::vector<Arithmetic>& out, const Run& claim, std::optional<double> Stage::*field,
             std::optional<double> total, const std::string& unit) {
  if (claim.stages.empty() || !total) return;
  Printed sum{0, 0};
  std::string text;
  for (const Stage& stage : claim.stages) {
    const auto& value = stage.*field;
    if (!value) return;  // a part that isn't printed: no sum to check
    sum.value += *value;
    sum.slack += printed(*value).slack;
    text +=
        (text.empty() ? "" : " + ") + (unit == "USD" ? format_usd(*value) : format_count(*value));
  }
  out.push_back(compare(fmt::format("{} = {}", text, shown(sum.value, unit)), sum, *total, unit));
}

// Upper bound of the model FLOPs of an RL stage whose mean output length isn't printed: every
// output as long as allowed. A token costs a forward pass to generate, a training pass, and one
// more forward where a reference model scores it.
std::optional<double> rl_flops_at_most(const Run& run) {
  if (!run.rl || run.rl->phases.empty()) return std::nullopt;
  const Rl& rl = *run.rl;
  const auto outputs = static_cast<double>(rl.questions_per_step * rl.samples_per_question);
  const double passes =
      1 + 1.0 / 3 + (rl.reference_model ? 1.0 / 3 : 0);  // training is three forwards
  double flops = 0;
  for (const RlPhase& phase : rl.phases) {
    const auto length =
        phase.mean_output_tokens ? phase.mean_output_tokens : phase.max_output_tokens;
    if (!length) return std::nullopt;
    flops += phase.steps * outputs * *length * passes *
             training_flops_per_token(*run.model, {.seq_len = static_cast<std::int64_t>(*length)});
  }
  return flops;
}

std::optional<Implied> implied_by(const Run& run, std::optional<double> hours) {
  if (!run.model || !hours) return std::nullopt;
  Implied out{.stage = run.id, .how = "", .precision = run.precision};
  if (run.tokens && run.seq_len) {
    const double per_token = training_flops_per_token(*run.model, {.seq_len = *run.seq_len});
    out.flops_per_s_per_gpu = rate(*run.tokens * per_token, *hours * 3600);
    out.how =
        fmt::format("{:.3g} tokens x {:.1f} GFLOP (causal, without router and MTP) / {} GPU-hours",
                    *run.tokens, per_token / 1e9, format_count(*hours));
    return out;
  }
  if (const auto flops = rl_flops_at_most(run)) {
    out.flops_per_s_per_gpu = rate(*flops, *hours * 3600);
    out.upper_bound = true;
    out.how = fmt::format(
        "at most {:.2g} FLOP (every output as long as allowed: generated, scored, trained on) / {} "
        "GPU-hours",
        *flops, format_count(*hours));
    return out;
  }
  return std::nullopt;
}

std::optional<Ceiling> ceiling_for(const RateBook& book, const std::string& dtype) {
  const auto best = book.best_gemm(dtype);
  if (!best) return std::nullopt;
  return Ceiling{
      best->value, dtype, best->origin,
      best->transferred.empty()
          ? "measured on this GPU"
          : fmt::format("transferred from {}: same SMs, same {} peak", best->transferred, dtype)};
}

void add_work(Verdict& out, const Run& run, std::optional<double> hours, const RateBook& book,
              const System& system, const Knowledge& knowledge) {
  if (const auto implied = implied_by(run, hours)) out.implied.push_back(*implied);
  if (!run.model) return;
  try {
    Prediction prediction = predict_run(run, system, book, knowledge, {});
    if (prediction.estimates.gpu_hours) {
      out.predicted.push_back({run.id, std::move(prediction)});
    } else {
      out.not_predicted.push_back(run.id + ": its number of tokens is not printed");
    }
  } catch (const BadInput& error) {
    out.not_predicted.emplace_back(error.what());
  }
}

void decide(Verdict& out) {
  for (const Arithmetic& sum : out.arithmetic) {
    if (sum.agrees) continue;
    out.verdict = "contradictory";
    out.reason = fmt::format("{}, not {}", sum.what, shown(sum.printed, sum.unit));
    return;
  }
  std::string tested;
  for (const Implied& implied : out.implied) {
    const auto ceiling = std::ranges::find(out.ceilings, implied.precision, &Ceiling::dtype);
    if (ceiling == out.ceilings.end()) continue;
    const bool within = implied.flops_per_s_per_gpu <= ceiling->flops_per_s;
    const std::string both =
        fmt::format("{} needs {}{} per GPU; the best {} GEMM that anybody published for it is {}",
                    implied.stage, implied.upper_bound ? "at most " : "",
                    format_flops(implied.flops_per_s_per_gpu), ceiling->dtype,
                    format_flops(ceiling->flops_per_s));
    if (!within && implied.upper_bound) continue;  // a bound beyond the ceiling proves nothing
    if (!within) {
      out.verdict = "exceeds_measured";
      out.reason = both;
      return;
    }
    if (tested.empty()) tested = both;
  }
  if (tested.empty()) {
    out.verdict = "untestable";
    out.reason = out.arithmetic.empty() ? "neither the parts of a sum nor the work done is printed"
                                        : "its arithmetic agrees, but the work done is not "
                                          "printed, so its speed can't be tested";
    return;
  }
  out.verdict = "consistent";
  out.reason = (out.arithmetic.empty() ? "" : "the arithmetic agrees within rounding; ") + tested;
}

}  // namespace

Verdict judge(const Run& claim, const Library& library) {
  Verdict out;
  out.id = claim.id;
  out.title = claim.title;
  out.gpu_hours = claim.published.gpu_hours;
  out.cost_usd = claim.published.cost_usd;
  out.source = claim.source;

  std::optional<double> price = claim.price_usd_per_gpu_hour;
  add_sum(out.arithmetic, claim, &Stage::gpu_hours, out.gpu_hours, "GPU-hours");
  add_sum(out.arithmetic, claim, &Stage::cost_usd, out.cost_usd, "USD");
  for (const Stage& stage : claim.stages) {
    const auto stage_price =
        stage.run && stage.run->price_usd_per_gpu_hour ? stage.run->price_usd_per_gpu_hour : price;
    add_products(out.arithmetic, stage.title, stage.gpus, stage.wall_hours, stage.gpu_hours,
                 stage_price, stage.cost_usd);
  }
  // Stages on different numbers of GPUs have no common GPUs x hours.
  const std::optional<double> gpus = static_cast<double>(claim.gpus);
  add_products(out.arithmetic, "", gpus, claim.published.wall_hours, out.gpu_hours, price,
               out.cost_usd);

  std::optional<System> system = claim.system;
  for (const Stage& stage : claim.stages) {
    if (!system && stage.run) system = stage.run->system;
  }
  if (system) {
    const Knowledge knowledge = load_knowledge(library);
    RateBook book;
    book.add_published(library, *system);
    if (claim.model) add_work(out, claim, out.gpu_hours, book, *system, knowledge);
    for (const Stage& stage : claim.stages) {
      if (stage.run)
        add_work(out, *stage.run, stage.gpu_hours, book, stage.run->system.value_or(*system),
                 knowledge);
    }
    std::vector<std::string> dtypes;
    for (const Implied& implied : out.implied) dtypes.push_back(implied.precision);
    for (const char* dtype : {"bf16", "fp8"}) dtypes.emplace_back(dtype);
    for (const std::string& dtype : dtypes) {
      const bool there =
          std::ranges::find(out.ceilings, dtype, &Ceiling::dtype) != out.ceilings.end();
      if (const auto ceiling = ceiling_for(book, dtype); ceiling && !there)
        out.ceilings.push_back(*ceiling);
    }
  }
  decide(out);
  return out;
}

nlohmann::ordered_json to_json(const Verdict& v) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const std::optional<double>& x) { return x ? Json(*x) : Json(nullptr); };
  Json json = {{"id", v.id}, {"title", v.title}, {"verdict", v.verdict}, {"reason", v.reason}};
  json["arithmetic"] = Json::array();
  for (const Arithmetic& a : v.arithmetic) {
    json["arithmetic"].push_back({{"what", a.what},
                                  {"computed", a.computed},
                                  {"printed", a.printed},
                                  {"unit", a.unit},
                                  {"agrees", a.agrees}});
  }
  json["implied"] = Json::array();
  for (const Implied& i : v.implied) {
    json["implied"].push_back({{"stage", i.stage},
                               {"flops_per_s_per_gpu", i.flops_per_s_per_gpu},
                               {"upper_bound", i.upper_bound},
                               {"precision", i.precision},
                               {"how", i.how}});
  }
  json["ceiling"] = Json::array();
  for (const Ceiling& c : v.ceilings) {
    json["ceiling"].push_back(
        {{"dtype", c.dtype}, {"flops_per_s", c.flops_per_s}, {"how", c.how}, {"origin", c.origin}});
  }
  json["predicted"] = Json::array();
  for (const ClaimPrediction& p : v.predicted) {
    const RunEstimates& e = p.prediction.estimates;
    Json part = {{"run", p.run},
                 {"gpu_hours", to_json(*e.gpu_hours)},
                 {"cost_usd", e.cost_usd ? to_json(*e.cost_usd) : Json(nullptr)},
                 {"null_model_gpu_hours", p.prediction.null_model.gpu_hours->p50}};
    json["predicted"].push_back(std::move(part));
  }
  json["not_predicted"] = v.not_predicted;
  json["gpu_hours"] = or_null(v.gpu_hours);
  json["cost_usd"] = or_null(v.cost_usd);
  if (v.source)
    json["source"] = {{"title", v.source->title},
                      {"locator", v.source->locator},
                      {"url", v.source->url},
                      {"read_on", v.source->read_on}};
  return json;
}

}  // namespace trainmeter
