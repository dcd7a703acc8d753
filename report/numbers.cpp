// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Looks numbers up, shows them, and follows them to where they come from.
#include "report/numbers.hpp"

#include "record/error.hpp"
#include "record/names.hpp"
#include "record/strict_json.hpp"
#include "record/text_limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace trainmeter {
namespace {

constexpr std::size_t kSuggestions = 3;

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

// Those that contain the word first, then the one nearest by letters.
std::vector<std::string> near(const std::string& id, const std::vector<Number>& all) {
  std::vector<std::string> ids, out;
  for (const Number& number : all) {
    ids.push_back(number.id);
    if (has(number.id, id) && out.size() < kSuggestions) out.push_back(number.id);
  }
  const std::string letters = nearest(id, ids);
  if (out.empty() && !letters.empty()) out.push_back(letters);
  // A case or a run that is known, but not by this ending.
  const std::string stem = id.substr(0, id.rfind(':'));
  for (const std::string& other : ids) {
    if (out.size() >= kSuggestions) break;
    if (other.starts_with(stem + ":") && std::ranges::find(out, other) == out.end())
      out.push_back(other);
  }
  return out;
}

void append(std::string& out, const Numbers& numbers, const std::string& id,
            const std::string& indent, std::set<std::string>& seen) {
  const Number& n = numbers.at(id);
  const bool again = !seen.insert(id).second;
  out += fmt::format("{}{} = {} ({}{})\n", indent, id, n.shown, n.kind, again ? ", as above" : "");
  if (again) return;
  const std::string inside = indent + "  ";
  if (!n.formula.empty()) out += inside + visible(n.formula) + "\n";
  if (!n.source.empty()) out += inside + "from " + visible(n.source) + "\n";
  for (const std::string& input : n.inputs) append(out, numbers, input, inside, seen);
}

}  // namespace

void Numbers::add(Number number) {
  if (places_.emplace(number.id, all_.size()).second) all_.push_back(std::move(number));
}

const Number* Numbers::find(const std::string& id) const {
  const auto found = places_.find(id);
  return found == places_.end() ? nullptr : &all_[found->second];
}

const Number& Numbers::at(const std::string& id) const {
  if (const Number* found = find(id)) return *found;
  const std::vector<std::string> others = near(id, all_);
  throw BadInput(fmt::format(
      "'{}': no number of this report has that id{}", id,
      others.empty() ? "" : fmt::format(" (did you mean {}?)", fmt::join(others, " or "))));
}

std::string shown_number(std::string_view name, double value) {
  if (!std::isfinite(value)) return "n/a";
  if (has(name, "tflops_per_gpu")) return format_flops(value * 1e12);
  if (has(name, "flops_per_step")) return fmt::format("{:.4g} FLOP", value);
  if (has(name, "flops_per_s") || has(name, "peak_flops")) return format_flops(value);
  if (has(name, "bytes_per_s")) return format_bandwidth(value);
  if (has(name, "usd") || has(name, "USD")) return format_usd(value);
  if (has(name, "_pct")) return fmt::format("{:+.1f} %", value);
  if (has(name, "hours")) return format_hours(value);
  if (has(name, "mfu") || has(name, "share") || has(name, "goodput")) return format_percent(value);
  if (has(name, "_s.") || name.ends_with("_s")) return format_seconds(value);
  return fmt::format("{:.3g}", value);
}

std::string chain_of(const Numbers& numbers, const std::string& id) {
  std::string out;
  std::set<std::string> seen;
  append(out, numbers, id, "", seen);
  return out;
}

nlohmann::ordered_json to_json(const Numbers& numbers) {
  auto out = nlohmann::ordered_json::object();
  for (const Number& n : numbers.all()) {
    nlohmann::ordered_json one = {{"value", n.value}, {"shown", n.shown}, {"kind", n.kind}};
    if (!n.formula.empty()) one["formula"] = n.formula;
    if (!n.inputs.empty()) one["inputs"] = n.inputs;
    if (!n.source.empty()) one["source"] = n.source;
    // ordered_json looks every key up among all before it; ids are told apart already.
    out.get_ref<nlohmann::ordered_json::object_t&>().emplace_back(n.id, std::move(one));
  }
  return out;
}

}  // namespace trainmeter
