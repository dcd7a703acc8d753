// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The sums of claims, redone.
#include "report/claim_arithmetic.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "report/claim_rates.hpp"
#include "report/printed_figure.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

// Both sides carry rounding: they agree where their ranges touch.
Arithmetic compare(const std::string& what, Printed computed, Printed source,
                   const std::string& unit) {
  const double slack = computed.slack + source.slack;
  const bool agrees = agrees_within_rounding(computed.value, source.value, 2 * slack);
  return {what, computed.value, source.value, unit, agrees};
}

std::string plain(double value) {
  if (!(value < 1e15)) return fmt::format("{:.4g}", value);
  return value == std::floor(value) ? format_count(value) : fmt::format("{:.6g}", value);
}

std::string shown(double value, const std::string& unit) {
  if (unit == "USD") return format_usd(value);
  if (unit == "GPU-hours") return format_count(value) + " GPU-hours";
  return plain(value == std::floor(value) ? value : std::stod(fmt::format("{:.5g}", value))) + " " +
         unit;
}

// GPUs x hours against GPU-hours, and GPU-hours x price against dollars, for a claim or one of its
// stages.
struct Products {
  std::string title;
  std::optional<double> gpus, wall, hours, price, cost;
  std::optional<double> cost_unit;
};

void add_products(std::vector<Arithmetic>& out, const Products& p) {
  const std::string prefix = p.title.empty() ? "" : p.title + ": ";
  std::optional<Printed> computed_hours;
  std::string computed_text;
  if (p.gpus && p.wall) {
    computed_hours = times(exact(*p.gpus), printed(*p.wall));
    computed_text = fmt::format("{} GPUs x {} h = {}", plain(*p.gpus), plain(*p.wall),
                                shown(computed_hours->value, "GPU-hours"));
    if (p.hours)
      out.push_back(
          compare(prefix + computed_text, *computed_hours, printed(*p.hours), "GPU-hours"));
  }
  if (!p.price || !p.cost) return;
  const Printed cost = p.cost_unit ? Printed{*p.cost, *p.cost_unit / 2} : printed(*p.cost);
  if (p.hours) {
    const Printed dollars = times(printed(*p.hours), exact(*p.price));
    out.push_back(compare(fmt::format("{}{} GPU-hours x {} = {}", prefix, format_count(*p.hours),
                                      format_usd(*p.price), format_usd(dollars.value)),
                          dollars, cost, "USD"));
  } else if (computed_hours) {
    const Printed dollars = times(*computed_hours, exact(*p.price));
    out.push_back(compare(fmt::format("{}{} x {} = {}", prefix, computed_text, format_usd(*p.price),
                                      format_usd(dollars.value)),
                          dollars, cost, "USD"));
  }
}

void add_stage_sum(std::vector<Arithmetic>& out, const Run& claim,
                   std::optional<double> Stage::*field, std::optional<double> total,
                   const std::string& unit) {
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
  out.push_back(
      compare(fmt::format("{} = {}", text, shown(sum.value, unit)), sum, printed(*total), unit));
}

Arithmetic redone(const PrintedSum& sum) {
  Printed result = exact(sum.exact);
  std::string text;
  if (!sum.add.empty()) {
    Printed added{0, 0};
    for (const double term : sum.add) {
      added.value += term;
      added.slack += printed(term).slack;
      text += (text.empty() ? "" : " + ") + plain(term);
    }
    if (sum.exact != 1) text = "(" + text + ")";
    result = times(result, added);
  }
  for (const double factor : sum.multiply) {
    result = times(result, printed(factor));
    text += (text.empty() ? "" : " x ") + plain(factor);
  }
  for (const double divisor : sum.divide) {
    result = over(result, printed(divisor));
    text += " / " + plain(divisor);
  }
  if (sum.exact != 1) text += " x " + plain(sum.exact);
  return compare(fmt::format("{}: {} = {}", sum.title, text, shown(result.value, sum.unit)), result,
                 printed(sum.printed), sum.unit);
}

}  // namespace

std::vector<Arithmetic> sums_of(const Claim& claim) {
  const Run& run = claim.run;
  std::vector<Arithmetic> out;
  add_stage_sum(out, run, &Stage::gpu_hours, run.published.gpu_hours, "GPU-hours");
  add_stage_sum(out, run, &Stage::cost_usd, run.published.cost_usd, "USD");
  for (const Stage& stage : run.stages) {
    const auto price = stage.run && stage.run->price_usd_per_gpu_hour
                           ? stage.run->price_usd_per_gpu_hour
                           : run.price_usd_per_gpu_hour;
    add_products(out, {.title = stage.title,
                       .gpus = stage.gpus,
                       .wall = stage.wall_hours,
                       .hours = stage.gpu_hours,
                       .price = price,
                       .cost = stage.cost_usd,
                       .cost_unit = {}});
  }
  add_products(out, {.title = "",
                     .gpus = printed_gpus(run),
                     .wall = run.published.wall_hours,
                     .hours = run.published.gpu_hours,
                     .price = run.price_usd_per_gpu_hour,
                     .cost = run.published.cost_usd,
                     .cost_unit = claim.cost_unit_usd});
  for (const PrintedSum& sum : claim.sums) out.push_back(redone(sum));
  return out;
}

std::vector<Convention> conventions(const Model& model, std::optional<std::int64_t> seq_len) {
  const auto counted = [&](AttentionFlops attention) {
    return training_flops_per_token(model,
                                    {.seq_len = seq_len.value_or(0), .attention = attention});
  };
  std::vector<Convention> out = {{"6ND", counted(AttentionFlops::none), 0}};
  if (seq_len) {
    out.push_back({"causal attention", counted(AttentionFlops::causal), 0});
    out.push_back({"full attention", counted(AttentionFlops::full), 0});
  }
  return out;
}

