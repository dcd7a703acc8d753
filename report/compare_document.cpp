// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A comparison as a document, as JSON, and as warnings.
#include "record/names.hpp"
#include "report/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace trainmeter {
namespace {

constexpr std::array kVerdicts = {"slower", "cannot_tell", "faster", "same"};  // the worst first

bool fails(const ComparedCase& c) {
  return !c.failure.empty();
}

std::string shown_time(const ComparedSide& side) {
  return side.times.count() > 0 ? format_seconds(side.time_s()) : "-";
}

std::string shown_interval(const ComparedCase& c) {
  return fmt::format("{:.3f} to {:.3f}", c.ratio_low, c.ratio_high);
}

std::string shown_verdict(const ComparedCase& c, const CompareOptions& options) {
  if (fails(c)) return "fails in new";
  if (c.regression) return fmt::format("slower by more than {:g} %", options.tolerance * 100);
  return c.verdict == "cannot_tell" ? "cannot tell" : c.verdict;
}

void add_cases(Document& out, const Comparison& comparison) {
  Table table{{"case", ">old", ">new", ">new / old rate",
               fmt::format(">{:g} % interval", comparison.options.confidence * 100), ">starts",
               "spread from", "verdict"},
              {}};
  for (const char* verdict : kVerdicts) {
    for (const ComparedCase& c : comparison.cases) {
      if (c.verdict != verdict) continue;
      table.rows.push_back(
          {c.title, shown_time(c.old_side), shown_time(c.new_side),
           fails(c) ? "-" : fmt::format("{:.3f}", c.ratio), fails(c) ? "-" : shown_interval(c),
           fmt::format("{} + {}", c.old_side.times.count(), c.new_side.times.count()),
           fails(c)                       ? "-"
           : c.spread_from == "all_cases" ? "all cases"
                                          : c.spread_from,
           shown_verdict(c, comparison.options)});
    }
  }
  out.emplace_back(std::move(table));
}

std::string summary(const Comparison& comparison) {
  std::string text = fmt::format("{} case{} on both sides:", comparison.cases.size(),
                                 comparison.cases.size() == 1 ? "" : "s");
  const char* separator = " ";
  for (const char* verdict : kVerdicts) {
    const auto count = std::ranges::count(comparison.cases, verdict, &ComparedCase::verdict);
    text += fmt::format("{}{} {}", separator, count,
                        std::string_view(verdict) == "cannot_tell" ? "can't tell" : verdict);
    separator = ", ";
  }
  const auto regressions =
      std::ranges::count_if(comparison.cases, [](const ComparedCase& c) { return c.regression; });
  const auto failing = std::ranges::count_if(comparison.cases, fails);
  return text + fmt::format(
                    ". Regressions, slower than the tolerance of {:g} % with the whole "
                    "interval{}: {}.",
                    comparison.options.tolerance * 100,
                    failing > 0 ? fmt::format(" or failing in new alone ({})", failing) : "",
                    regressions);
}

void add_list(Document& out, const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return;
  out.emplace_back(Heading{2, title});
  out.emplace_back(Bullets{{items.begin(), items.end()}});
}

std::string count_of(const std::vector<std::string>& cases, const char* side) {
  return fmt::format("{} case{} only in {}, such as {}", cases.size(),
                     cases.size() == 1 ? " is" : "s are", side, cases.front());
}

// Cases that worked in old and fail in new, with the reason.
std::vector<std::string> failing(const Comparison& comparison) {
  std::vector<std::string> out;
  for (const ComparedCase& c : comparison.cases) {
    if (fails(c)) out.push_back(fmt::format("{}: {}", c.title, c.failure));
  }
  return out;
}

bool has(const Comparison& comparison, const char* spread_from) {
  return std::ranges::find(comparison.cases, spread_from, &ComparedCase::spread_from) !=
         comparison.cases.end();
}

}  // namespace

