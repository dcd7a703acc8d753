// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rules.
#include "report/claim_rules.hpp"

#include "record/names.hpp"
#include "report/claim_rates.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace trainmeter {
namespace {

std::string shown(double value, const std::string& unit) {
  if (unit == "USD") return format_usd(value);
  if (unit == "GPU-hours") return format_count(value) + " GPU-hours";
  return fmt::format("{:.5g} {}", value, unit);
}

std::string named(const std::string& operation) {
  return operation == "gemm" ? "GEMM" : operation;
}

const Ceiling* ceiling_of(const Verdict& claim, const std::string& dtype,
                          const std::string& operation) {
  const auto same = std::ranges::find_if(claim.ceilings, [&](const Ceiling& ceiling) {
    return ceiling.dtype == dtype && ceiling.operation == operation;
  });
  return same == claim.ceilings.end() ? nullptr : &*same;
}

double rate_of(const Implied& i) {
  return i.bus_bytes_per_s > 0 ? i.bus_bytes_per_s : i.flops_per_s_per_gpu;
}

double rate_of(const Ceiling& c) {
  return c.bus_bytes_per_s > 0 ? c.bus_bytes_per_s : c.flops_per_s;
}

std::string rate_text(double rate, bool bus) {
  return bus ? format_bandwidth(rate) : format_flops(rate);
}

// What a figure is held against: the ceiling of its precision, or where part of an fp8 run's work
// is in bf16, each part at its own ceiling.
struct Limit {
  const Ceiling* own = nullptr;
  const Ceiling* bf16 = nullptr;  // where it has a part
  double rate = 0;
};

std::optional<Limit> limit_of(const Verdict& claim, const Implied& implied) {
  const Ceiling* own = ceiling_of(claim, implied.precision, implied.operation);
  if (own == nullptr) return std::nullopt;
  const Ceiling* bf16 = ceiling_of(claim, "bf16", implied.operation);
  const double share = implied.bf16_share;
  if (!(share > 0) || bf16 == nullptr) return Limit{own, nullptr, rate_of(*own)};
  return Limit{own, bf16, 1 / ((1 - share) / rate_of(*own) + share / rate_of(*bf16))};
}

std::string both(const Implied& implied, const Limit& limit) {
  const bool bus = implied.bus_bytes_per_s > 0;
  std::string out = fmt::format("{} needs {}{} per GPU; the best {} {} known for it is {}{}",
                                implied.stage, implied.upper_bound ? "at most " : "",
                                rate_text(rate_of(implied), bus), limit.own->dtype,
                                named(limit.own->operation), rate_text(rate_of(*limit.own), bus),
                                limit.own->own ? ", a figure of the claimant's own" : "");
  if (limit.bf16 != nullptr) {
    out += fmt::format(", and with the {} of the work that is in bf16 at the best {} together {}",
                       format_percent(implied.bf16_share), rate_text(rate_of(*limit.bf16), bus),
                       rate_text(limit.rate, bus));
  }
  return out;
}

// An MFU above 100 % in the very precision of its peak.
std::string beyond_peak(const Implied& implied) {
  if (implied.precision != "bf16" || implied.conventions.empty()) return "";
  const double least = implied.conventions.front().mfu;
  return least > 1 ? fmt::format(", and an MFU of {} even without attention", format_percent(least))
                   : "";
}

std::string much_idle(const Implied& implied) {
  const double share = implied.whole_run_share.value_or(1);
  if (!(share < kLowShareOfSteady)) return "";
  return fmt::format(
      "; over all its hours it reaches {} of its steady rate: more than half of them didn't train",
      format_percent(share));
}

bool is_within(const Verdict& claim, const Implied& implied) {
  const auto limit = limit_of(claim, implied);
  return limit && rate_of(implied) <= limit->rate;
}

// Of a run in stages that isn't tested as a whole.
std::string stages_tested(const Verdict& claim, const Run& run) {
  std::int64_t tested = 0;
  double hours = 0;
  for (const Implied& implied : claim.implied) {
    if (!is_within(claim, implied)) continue;
    if (implied.stage == run.id) return "";
    for (const Stage& stage : run.stages) {
      if (!stage.run || stage.run->id != implied.stage) continue;
      ++tested;
      hours += stage.gpu_hours.value_or(0);
    }
  }
  if (run.stages.size() < 2) return "";
  const auto all = claim.gpu_hours;
  return fmt::format("; tested so: {} of {} stages{}", tested, run.stages.size(),
                     all && hours > 0 ? fmt::format(", {} of {} GPU-hours", format_count(hours),
                                                    format_count(*all))
                                      : "");
}

}  // namespace

