// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From readings to what an interval cost and suffered.
#include "bench/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>

namespace trainmeter {
namespace {

using Samples = std::span<const TelemetrySample>;

struct EnergyPoint {
  double at_s;
  double joules;  // since the first point
};

// Empty where a step can't be told.
std::vector<EnergyPoint> counted_energy(Samples samples) {
  std::vector<EnergyPoint> out;
  const TelemetrySample* before = nullptr;
  for (const TelemetrySample& sample : samples) {
    if (sample.energy_uj.empty()) continue;
    double joules = out.empty() ? 0 : out.back().joules;
    if (before != nullptr) {
      if (before->energy_uj.size() != sample.energy_uj.size()) return {};
      for (std::size_t domain = 0; domain < sample.energy_uj.size(); ++domain) {
        const auto step = counted(before->energy_uj[domain], sample.energy_uj[domain]);
        if (!step) return {};
        joules += static_cast<double>(*step) * 1e-6;
      }
    }
    out.push_back({sample.at_s, joules});
    before = &sample;
  }
  return out;
}

std::vector<EnergyPoint> integrated_power(Samples samples) {
  std::vector<EnergyPoint> out;
  const TelemetrySample* before = nullptr;
  for (const TelemetrySample& sample : samples) {
    if (!sample.power_w) continue;
    double joules = 0;
    if (before != nullptr) {
      const double mean_w = (*before->power_w + *sample.power_w) / 2;
      joules = out.back().joules + mean_w * (sample.at_s - before->at_s);
    }
    out.push_back({sample.at_s, joules});
    before = &sample;
  }
  return out;
}

double joules_at(const std::vector<EnergyPoint>& points, double at_s) {
  const auto next = std::lower_bound(points.begin(), points.end(), at_s,
                                     [](const auto& point, double t) { return point.at_s < t; });
  if (next == points.begin()) return next->joules;
  const EnergyPoint& before = *(next - 1);
  const double part = (at_s - before.at_s) / (next->at_s - before.at_s);
  return before.joules + part * (next->joules - before.joules);
}

// False where the points don't reach over the interval.
bool note_energy(const std::vector<EnergyPoint>& points, const std::string& from,
                 TelemetrySummary& out) {
  if (points.empty() || !(out.begin_s < out.end_s) || points.front().at_s > out.begin_s ||
      points.back().at_s < out.end_s) {
    return false;
  }
  out.energy_j = joules_at(points, out.end_s) - joules_at(points, out.begin_s);
  out.energy_from = from;
  for (std::size_t i = 1; i < points.size(); ++i) {
    const bool inside = points[i].at_s > out.begin_s && points[i].at_s <= out.end_s;
    if (inside && points[i].joules > points[i - 1].joules) ++out.energy_steps;
  }
  return true;
}

std::optional<double> mean_clock(Samples samples, double begin_s, double end_s) {
  double sum = 0;
  std::int64_t count = 0;
  for (const TelemetrySample& s : samples) {
    if (!s.sm_clock_hz || s.at_s < begin_s || s.at_s > end_s) continue;
    sum += *s.sm_clock_hz;
    ++count;
  }
  return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
}

std::optional<std::uint64_t> new_ones(const std::optional<Counter>& before,
                                      const std::optional<Counter>& after) {
  if (!before || !after) return std::nullopt;
  return counted(*before, *after);
}

std::vector<ThrottleSpan> throttle_spans(Samples samples) {
  std::vector<ThrottleSpan> out;
  std::map<std::string, std::size_t> latest;  // index of each reason's last span
  const auto held = [&](const std::string& reason, double begin_s, double end_s) {
    const auto [known, first] = latest.try_emplace(reason, out.size());
    if (!first && !(out[known->second].end_s < begin_s)) {
      out[known->second].end_s = end_s;
      return;
    }
    known->second = out.size();
    out.push_back({reason, begin_s, end_s});
  };
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const TelemetrySample& now = samples[i];
    const TelemetrySample& next = samples[std::min(i + 1, samples.size() - 1)];
    for (const std::string& reason : now.throttle_reasons) held(reason, now.at_s, next.at_s);
    if (new_ones(now.quota_throttled_us, next.quota_throttled_us).value_or(0) > 0) {
      held("cgroup_quota", now.at_s, next.at_s);
    }
    if (new_ones(now.thermal_events, next.thermal_events).value_or(0) > 0) {
      held("core_thermal", now.at_s, next.at_s);
    }
  }
  return out;
}

std::map<std::string, std::string> incomplete_sensors(Samples samples) {
  struct Sensor {
    const char* name;
    bool (*there)(const TelemetrySample&);
  };
  static constexpr std::array<Sensor, 6> kSensors = {
      {{"sm_clock", [](const TelemetrySample& s) { return s.sm_clock_hz.has_value(); }},
       {"power", [](const TelemetrySample& s) { return s.power_w.has_value(); }},
       {"temperature", [](const TelemetrySample& s) { return s.temperature_c.has_value(); }},
       {"energy", [](const TelemetrySample& s) { return !s.energy_uj.empty(); }},
       {"quota_throttled",
        [](const TelemetrySample& s) { return s.quota_throttled_us.has_value(); }},
       {"thermal_events", [](const TelemetrySample& s) { return s.thermal_events.has_value(); }}}};
  std::map<std::string, std::string> out;
  for (const auto& [name, there] : kSensors) {
    const auto count = std::count_if(samples.begin(), samples.end(), there);
    if (count == 0 || count == std::ssize(samples)) continue;
    out[name] = fmt::format("{} of {} readings", count, samples.size());
  }
  return out;
}

void note_load(const CpuTimes& before, const CpuTimes& after, TelemetrySummary& out) {
  const auto all = counted(before.all, after.all);
  const auto busy = counted(before.busy, after.busy);
  const auto own = counted(before.own, after.own);
  const auto stolen = counted(before.stolen, after.stolen);
  if (!all || *all == 0 || !busy || !own || !stolen) return;
  const auto share = [&](std::uint64_t ticks) {
    return static_cast<double>(ticks) / static_cast<double>(*all);
  };
  out.others_busy_share = share(*busy - std::min(*own, *busy));
  out.stolen_share = share(*stolen);
}

}  // namespace