Document to_document(const Comparison& comparison) {
  Document out;
  out.emplace_back(Heading{1, "trainmeter: new against old"});
  out.emplace_back(Paragraph{summary(comparison)});
  add_cases(out, comparison);
  std::vector<Text> notes = {
      "starts: process starts on the old side + on the new; the interval holds the spread between "
      "them, and verdicts are corrected for the number of cases"};
  if (has(comparison, "starts") || has(comparison, "assumed")) {
    notes.push_back(fmt::format(
        "below {} starts a side, and with no known spread (--spread), nothing can be told",
        kEnoughStarts));
  }
  if (has(comparison, "assumed")) {
    notes.push_back(fmt::format(
        "assumed: one start, and nothing known of the spread; the interval is drawn for {:g} % "
        "between starts and is no measurement",
        kAssumedSpread * 100));
  }
  notes.insert(notes.end(), comparison.notes.begin(), comparison.notes.end());
  out.emplace_back(Bullets{std::move(notes)});
  if (!comparison.differences.empty()) {
    out.emplace_back(Heading{2, "What else differs"});
    Table table{{"what", "old", "new"}, {}};
    for (const Difference& d : comparison.differences)
      table.rows.push_back({d.what, d.old_side, d.new_side});
    out.emplace_back(std::move(table));
  }
  add_list(out, "Works in old, fails in new", failing(comparison));
  add_list(out, "Only in old", comparison.only_old);
  add_list(out, "Only in new", comparison.only_new);
  add_list(out, "Failed, and counted nowhere", comparison.failed);
  return out;
}

nlohmann::ordered_json to_json(const Comparison& comparison) {
  auto out = nlohmann::ordered_json::array();
  const auto side = [](const ComparedSide& s) {
    nlohmann::ordered_json json = {{"time_s", nullptr}, {"starts", s.times.count()}};
    if (s.times.count() > 0) json["time_s"] = s.time_s();
    return json;
  };
  for (const ComparedCase& c : comparison.cases) {
    nlohmann::ordered_json json = {{"name", c.name},
                                   {"ratio", c.ratio},
                                   {"ratio_low", c.ratio_low},
                                   {"ratio_high", c.ratio_high},
                                   {"verdict", c.verdict},
                                   {"regression", c.regression},
                                   {"p", nullptr},
                                   {"spread_from", c.spread_from},
                                   {"reason", nullptr},
                                   {"title", c.title},
                                   {"dtype", c.dtype},
                                   {"backend", c.backend},
                                   {"ranks", c.ranks},
                                   {"old", side(c.old_side)},
                                   {"new", side(c.new_side)}};
    if (c.p) json["p"] = *c.p;
    if (fails(c)) {
      for (const char* key : {"ratio", "ratio_low", "ratio_high", "spread_from"})
        json[key] = nullptr;
      json["reason"] = c.failure;
    }
    out.push_back(std::move(json));
  }
  return out;
}

std::vector<std::string> warnings(const Comparison& comparison) {
  std::vector<std::string> out;
  for (const Difference& d : comparison.differences) {
    out.push_back(fmt::format("{} differs: old {}, new {}", d.what, d.old_side, d.new_side));
  }
  if (!comparison.only_old.empty()) out.push_back(count_of(comparison.only_old, "OLD"));
  if (!comparison.only_new.empty()) out.push_back(count_of(comparison.only_new, "NEW"));
  const std::vector<std::string> failing_lines = failing(comparison);
  for (const std::string& line : failing_lines)
    out.push_back("works in OLD, fails in NEW: " + line);
  for (const std::string& line : comparison.failed) out.push_back(line + " (counts nowhere)");
  out.insert(out.end(), comparison.notes.begin(), comparison.notes.end());
  const auto open = static_cast<std::size_t>(
      std::ranges::count(comparison.cases, "cannot_tell", &ComparedCase::verdict));
  if (open > 0 && open + failing_lines.size() == comparison.cases.size()) {
    out.push_back(fmt::format(
        "can't tell of any case ({} of {}): take more starts, or name a known spread with --spread",
        open, comparison.cases.size()));
  }
  return out;
}

}  // namespace trainmeter
