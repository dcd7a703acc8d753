// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rates by tokens, by FLOP/s and by MFU.
#include "report/claim_rates.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "report/claim_arithmetic.hpp"

#include <fmt/format.h>

namespace trainmeter {
namespace {

constexpr double kSecondsPerHour = 3600, kSecondsPerDay = 86400;

// The convention in which a run's work is counted: causal attention, or 6ND without a length.
Convention counted(const Run& run) {
  const std::vector<Convention> ways = conventions(*run.model, run.seq_len);
  return ways[ways.size() > 1 ? 1 : 0];
}

// Tokens/s per GPU over all hours; `hours` are printed, or the GPUs x hours that are.
std::optional<Printed> whole_run(const Run& run, std::optional<double> hours) {
  if (!run.tokens || !hours) return std::nullopt;
  Printed all = printed(*hours);
  const std::optional<double> gpus = printed_gpus(run);
  if (!run.published.gpu_hours && run.published.wall_hours && gpus)
    all = times(exact(*gpus), printed(*run.published.wall_hours));
  return times(exact(1 / kSecondsPerHour), over(printed(*run.tokens), all));
}

struct FlopRate {
  std::string figure, how;
  Printed flops_per_s;
  bool known_peak = true;  // else the MFU may be of another peak
};

std::optional<FlopRate> printed_flops(const Run& run) {
  const Published& p = run.published;
  if (p.tflops_per_gpu) {
    return FlopRate{"TFLOP/s", "as printed", times(exact(1e12), printed(*p.tflops_per_gpu))};
  }
  const double peak = p.mfu_peak_flops.value_or(bf16_peak(run));
  if (!p.mfu || !(peak > 0)) return std::nullopt;
  return FlopRate{"MFU", fmt::format("{} of {}", format_percent(*p.mfu), format_flops(peak)),
                  times(exact(peak), {*p.mfu, printed(*p.mfu * 100).slack / 100}),
                  p.mfu_peak_flops.has_value() || run.precision == "bf16"};
}

// Nothing where the average is no higher than the steady rate times `leeway`.
std::optional<Arithmetic> beyond(const std::string& what, const Printed& average,
                                 const std::string& figure, const Printed& steady, double leeway,
                                 const std::string& unit) {
  if (average.value - average.slack <= (steady.value + steady.slack) * leeway) return std::nullopt;
  return Arithmetic{
      .what = what,
      .computed = average.value,
      .printed = steady.value,
      .unit = unit,
      .agrees = false,
      .rule = "faster_than_steady",
      .note = fmt::format("no average over all hours is above the steady rate, here by its {}",
                          figure)};
}

}  // namespace

double bf16_peak(const Run& run) {
  if (!run.system) return 0;
  const auto peak = run.system->peak_flops.find("bf16");
  return peak == run.system->peak_flops.end() ? 0 : peak->second;
}

std::vector<TokenRate> steady_token_rates(const Run& run) {
  const Published& p = run.published;
  std::vector<TokenRate> out;
  if (p.tokens_per_s_per_gpu) out.push_back({"tokens/s", "", printed(*p.tokens_per_s_per_gpu)});
  const std::optional<double> said = printed_gpus(run);
  if (!said) return out;
  const double gpus = *said;
  if (p.step_time_s && run.seq_len && run.global_batch_sequences) {
    const auto tokens = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
    out.push_back({"step time", fmt::format("{:g} s a step: ", *p.step_time_s),
                   over(exact(tokens / gpus), printed(*p.step_time_s))});
  }
  if (p.tokens_per_day) {
    out.push_back({"tokens a day", fmt::format("{:.4g} tokens a day: ", *p.tokens_per_day),
                   times(exact(1 / kSecondsPerDay / gpus), printed(*p.tokens_per_day))});
  }
  return out;
}

double tokens_per_s_per_gpu(const Run& run) {
  const std::vector<TokenRate> rates = steady_token_rates(run);
  return rates.empty() ? 0 : rates.front().tokens_per_s.value;
}

std::vector<ImpliedRate> implied_rates(const Run& run, std::optional<double> hours) {
  std::vector<ImpliedRate> out;
  if (run.model) {
    const Convention way = counted(run);
    if (const auto average = whole_run(run, hours)) {
      out.push_back(
          {.figure = "tokens and hours",
           .how = fmt::format(
               "{:.3g} tokens x {:.1f} GFLOP ({}, without router and MTP) / {} GPU-hours",
               *run.tokens, way.flops_per_token / 1e9, way.name, format_count(*hours)),
           .flops_per_s_per_gpu = rate(*run.tokens * way.flops_per_token, *hours * kSecondsPerHour),
           .tokens_per_s = average->value,
           .whole_run = true});
    }
    for (const TokenRate& steady : steady_token_rates(run)) {
      const double tokens_per_s = steady.tokens_per_s.value;
      out.push_back(
          {.figure = steady.figure,
           .how = fmt::format("{}{:.5g} tokens/s x {:.4g} GFLOP a token ({})", steady.said,
                              tokens_per_s, way.flops_per_token / 1e9, way.name),
           .flops_per_s_per_gpu = tokens_per_s * way.flops_per_token,
           .tokens_per_s = tokens_per_s});
    }
  }
  if (const auto flops = printed_flops(run)) {
    out.push_back({.figure = flops->figure,
                   .how = flops->how,
                   .flops_per_s_per_gpu = flops->flops_per_s.value});
  }
  return out;
}

std::optional<Arithmetic> faster_than_steady(const Run& run, std::optional<double> hours) {
  const auto average = whole_run(run, hours);
  if (!average) return std::nullopt;
  const std::string sum =
      fmt::format("{:.4g} tokens / {} GPU-hours", *run.tokens, format_count(*hours));
  for (const TokenRate& steady : steady_token_rates(run)) {
    const std::string what = fmt::format("{} = {:.5g} tokens/s per GPU", sum, average->value);
    if (auto wrong = beyond(what, *average, steady.figure, steady.tokens_per_s, 1, "tokens/s"))
      return wrong;
  }
  const auto flops = printed_flops(run);
  if (!run.model || !flops || !flops->known_peak) return std::nullopt;
  const Convention least = conventions(*run.model, run.seq_len).front();
  const Printed counted = times(exact(least.flops_per_token / 1e12), *average);
  return beyond(fmt::format("{} x {:.4g} GFLOP a token ({}) = {:.4g} TFLOP/s per GPU", sum,
                            least.flops_per_token / 1e9, least.name, counted.value),
                counted, flops->figure, times(exact(1e-12), flops->flops_per_s),
                1 + kCountingTolerance, "TFLOP/s");
}

std::optional<Arithmetic> steady_rates_apart(const Run& run) {
  const auto below = [](const Printed& a, const Printed& b) {
    return (a.value + a.slack) * (1 + kCountingTolerance) < b.value - b.slack;
  };
  const std::vector<TokenRate> rates = steady_token_rates(run);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    for (std::size_t j = i + 1; j < rates.size(); ++j) {
      const Printed &a = rates[i].tokens_per_s, &b = rates[j].tokens_per_s;
      if (!below(a, b) && !below(b, a)) continue;
      return Arithmetic{.what = fmt::format("{}{:.5g} tokens/s per GPU by its {}", rates[j].said,
                                            b.value, rates[j].figure),
                        .computed = b.value,
                        .printed = a.value,
                        .unit = "tokens/s",
                        .agrees = false,
                        .rule = "steady_rates_apart",
                        .note = fmt::format("that is the rate by its {}", rates[i].figure)};
    }
  }
  const Published& p = run.published;
  const auto share = [](double value) { return Printed{value, printed(value * 100).slack / 100}; };
  if (!p.hfu || !p.mfu || !below(share(*p.hfu), share(*p.mfu))) return std::nullopt;
  return Arithmetic{.what = fmt::format("an HFU of {}", format_percent(*p.hfu)),
                    .computed = *p.hfu * 100,
                    .printed = *p.mfu * 100,
                    .unit = "% MFU or more",
                    .agrees = false,
                    .rule = "steady_rates_apart",
                    .note = "HFU counts what MFU does, and what is computed again"};
}

}  // namespace trainmeter
