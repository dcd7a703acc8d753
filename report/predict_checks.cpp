// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a prediction may be of, and what it may say: runs on other systems than their own, defaults,
// systems under others' ids, and figures that can't be.
#include "record/error.hpp"
#include "record/names.hpp"
#include "report/predict.hpp"
#include "report/step_links.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace trainmeter {
namespace {

// Whether what its source prints is of this system.
bool is_own(const Run& run, const System& system) {
  if (run.system) return run.system->id == system.id;
  return std::ranges::all_of(
      run.stages, [&](const Stage& stage) { return !stage.run || is_own(*stage.run, system); });
}

}  // namespace

std::string left_out_on(const System& system, const Run& run) {
  if (is_own(run, system)) return "";
  return fmt::format(
      "the run as on {}, not on {}: its published figures, price and power cap are "
      "left out",
      system.id, run.system ? run.system->id : "its stages' own");
}

void add_inputs(Prediction& out, const Run& run, const UsedInput& peak,
                std::optional<UsedInput> null_peak, const std::optional<UsedInput>& price) {
  out.place = run.place;
  std::ranges::move(run_inputs(run), std::back_inserter(out.inputs));
  out.inputs.push_back(step_flops(run, out.flops_per_step));
  out.inputs.push_back(peak);
  if (null_peak && null_peak->how != peak.how) {
    null_peak->what = "null_model.peak_flops";
    out.inputs.push_back(std::move(*null_peak));
  }
  if (price) out.inputs.push_back(*price);
}

Run carried_to(Run run, const System& system) {
  if (is_own(run, system)) return run;
  Published nothing;
  nothing.mfu_attention = run.published.mfu_attention;  // how FLOPs are counted
  run.published = nothing;
  run.price_usd_per_gpu_hour.reset();
  run.context.power_cap_w.reset();
  return run;
}

std::string differs_from_published(const System& system, const Library& library) {
  const std::vector<std::string> ids = library.ids("systems");
  if (std::ranges::find(ids, system.id) == ids.end()) return "";
  const System known = library.system(system.id);
  const bool same_peaks = std::ranges::all_of(system.peak_flops, [&](const auto& peak) {
    const auto found = known.peak_flops.find(peak.first);
    return found != known.peak_flops.end() && found->second == peak.second;
  });
  std::vector<std::string> others;
  if (system.sms != known.sms) others.emplace_back("sms");
  if (!same_peaks) others.emplace_back("peak_flops");
  if (system.memory_bytes_per_s && system.memory_bytes_per_s != known.memory_bytes_per_s)
    others.emplace_back("memory_bytes_per_s");
  if (others.empty()) return "";
  return fmt::format(
      "system {0}: {1} as given, not as of the published {0}, whose measured rates are taken all "
      "the same: give it an id of its own",
      system.id, fmt::join(others, ", "));
}

std::vector<std::string> left_out_traffic(const Prediction& prediction) {
  std::vector<std::string> out;
  for (const auto& [key, end] :
       {std::pair("nvlink_bytes_per_s", kNoLink), std::pair("nic_bytes_per_s", kNoNetwork)}) {
    std::vector<std::string> names;
    for (const std::string& text : prediction.assumptions) {
      if (text.ends_with(end)) names.push_back(text.substr(0, text.size() - end.size()));
    }
    if (names.empty()) continue;
    out.push_back(fmt::format("system {}: {} isn't known, so the step is without {}",
                              prediction.system_id, key, fmt::join(names, ", ")));
  }
  return out;
}

std::string beyond_memory(const Prediction& prediction) {
  const bool ran = prediction.published_step_time_s.has_value();
  if (ran || !prediction.memory || prediction.memory->need <= prediction.memory->of) return "";
  return fmt::format(
      "run {} on {}: needs {:.1f} GB of a device's {:.1f} GB by our count, {:.0f} %: it may not "
      "fit",
      prediction.run_id, prediction.system_id, prediction.memory->need / 1e9,
      prediction.memory->of / 1e9, prediction.memory->need / prediction.memory->of * 100);
}

std::vector<std::string> defaults_taken(const Run& run) {
  std::vector<std::string> out;
  for (const std::string& key : run.left_out) {
    if (key == "precision") out.push_back("precision isn't printed: " + run.precision + " assumed");
    if (key == "stack")
      out.push_back(fmt::format("stack isn't printed: {} assumed", to_string(run.stack)));
    if (key == "parallel" && !run.rl) {
      out.emplace_back(run.stack == TrainingStack::fsdp
                           ? "parallel isn't printed: weights sharded over all devices assumed"
                           : "parallel isn't printed: a whole model on each device assumed");
    }
    if (key == "goodput" && (run.tokens || run.rl))
      out.emplace_back("goodput isn't printed: all of the wall time trains");
  }
  return out;
}

void refuse_impossible(const Prediction& p) {
  const auto refuse = [&](const std::string& what) {
    throw BadInput(fmt::format("run {} on {}: {}, which is impossible: nothing is predicted",
                               p.run_id, p.system_id, what));
  };
  const auto positive = [](const Estimate& e) { return 0 < e.p05 && std::isfinite(e.p95); };
  if (!positive(p.estimates.step_time_s))
    refuse(fmt::format("a step of {:.3g} s", p.estimates.step_time_s.p50));
  if (p.slot_time_s && !positive(*p.slot_time_s))
    refuse(fmt::format("a pipeline's slot of {:.3g} s", p.slot_time_s->p50));
  for (const auto& [name, seconds] : p.breakdown_s) {
    if (!(seconds >= 0)) refuse(fmt::format("{} of {:.3g} s in a step", name, seconds));
  }
  constexpr double kRounding = 1e-6;
  for (const UsedRate& used : p.rates) {
    if (!(0 <= used.share && used.share <= 1 + kRounding))
      refuse(fmt::format("{}: {:.1f} % of the step", used.what, used.share * 100));
  }
  if (!(p.estimates.mfu.p50 <= p.most_mfu * (1 + kRounding)))
    refuse(fmt::format("an MFU of {:.0f} %", p.estimates.mfu.p50 * 100));
}

void refuse_impossible(const RateBook& book, const System& system) {
  constexpr double kAbove = 1.02;  // a datasheet rounds, and its clock isn't quite the highest
  if (system.kind != "gpu") return;
  for (const RatePoint& p : book.points()) {
    const auto peak = system.peak_flops.find(p.dtype);
    const bool gemm = p.operation == "gemm" || p.operation == "grouped_gemm";
    if (!gemm || p.published || peak == system.peak_flops.end()) continue;
    if (p.value < kAbove * peak->second) continue;
    throw BadInput(fmt::format("{}: {} in {}: expected no more than {}'s dense peak, {}", p.origin,
                               format_flops(p.value), p.dtype, system.id,
                               format_flops(peak->second)));
  }
}

}  // namespace trainmeter