TelemetrySummary summarise(const Watched& watched, double begin_s, double end_s) {
  TelemetrySummary out;
  out.begin_s = begin_s;
  out.end_s = end_s;
  out.readings =
      std::count_if(watched.samples.begin(), watched.samples.end(),
                    [&](const TelemetrySample& s) { return s.at_s >= begin_s && s.at_s <= end_s; });
  out.sm_clock_hz = mean_clock(watched.samples, begin_s, end_s);
  if (begin_s < end_s) out.readings_per_s = static_cast<double>(out.readings) / (end_s - begin_s);
  if (!note_energy(counted_energy(watched.samples), "counter", out)) {
    (void)note_energy(integrated_power(watched.samples), "power", out);
  }
  for (ThrottleSpan& span : throttle_spans(watched.samples)) {
    if (span.end_s < begin_s || span.begin_s > end_s) continue;
    out.throttled.push_back(
        {std::move(span.reason), std::max(span.begin_s, begin_s), std::min(span.end_s, end_s)});
  }
  out.incomplete = incomplete_sensors(watched.samples);

  if (watched.seconds > 0) out.monitor_core_share = watched.cpu_s / watched.seconds;
  const DeviceState& before = watched.before;
  const DeviceState& after = watched.after;
  if (before.cpu_times && after.cpu_times) note_load(*before.cpu_times, *after.cpu_times, out);
  out.ecc_corrected = new_ones(before.ecc_corrected, after.ecc_corrected);
  out.ecc_uncorrected = new_ones(before.ecc_uncorrected, after.ecc_uncorrected);
  out.nvlink_errors = new_ones(before.nvlink_errors, after.nvlink_errors);
  return out;
}

TelemetrySummary summarise(const Watched& watched) {
  if (watched.samples.empty()) return summarise(watched, 0, 0);
  return summarise(watched, watched.samples.front().at_s, watched.samples.back().at_s);
}

}  // namespace trainmeter
