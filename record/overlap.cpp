// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Makes rows of an overlap, and finds them again.
#include "record/overlap.hpp"

#include "record/samples.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace trainmeter {

const std::vector<std::string>& co_runner_names() {
  static const std::vector<std::string> kNames = {"memory_mover", "cache_mover", "poller",
                                                  "allreduce", "peer_allreduce"};
  return kNames;
}

std::string in_layer_beside(const std::string& what) {
  return std::string(kInLayer) + "+" + what;
}

namespace {

bool is_of_co_runner(const Measurement& row) {
  return std::ranges::find(co_runner_names(), row.operation) != co_runner_names().end();
}

bool is_alone(const Measurement& row) {
  return row.beside == "none" && !is_of_co_runner(row);
}

}  // namespace

const std::string& overlap_of(const Measurement& row) {
  return is_alone(row) ? row.name : row.paired_with;  // alone, its pair is another case's
}

std::string own_name(const std::string& name, const std::string& co_runner) {
  return name.substr(0, name.find("/" + co_runner + "/"));
}

OverlapRows overlap_rows(const Measurement& alone, const std::string& co_runner,
                         std::int64_t co_sms, bool crowded) {
  OverlapRows out;
  out.alone = alone;
  out.held = alone;
  out.held.paired_with = alone.name;
  out.held.sms = alone.sms - co_sms;
  out.together = out.held;
  out.held.beside = kIdle;
  out.together.beside = co_runner;

  Measurement& co = out.co_alone;
  co.name = co_runner + "/" + alone.name;
  co.operation = co_runner;
  co.dtype = "int8";  // bytes
  co.backend = "co_runner";
  co.shape = {{kCoSms, co_sms}};
  if (const auto rate = alone.shape.find(kCoRate); rate != alone.shape.end())
    co.shape.insert(*rate);
  co.paired_with = alone.name;
  co.sms = co_sms;
  out.co_together = co;
  out.co_together.beside = alone.operation;

  if (crowded) {
    out.crowded = out.together;
    out.crowded->name += fmt::format("/sms:{}", alone.sms);
    out.crowded->sms = alone.sms;
  }
  return out;
}

std::vector<Interference> interferences(const Record& record) {
  using Key = std::tuple<std::size_t, std::string, std::int64_t>;  // of one run of a case
  std::vector<Interference> found;
  std::map<Key, std::size_t> latest;
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    if (!m.usable() || !m.shape.contains(kCoSms) || m.notes.contains(kOfLayer)) continue;
    const Key key(line.session, overlap_of(m), m.repetition);
    const auto [at, is_new] = latest.try_emplace(key, found.size());
    // --versus measures a case once beside each other backend, the operation alone first.
    const bool again = !is_new && found[at->second].alone != nullptr && is_alone(m);
    if (again) at->second = found.size();
    if (is_new || again) found.emplace_back();
    Interference& one = found[at->second];
    const Measurement*& place = is_of_co_runner(m)
                                    ? (m.beside == "none" ? one.co_alone : one.co_together)
                                : m.beside == "none"      ? one.alone
                                : m.beside == kIdle       ? one.held
                                : m.name != m.paired_with ? one.crowded
                                                          : one.together;
    place = &m;
  }
  std::vector<Interference> out;
  for (Interference& one : found) {
    if (one.alone == nullptr || one.held == nullptr || one.together == nullptr ||
        one.co_alone == nullptr || one.co_together == nullptr)
      continue;
    one.sms = paired_ratio(*one.held, *one.alone);
    one.traffic = paired_ratio(*one.together, *one.held);
    one.both = paired_ratio(*one.together, *one.alone);
    one.co_traffic = paired_ratio(*one.co_together, *one.co_alone);
    if (one.crowded != nullptr) one.untold = paired_ratio(*one.crowded, *one.alone);
    out.push_back(one);
  }
  return out;
}

bool is_hot(const Record& record, const Interference& one) {
  return std::ranges::any_of(record.lines, [&](const Line& line) {
    return &line.measurement == one.alone && record.header_of(line).discipline.cache == "hot";
  });
}

std::vector<InterferencePair> interference_pairs(const std::vector<Interference>& found) {
  std::vector<InterferencePair> out;
  for (auto one = found.begin(); one != found.end(); ++one) {
    const Measurement& a = *one->alone;
    const auto other = std::find_if(one + 1, found.end(), [&](const Interference& each) {
      const Measurement& b = *each.alone;
      return a.paired_with == b.name && b.paired_with == a.name && a.session == b.session &&
             a.repetition == b.repetition && b.time_s.size() == a.time_s.size() &&
             each.together->time_s.size() == one->together->time_s.size();
    });
    if (other == found.end()) continue;
    out.push_back({.one = &*one,
                   .other = &*other,
                   .alone = ratio_in_turn(*other->alone, a),
                   .together = ratio_in_turn(*other->together, *one->together)});
  }
  return out;
}

}  // namespace trainmeter
