// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An acceptance for people, for programs (JSON, JUnit XML), and as a list of nodes to drain.
#include "record/error.hpp"
#include "report/accept.hpp"
#include "report/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace trainmeter {
namespace {

constexpr std::size_t kShownReasons = 3;
constexpr std::size_t kLongestDrainReason = 200;

std::string in_short(const std::vector<Reason>& reasons) {
  std::string out;
  for (std::size_t i = 0; i < std::min(reasons.size(), kShownReasons); ++i)
    out += fmt::format("{}{}: {}: {}", i == 0 ? "" : "; ", reasons[i].part, reasons[i].kind,
                       reasons[i].text);
  if (reasons.size() > kShownReasons)
    out += fmt::format("; and {} more", reasons.size() - kShownReasons);
  return out;
}

std::int64_t count(const std::vector<Judged>& judged, const char* verdict) {
  return std::ranges::count(judged, verdict, &Judged::verdict);
}

std::string counts(const std::vector<Judged>& judged, const char* one, const char* more) {
  return fmt::format("{} {}: {} pass, {} fail, {} can't tell.", judged.size(),
                     judged.size() == 1 ? one : more, count(judged, "pass"), count(judged, "fail"),
                     count(judged, "cannot_tell"));
}

nlohmann::ordered_json counts_json(const std::vector<Judged>& judged) {
  nlohmann::ordered_json out;
  for (const char* verdict : {"pass", "fail", "cannot_tell"}) out[verdict] = count(judged, verdict);
  return out;
}

void add_failed(Document& out, const char* title, const std::vector<Judged>& judged) {
  Table table{{"name", "reasons"}, {}};
  for (const Judged& j : judged) {
    if (j.verdict == "fail") table.rows.push_back({j.name, in_short(j.reasons)});
  }
  if (table.rows.empty()) return;
  out.emplace_back(Heading{2, title});
  out.emplace_back(std::move(table));
}

nlohmann::ordered_json json_of(const std::vector<Judged>& judged) {
  auto out = nlohmann::ordered_json::array();
  for (const Judged& j : judged) {
    auto reasons = nlohmann::ordered_json::array();
    for (const Reason& r : j.reasons)
      reasons.push_back({{"part", r.part}, {"kind", r.kind}, {"text", r.text}});
    out.push_back({{"name", j.name}, {"verdict", j.verdict}, {"reasons", std::move(reasons)}});
  }
  return out;
}

void add_junit(std::string& out, const char* suite, const std::vector<Judged>& judged) {
  out += fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
                     suite, judged.size(), count(judged, "fail"), count(judged, "cannot_tell"));
  for (const Judged& j : judged) {
    out += fmt::format("    <testcase classname=\"{}\" name=\"{}\"", suite, escaped_markup(j.name));
    if (j.verdict == "pass") {
      out += "/>\n";
    } else if (j.verdict == "fail") {
      out += fmt::format("><failure message=\"{}\"/></testcase>\n",
                         escaped_markup(in_short(j.reasons)));
    } else {
      out += "><skipped message=\"nothing to judge it by, or too wide a spread\"/></testcase>\n";
    }
  }
  out += "  </testsuite>\n";
}

bool letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool node_name(std::string_view name) {
  return !name.empty() && name.size() < 256 && letter_or_digit(name.front()) &&
         std::ranges::all_of(
             name, [](char c) { return letter_or_digit(c) || c == '-' || c == '_' || c == '.'; });
}

std::string plain(std::string text) {
  for (char& c : text) {
    if (!letter_or_digit(c) && std::string_view(" .,:%()/+-_").find(c) == std::string_view::npos)
      c = '_';
  }
  return text;
}

// Cut at a word.
std::string shortened(const std::string& text) {
  constexpr std::string_view kMore = " ...";
  if (text.size() <= kLongestDrainReason) return text;
  const std::size_t word = text.rfind(' ', kLongestDrainReason - kMore.size());
  return text.substr(0, word == std::string::npos ? kLongestDrainReason - kMore.size() : word)
      .append(kMore);
}

}  // namespace

Document to_document(const Acceptance& acceptance) {
  Document out;
  out.emplace_back(Heading{1, "trainmeter: which nodes to take"});
  out.emplace_back(Paragraph{counts(acceptance.nodes, "node", "nodes")});
  if (!acceptance.links.empty())
    out.emplace_back(Paragraph{counts(acceptance.links, "pair of nodes", "pairs of nodes")});
  add_failed(out, "Nodes that fail", acceptance.nodes);
  add_failed(out, "Pairs that fail, though both nodes pass with others", acceptance.links);
  if (!acceptance.kinds.empty()) {
    out.emplace_back(Heading{2, "What was compared"});
    Table table{{"kind", ">comparisons", ">spread", ">fails below the median by"}, {}};
    for (const ComparedKind& k : acceptance.kinds) {
      table.rows.push_back({k.kind, std::to_string(k.comparisons),
                            fmt::format("{:.2f} %", 100 * k.spread),
                            fmt::format("{:.1f} %", 100 * k.limit)});
    }
    out.emplace_back(std::move(table));
  }
  if (!acceptance.notes.empty())
    out.emplace_back(Bullets{{acceptance.notes.begin(), acceptance.notes.end()}});
  return out;
}

nlohmann::ordered_json to_json(const Acceptance& acceptance) {
  auto kinds = nlohmann::ordered_json::array();
  for (const ComparedKind& k : acceptance.kinds) {
    kinds.push_back({{"kind", k.kind},
                     {"comparisons", k.comparisons},
                     {"spread", k.spread},
                     {"limit", k.limit}});
  }
  return {{"failed", acceptance.failed()},
          {"counts",
           {{"nodes", counts_json(acceptance.nodes)}, {"links", counts_json(acceptance.links)}}},
          {"nodes", json_of(acceptance.nodes)},
          {"links", json_of(acceptance.links)},
          {"kinds", std::move(kinds)},
          {"notes", acceptance.notes}};
}

std::string to_junit(const Acceptance& acceptance) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  add_junit(out, "nodes", acceptance.nodes);
  add_junit(out, "links", acceptance.links);
  return out + "</testsuites>\n";
}

std::string to_drain_list(const Acceptance& acceptance) {
  std::string out;
  for (const Judged& j : acceptance.nodes) {
    if (j.verdict != "fail") continue;
    if (!node_name(j.name)) {
      throw BadInput(fmt::format(
          "host: expected the name of a node (letters, digits, '.', '-', '_'), found '{}'",
          shortened(plain(j.name))));
    }
    out += j.name + " " + shortened(plain(in_short(j.reasons))) + "\n";
  }
  return out;
}

}  // namespace trainmeter
