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
  static const std::vector<std::string> kNames = {"memory_mover", "cache_mover", "poller"};
  return kNames;
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
  std::vector<Key> order;
  std::map<Key, Interference> found;
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    if (!m.usable() || !m.shape.contains(kCoSms)) continue;
    const Key key(line.session, m.paired_with.empty() ? m.name : m.paired_with, m.repetition);
    if (!found.contains(key)) order.push_back(key);
    Interference& one = found[key];
    const bool of_co_runner =
        std::ranges::find(co_runner_names(), m.operation) != co_runner_names().end();
    const Measurement*& place = of_co_runner ? (m.beside == "none" ? one.co_alone : one.co_together)
                                : m.beside == "none"      ? one.alone
                                : m.beside == kIdle       ? one.held
                                : m.name != m.paired_with ? one.crowded
                                                          : one.together;
    place = &m;
  }
  std::vector<Interference> out;
  for (const Key& key : order) {
    Interference& one = found[key];
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

}  // namespace trainmeter