std::optional<Arithmetic> work_of(const Run& run) {
  const double tokens = tokens_per_s_per_gpu(run);
  if (!(tokens > 0) || !run.model || !run.published.tflops_per_gpu) return std::nullopt;
  const double claimed = *run.published.tflops_per_gpu * 1e12;
  std::vector<Convention> ways = conventions(*run.model, run.seq_len);
  if (run.seq_len && run.model->mtp_depth > 0) {
    ways.push_back({"causal attention and multi-token prediction",
                    training_flops_per_token(*run.model, {.seq_len = *run.seq_len, .mtp = true}),
                    0});
  }
  const auto off = [&](double flops_per_token) {
    return std::abs(std::log(tokens * flops_per_token / claimed));
  };
  const Convention& nearest = *std::ranges::min_element(
      ways, {}, [&](const Convention& way) { return off(way.flops_per_token); });
  const double bar = std::log(1 + kCountingTolerance);
  Arithmetic out{
      .what = fmt::format("{:.5g} tokens/s x {:.4g} GFLOP a token ({}) = {:.4g} TFLOP/s per GPU",
                          tokens, nearest.flops_per_token / 1e9, nearest.name,
                          tokens * nearest.flops_per_token / 1e12),
      .computed = tokens * nearest.flops_per_token / 1e12,
      .printed = *run.published.tflops_per_gpu,
      .unit = "TFLOP/s",
      .agrees = off(nearest.flops_per_token) <= bar,
      .rule = "work_disagrees",
      .note = ""};
  const bool forward_alone = std::ranges::any_of(
      ways, [&](const Convention& way) { return off(way.flops_per_token / 3) <= bar; });
  if (!out.agrees && forward_alone) {
    out.note =
        "the printed figure counts 2 FLOPs a weight and token, a forward pass alone; "
        "training takes 6";
  }
  return out;
}

std::optional<Arithmetic> denominator_of(const Run& run) {
  const Published& p = run.published;
  if (!p.mfu || !run.system) return std::nullopt;
  const auto peak_of = [&](const std::string& dtype) {
    const auto peak = run.system->peak_flops.find(dtype);
    return peak == run.system->peak_flops.end() ? 0 : peak->second / 1e12;
  };
  const double own = peak_of(run.precision), bf16 = peak_of("bf16");
  if (!(own > 0)) return std::nullopt;
  Printed implied{0, 0};
  std::string text;
  if (p.tflops_per_gpu) {
    const Printed share = {*p.mfu * 100, printed(*p.mfu * 100).slack};
    implied = times(exact(100), over({*p.tflops_per_gpu, 0.5}, share));
    text = fmt::format("{:g} TFLOP/s / {:.4g} % = a peak of {:.4g} TFLOP/s", *p.tflops_per_gpu,
                       *p.mfu * 100, implied.value);
  } else if (p.mfu_peak_flops) {
    implied = {*p.mfu_peak_flops / 1e12, 0.5};
    text = fmt::format("its MFU divides by {:.4g} TFLOP/s", implied.value);
  } else {
    return std::nullopt;
  }
  const auto touches = [&](double peak) {
    return std::abs(implied.value - peak) <= implied.slack + 0.005 * peak;
  };
  const bool divides_by_bf16 = bf16 > 0 && touches(bf16);
  const double nearest = divides_by_bf16 ? bf16 : own;
  Arithmetic out{.what = text,
                 .computed = implied.value,
                 .printed = nearest,
                 .unit = "TFLOP/s",
                 .agrees = touches(own) || divides_by_bf16,
                 .rule = "wrong_denominator",
                 .note = ""};
  if (!out.agrees && touches(2 * own)) {
    out.note = fmt::format(
        "that is the {} peak with 2:4 sparsity, twice the dense one; a dense "
        "model can't reach it",
        run.precision);
  }
  return out;
}

std::string mixed_up(const Claim& claim, const Claim& original) {
  struct Place {
    const Stage* stage = nullptr;  // null: the whole
    bool found = false;
  };
  const auto find = [&](std::optional<double> value, std::optional<double> Stage::*field,
                        std::optional<double> whole) -> Place {
    if (!value) return {};
    if (value == whole) return {nullptr, true};
    for (const Stage& stage : original.run.stages) {
      if (stage.*field == value) return {&stage, true};
    }
    return {};
  };
  const Published& said = claim.run.published;
  const Published& whole = original.run.published;
  Place hours = find(said.gpu_hours, &Stage::gpu_hours, whole.gpu_hours);
  if (!hours.found) hours = find(said.wall_hours, &Stage::wall_hours, whole.wall_hours);
  const Place cost = find(said.cost_usd, &Stage::cost_usd, whole.cost_usd);
  if (!hours.found || !cost.found || hours.stage == cost.stage) return "";
  const auto name = [&](const Place& place) {
    return place.stage != nullptr
               ? fmt::format("one stage alone ({})", place.stage->title)
               : fmt::format("all {} stages together", original.run.stages.size());
  };
  const std::string time = said.gpu_hours ? format_count(*said.gpu_hours) + " GPU-hours"
                                          : plain(*said.wall_hours) + " hours";
  std::string out = fmt::format("It pairs the {} of {} with the {} of {}.", time, name(hours),
                                format_usd(*said.cost_usd), name(cost));
  if (hours.stage != nullptr && hours.stage->cost_usd) {
    out +=
        fmt::format(" By its own source that stage cost {}.", format_usd(*hours.stage->cost_usd));
  }
  return out;
}

}  // namespace trainmeter
