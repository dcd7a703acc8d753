// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Simulated fleets of starts with known truth, as records.
#pragma once

#include "record/record.hpp"

#include <fmt/format.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

namespace trainmeter {

struct Fleet {
  int cases = 40;
  int old_starts = 5, new_starts = 5;
  double between = 0.01;             // standard deviation of a start's log time
  bool alike = false;                // all cases spread so; else by turns less and more ...
  std::vector<double> spreads = {};  // ... or by turns by these, if any are given
  double common = 0;         // share of that variance which all cases of a start have in common
  bool heavy_tails = false;  // starts and samples from Student's t with 3 degrees of freedom
  double within = 0.01;      // of a sample's log time
  double correlation = 0;    // of successive samples (autoregressive of order 1)
  int samples = 20;
  int slowed = 4;          // so many cases, the first ones, are slower in new ...
  double slowdown = 0.05;  // ... by this part of the rate
};

class FleetSampler {
 public:
  explicit FleetSampler(const Fleet& fleet, std::uint64_t seed) : fleet_(fleet), random_(seed) {}

  // Old and new.
  std::pair<Record, Record> draw() {
    return {side("old", fleet_.old_starts, false), side("new", fleet_.new_starts, true)};
  }

 private:
  double noise() {  // mean 0, standard deviation 1
    if (fleet_.heavy_tails) return t_(random_) / std::sqrt(3.0);
    return normal_(random_);
  }

  std::vector<double> samples(double log_time) {
    std::vector<double> out;
    double state = noise();
    for (int i = 0; i < fleet_.samples; ++i) {
      const double r = fleet_.correlation;
      state = r * state + std::sqrt(1 - r * r) * noise();
      out.push_back(std::exp(log_time + fleet_.within * state));
    }
    return out;
  }

  double spread_of(int c) const {
    if (!fleet_.spreads.empty())
      return fleet_.spreads[static_cast<std::size_t>(c) % fleet_.spreads.size()];
    return fleet_.between * (fleet_.alike ? 1 : c % 2 == 0 ? kLess : kMore);
  }

  Record side(const std::string& name, int starts, bool is_new) {
    Record record;
    record.file = name + ".jsonl";
    for (int start = 0; start < starts; ++start) {
      Header header;
      header.session = fmt::format("{}-{}", name, start);
      header.device.sms = 2;
      record.headers.push_back(header);
      const double together = noise() * std::sqrt(fleet_.common);
      for (int c = 0; c < fleet_.cases; ++c) {
        Measurement m;
        m.session = header.session;
        m.name = fmt::format("case/{}", c);
        m.sms = 2;
        m.verified = true;
        const double spread = spread_of(c);
        const double slower = is_new && c < fleet_.slowed ? -std::log1p(-fleet_.slowdown) : 0;
        m.time_s = samples(std::log(1e-3 * (c + 1)) + slower +
                           spread * (together + noise() * std::sqrt(1 - fleet_.common)));
        record.lines.push_back({std::move(m), static_cast<std::size_t>(start), 0});
      }
    }
    return record;
  }

  // Their squares have a mean of 1.
  static constexpr double kLess = 0.8, kMore = 1.16619;

  Fleet fleet_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::student_t_distribution<double> t_{3};
};

}  // namespace trainmeter
