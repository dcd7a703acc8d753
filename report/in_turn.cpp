// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pairs of rows, and their ratio.
#include "report/in_turn.hpp"

#include "record/overlap.hpp"
#include "record/samples.hpp"
#include "report/rates.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

struct Pair {
  RatePoint one, other;
  std::string operation;           // and what was beside it
  std::string problem;             // shape, and the SMs where not all were used
  std::string one_how, other_how;  // backend, and in how many calls
  std::string regime;              // "": runs back to back
  MedianEstimate speed;            // of `one` over the other's
};

// What pairs have in common whose ratios are of one kind: sizes apart.
std::string kind_of(const Pair& p) {
  std::string out = p.operation + " " + p.one.dtype;
  for (const char* what : {", added to", ", C in fp32"}) {
    if (p.problem.find(what) != std::string::npos) out += what;
  }
  if (const auto share = p.problem.find(" on "); share != std::string::npos)
    out += p.problem.substr(share);
  if (!p.regime.empty()) out += ", " + p.regime;
  return fmt::format("{}: {} over {}", out, p.one.backend, p.other.backend);
}

// Of each kind that has several: the mean of the ratios, and the lowest.
std::vector<Text> summaries(const std::vector<Pair>& pairs) {
  std::vector<std::pair<std::string, std::vector<const Pair*>>> kinds;
  for (const Pair& p : pairs) {
    auto at = std::ranges::find(kinds, kind_of(p), [](const auto& kind) { return kind.first; });
    if (at == kinds.end()) at = kinds.insert(kinds.end(), {kind_of(p), {}});
    at->second.push_back(&p);
  }
  std::vector<Text> out;
  for (const auto& [kind, members] : kinds) {
    if (members.size() < 2) continue;
    const auto ratio = [](const Pair* p) { return p->speed.median; };
    double logs = 0;
    for (const Pair* p : members) logs += std::log(ratio(p));
    const Pair* lowest = *std::ranges::min_element(members, {}, ratio);
    out.emplace_back(fmt::format("{}: {:.3f} in geometric mean of {}, the lowest {:.3f} ({})", kind,
                                 std::exp(logs / static_cast<double>(members.size())),
                                 members.size(), ratio(lowest), lowest->problem));
  }
  return out;
}

std::string problem_of(const Measurement& m, const Header& header, const RatePoint& point) {
  std::string out;
  if (point.m > 0) {
    out = shown_gemm(point);
  } else if (m.operation.starts_with("layer_")) {  // the model, too
    out = sizes_in(m.name);
  } else {
    for (const auto& [key, size] : m.shape)
      out += fmt::format("{}{}:{}", out.empty() ? "" : " ", key, size);
  }
  if (m.ranks > 1) out += fmt::format(", {} ranks", m.ranks);
  if (m.ranks < 2 && m.sms != header.device.sms)
    out += fmt::format(" on {} {}", m.sms, header.device.kind == "gpu" ? "SMs" : "cores");
  return out;
}

// `sms`: of the first of the two, where this one is the other.
std::string how_of(const Measurement& m, std::int64_t sms) {
  std::string out = m.backend;
  if (const auto calls = m.notes.find("calls"); calls != m.notes.end())
    out += fmt::format(", {} calls", calls->second);
  if (m.ranks < 2 && m.sms != sms) out += fmt::format(", on {} SMs", m.sms);
  return out;
}

bool is_as_in_training(const Record& record, const Line& line) {
  const Discipline& discipline = record.header_of(line).discipline;
  return discipline.data == "normal" && discipline.cache != "hot";
}

// Both beside the same co-runner, on the SMs that it left.
void add_overlaps(const Record& record, std::vector<Pair>& out) {
  const std::vector<Interference> found = interferences(record);
  const auto line_of = [&](const Measurement& m) -> const Line& {
    return *std::ranges::find_if(record.lines, [&](const Line& l) { return &l.measurement == &m; });
  };
  for (const InterferencePair& pair : interference_pairs(found)) {
    const Line& line = line_of(*pair.one->together);
    const Line& other = line_of(*pair.other->together);
    if (!is_as_in_training(record, line)) continue;
    const Measurement& m = line.measurement;
    const RatePoint point = point_of(record, line);
    out.push_back({.one = point,
                   .other = point_of(record, other),
                   .operation = fmt::format("{} beside {}", m.operation, m.beside),
                   .problem = problem_of(m, record.header_of(line), point),
                   .one_how = how_of(m, m.sms),
                   .other_how = how_of(other.measurement, m.sms),
                   .regime = record.header_of(line).discipline.regime,
                   .speed = pair.together});
  }
}

std::vector<Pair> pairs_of(const std::vector<Record>& records) {
  std::vector<Pair> out;
  for (const Record& record : records) {
    for (auto line = record.lines.begin(); line != record.lines.end(); ++line) {
      const Measurement& m = line->measurement;
      if (m.paired_with.empty() || m.shape.contains(kCoSms) || !m.usable() ||
          !is_as_in_training(record, *line))
        continue;
      const auto other = std::find_if(line + 1, record.lines.end(), [&](const Line& l) {
        return l.session == line->session && l.measurement.name == m.paired_with &&
               l.measurement.paired_with == m.name && l.measurement.repetition == m.repetition &&
               l.measurement.usable() && l.measurement.time_s.size() == m.time_s.size();
      });
      if (other == record.lines.end()) continue;
      const RatePoint point = point_of(record, *line);
      out.push_back({.one = point,
                     .other = point_of(record, *other),
                     .operation = point.operation,
                     .problem = problem_of(m, record.header_of(*line), point),
                     .one_how = how_of(m, m.sms),
                     .other_how = how_of(other->measurement, m.sms),
                     .regime = record.header_of(*line).discipline.regime,
                     .speed = paired_ratio(other->measurement, m)});
    }
    add_overlaps(record, out);
  }
  return out;
}

}  // namespace

Document in_turn(const std::vector<Record>& records) {
  const std::vector<Pair> pairs = pairs_of(records);
  if (pairs.empty()) return {};
  Document out;
  out.emplace_back(Heading{2, "Two implementations in turn"});
  Table table{{"operation", "dtype", "problem", "one", ">its rate", "the other", ">its rate",
               ">one's speed / the other's"},
              {}};
  for (const Pair& p : pairs) {
    table.rows.push_back(
        {p.operation, p.one.dtype, p.problem, p.one_how, shown_rate(p.one, p.one.value),
         p.other_how, shown_rate(p.other, p.other.value), fmt::format("{:.3f}", p.speed.median)});
  }
  out.emplace_back(std::move(table));
  if (std::vector<Text> means = summaries(pairs); !means.empty())
    out.emplace_back(Bullets{std::move(means)});
  out.emplace_back(Paragraph{
      "On the same operands, a sample of each in turn; the ratio is the median over pairs "
      "of samples."});
  return out;
}

nlohmann::ordered_json in_turn_json(const std::vector<Record>& records) {
  auto out = nlohmann::ordered_json::array();
  for (const Pair& p : pairs_of(records)) {
    out.push_back({{"one", p.one.name},
                   {"other", p.other.name},
                   {"operation", p.operation},
                   {"problem", p.problem},
                   {"one_how", p.one_how},
                   {"other_how", p.other_how},
                   {"one_rate", p.one.value},
                   {"other_rate", p.other.value},
                   {"speed", p.speed.median},
                   {"regime", p.regime},
                   {"origin", p.one.origin}});
  }
  return out;
}

}  // namespace trainmeter
