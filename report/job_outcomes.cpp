// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads exit codes, strikes out who has a measurement, fails the rest.
#include "report/job_outcomes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

constexpr int kEndedBySigterm = 143;  // what the batch scripts note of any signal

std::map<std::string, int> codes_in(const fs::path& folder) {
  std::map<std::string, int> codes;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    int code = 0;
    if (std::ifstream(entry.path()) >> code && code != kEndedBySigterm)
      codes[entry.path().filename().string()] = code;
  }
  return codes;
}

std::pair<std::string, std::string> in_order(std::string one, std::string other) {
  if (other < one) std::swap(one, other);
  return {std::move(one), std::move(other)};
}

Judged& named(std::vector<Judged>& all, const std::string& name) {
  const auto found = std::ranges::find(all, name, &Judged::name);
  if (found != all.end()) return *found;
  return all.emplace_back(Judged{name, "cannot_tell", {}});
}

void fail_as_missing(Judged& judged, const char* part, std::string text) {
  judged.verdict = "fail";
  judged.reasons.push_back({part, "missing", std::move(text)});
}

}  // namespace

JobOutcomes outcomes_of(const fs::path& job_folder) {
  JobOutcomes out;
  out.nodes = codes_in(job_folder / "nodes");
  for (const auto& [name, code] : codes_in(job_folder / "groups")) {
    const std::size_t between = name.find('+');
    if (between != std::string::npos)  // else more nodes than a pair
      out.pairs[in_order(name.substr(0, between), name.substr(between + 1))] = code;
  }
  return out;
}

std::optional<fs::path> job_folder_of(const fs::path& named) {
  std::error_code none;
  const fs::path whole = fs::canonical(named, none);
  for (const fs::path& folder : {whole, whole.parent_path()}) {
    if (!whole.empty() && fs::is_directory(folder / "records", none) &&
        (whole == folder || whole == folder / "records" || whole == folder / "record.jsonl"))
      return folder;
  }
  return std::nullopt;
}

void Absent::expect(const JobOutcomes& outcomes) {
  for (JobOutcomes* into : {&expected_, &left_}) {
    into->nodes.insert(outcomes.nodes.begin(), outcomes.nodes.end());
    into->pairs.insert(outcomes.pairs.begin(), outcomes.pairs.end());
  }
}

void Absent::strike(const Record& record) {
  for (const Line& line : record.lines) {
    const auto noted = line.measurement.notes.find("hosts");
    if (noted == line.measurement.notes.end()) {
      left_.nodes.erase(record.header_of(line).host);
      continue;
    }
    std::istringstream words(noted->second);
    std::string one, other, more;
    if (words >> one >> other && !(words >> more))
      left_.pairs.erase(in_order(std::move(one), std::move(other)));
  }
}

void Absent::fail(Acceptance& acceptance) const {
  std::map<std::string, std::size_t> all, dead;  // pairs, by node
  std::map<std::string, int> worst;              // exit code, by node
  for (const auto& [pair, code] : expected_.pairs) {
    for (const std::string& node : {pair.first, pair.second}) ++all[node];
  }
  for (const auto& [pair, code] : left_.pairs) {
    for (const std::string& node : {pair.first, pair.second}) {
      ++dead[node];
      worst[node] = std::max(worst[node], code);
    }
  }
  std::set<std::string> without_network;
  for (const auto& [node, pairs] : dead) {
    if (pairs < all[node] || pairs < kLeastPairs) continue;
    without_network.insert(node);
    fail_as_missing(named(acceptance.nodes, node), "network",
                    fmt::format("no record of its {} pairs (exit code {})", pairs, worst[node]));
  }
  for (const auto& [node, code] : left_.nodes)
    fail_as_missing(named(acceptance.nodes, node), "node",
                    fmt::format("no record (exit code {})", code));
  for (const auto& [pair, code] : left_.pairs) {
    Judged& link = named(acceptance.links, pair.first + " - " + pair.second);
    if (!without_network.contains(pair.first) && !without_network.contains(pair.second))
      fail_as_missing(link, "network", fmt::format("no record (exit code {})", code));
  }
  std::ranges::sort(acceptance.nodes, {}, &Judged::name);
  std::ranges::sort(acceptance.links, {}, &Judged::name);
}

}  // namespace trainmeter