std::optional<Finding> contradiction(const Verdict& claim) {
  const auto wrong = std::ranges::find(claim.arithmetic, false, &Arithmetic::agrees);
  if (wrong == claim.arithmetic.end()) return std::nullopt;
  std::string reason = fmt::format("{}, not {}", wrong->what, shown(wrong->printed, wrong->unit));
  if (!wrong->note.empty()) reason += ": " + wrong->note;
  return Finding{"contradictory", wrong->rule, reason,
                 "a correction by the source of one of the two figures"};
}

std::optional<Finding> above_measured(const Verdict& claim) {
  for (const Implied& implied : claim.implied) {
    const auto limit = limit_of(claim, implied);
    if (implied.upper_bound || !limit || rate_of(implied) <= limit->rate) continue;
    return Finding{
        "exceeds_measured", "above_measured",
        fmt::format("{}: {:.1f} % above it{}", both(implied, *limit),
                    (rate_of(implied) / limit->rate - 1) * 100, beyond_peak(implied)),
        fmt::format("a measurement of at least {} on that GPU, with its shape, clock and power",
                    rate_text(rate_of(implied), implied.bus_bytes_per_s > 0))};
  }
  return std::nullopt;
}

std::optional<Finding> within_measured(const Verdict& claim, const Run& run) {
  for (const Implied& implied : claim.implied) {
    if (!is_within(claim, implied)) continue;
    const auto limit = limit_of(claim, implied);
    return Finding{
        "consistent", "within_measured",
        (claim.arithmetic.empty() ? "" : "the arithmetic agrees within rounding; ") +
            both(implied, *limit) + much_idle(implied) + stages_tested(claim, run),
        fmt::format("{:.3g} times the work in the same hours would be more than anybody measured",
                    limit->rate / rate_of(implied))};
  }
  return std::nullopt;
}

Finding nothing_to_test(const Verdict& claim, const Run& run) {
  if (std::ranges::any_of(claim.implied, &Implied::upper_bound)) {
    return {"untestable", "bound_too_wide",
            "the most that its work can have been is above the ceiling, which proves nothing",
            "the mean length of its outputs"};
  }
  if (!claim.implied.empty()) {
    return {"untestable", "no_measurement",
            fmt::format("nobody else published a {} {} for that GPU",
                        claim.implied.front().precision, named(claim.implied.front().operation)),
            "one such measurement"};
  }
  std::vector<std::string> missing;
  if (!run.model) missing.emplace_back("the model's architecture");
  if (!run.tokens) missing.emplace_back("the tokens trained on");
  const Published& p = run.published;
  if (!p.gpu_hours && !p.wall_hours) missing.emplace_back("GPU-hours");
  if (!run.says_gpus && !p.gpu_hours && (p.wall_hours || p.step_time_s || p.tokens_per_day))
    missing.emplace_back("the number of GPUs");
  if (!run.system) missing.emplace_back("the GPU");
  const std::string list = fmt::format("{}", fmt::join(missing, ", "));
  return {"untestable", "work_not_printed",
          claim.arithmetic.empty()
              ? "neither the parts of a sum nor the work done is printed; missing: " + list
              : "its arithmetic agrees, but the work done is not printed, so its speed can't be "
                "tested; missing: " +
                    list,
          "print " + list};
}

}  // namespace trainmeter
