// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Leaves marked samples out, within the bound.
#include "record/samples.hpp"

#include "record/formulas.hpp"
#include "record/overlap.hpp"
#include "record/statistics.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace trainmeter {
namespace {

std::vector<bool> marked(const Measurement& m) {
  std::vector<bool> out(m.time_s.size(), false);
  for (const Mark& mark : m.marks) {
    for (std::int64_t i = mark.first; i <= mark.last; ++i)
      out.at(static_cast<std::size_t>(i)) = true;
  }
  return out;
}

bool too_many(const std::vector<bool>& marked) {
  return kMostLeftOut * static_cast<double>(marked.size()) <
         static_cast<double>(std::ranges::count(marked, true));
}

}  // namespace

CountedSamples counted_samples(const Measurement& measurement) {
  const std::vector<bool> skip = marked(measurement);
  CountedSamples out;
  out.too_many_marked = too_many(skip);
  if (out.too_many_marked) {
    out.time_s = measurement.time_s;
    return out;
  }
  for (std::size_t i = 0; i < skip.size(); ++i) {
    if (!skip[i]) out.time_s.push_back(measurement.time_s[i]);
  }
  out.left_out = std::ranges::count(skip, true);
  return out;
}

std::optional<double> work_per_joule(const Measurement& m) {
  if (!m.energy_j || m.energy_steps < kLeastEnergySteps || m.ranks > 1) return std::nullopt;
  const double runs = static_cast<double>(m.time_s.size()) * static_cast<double>(m.runs_per_sample);
  return work_per_joule(m.flops > 0 ? m.flops : m.bytes, runs, *m.energy_j);
}

std::optional<double> settled_power_w(const Measurement& m) {
  if (m.ranks > 1) return std::nullopt;
  const auto from = m.notes.find("energy_from");
  const bool from_readings = from != m.notes.end() && from->second == "power";
  if (m.energy_j && m.energy_steps >= kLeastEnergySteps && !from_readings) {
    const double runs_s = std::accumulate(m.time_s.begin(), m.time_s.end(), 0.0) *
                          static_cast<double>(m.runs_per_sample);
    return *m.energy_j / runs_s;
  }
  const std::size_t count = m.power_w.size() / 3;
  if (count < kLeastSettled) return std::nullopt;
  const std::vector<double> last(m.power_w.end() - static_cast<std::ptrdiff_t>(count),
                                 m.power_w.end());
  const auto [low, high] = std::ranges::minmax(last);
  if (!(high - low < kSettled * high)) return std::nullopt;
  return median(last);
}

std::optional<double> flops_per_cycle(const Measurement& m) {
  if (m.sm_clock_hz.empty() || m.sms < 1 || !(m.flops > 0)) return std::nullopt;
  return flops_per_cycle(m.flops, median_time(m).median, median(m.sm_clock_hz),
                         static_cast<double>(m.sms));
}

MedianEstimate median_time(const Measurement& measurement, double confidence) {
  return estimate_median(counted_samples(measurement).time_s, confidence);
}

MedianEstimate paired_ratio(const Measurement& main, const Measurement& other, double confidence) {
  const bool pair = main.paired_with == other.name && other.paired_with == main.name;
  const bool overlap = main.shape.contains(kCoSms) && other.shape.contains(kCoSms);
  if (!pair && !(overlap && overlap_of(main) == overlap_of(other))) {
    throw std::invalid_argument(main.name + " and " + other.name + " were not measured in turn");
  }
  return ratio_in_turn(main, other, confidence);
}

MedianEstimate ratio_in_turn(const Measurement& main, const Measurement& other, double confidence) {
  std::vector<bool> skip = marked(main);
  const std::vector<bool> others = marked(other);
  if (skip.size() != others.size()) throw std::invalid_argument("a pair has two sides");
  for (std::size_t i = 0; i < skip.size(); ++i) skip[i] = skip[i] || others[i];
  const bool all = too_many(skip);
  std::vector<double> a;
  std::vector<double> b;
  for (std::size_t i = 0; i < skip.size(); ++i) {
    if (skip[i] && !all) continue;
    a.push_back(main.time_s[i]);
    b.push_back(other.time_s[i]);
  }
  return estimate_ratio(a, b, confidence);
}

}  // namespace trainmeter
