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

const Ceiling* ceiling_of(const Verdict& claim, const Implied& implied) {
  const auto same = std::ranges::find_if(claim.ceilings, [&](const Ceiling& ceiling) {
    return ceiling.dtype == implied.precision && ceiling.operation == implied.operation;
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

std::string both(const Implied& implied, const Ceiling& ceiling) {
  const bool bus = implied.bus_bytes_per_s > 0;
  return fmt::format("{} needs {}{} per GPU; the best {} {} known for it is {}{}", implied.stage,
                     implied.upper_bound ? "at most " : "", rate_text(rate_of(implied), bus),
                     ceiling.dtype, named(ceiling.operation), rate_text(rate_of(ceiling), bus),
                     ceiling.own ? ", a figure of the claimant's own" : "");
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
  const Ceiling* ceiling = ceiling_of(claim, implied);
  return ceiling != nullptr && rate_of(implied) <= rate_of(*ceiling);
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
    const Ceiling* ceiling = ceiling_of(claim, implied);
    if (implied.upper_bound || ceiling == nullptr) continue;
    if (rate_of(implied) <= rate_of(*ceiling)) continue;
    return Finding{
        "exceeds_measured", "above_measured",
        fmt::format("{}: {:.1f} % above it{}", both(implied, *ceiling),
                    (rate_of(implied) / rate_of(*ceiling) - 1) * 100, beyond_peak(implied)),
        fmt::format("a measurement of at least {} on that GPU, with its shape, clock and power",
                    rate_text(rate_of(implied), implied.bus_bytes_per_s > 0))};
  }
  return std::nullopt;
}

std::optional<Finding> within_measured(const Verdict& claim, const Run& run) {
  for (const Implied& implied : claim.implied) {
    if (!is_within(claim, implied)) continue;
    const Ceiling* ceiling = ceiling_of(claim, implied);
    return Finding{
        "consistent", "within_measured",
        (claim.arithmetic.empty() ? "" : "the arithmetic agrees within rounding; ") +
            both(implied, *ceiling) + much_idle(implied) + stages_tested(claim, run),
        fmt::format("{:.3g} times the work in the same hours would be more than anybody measured",
                    rate_of(*ceiling) / rate_of(implied))};
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
  if (!run.published.gpu_hours && !run.published.wall_hours) missing.emplace_back("GPU-hours");
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
