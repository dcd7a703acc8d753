// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of JSON objects: every refusal names file, key and what was expected.
#include "record/strict_json.hpp"

#include "record/error.hpp"
#include "record/text_limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::size_t kLongestWhy = 200;   // of the JSON parser, which quotes what it read last
constexpr std::size_t kLongestWord = 100;  // that is worth a guess

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, substituted});
    }
  }
  return row.back();
}

std::string shown(const nlohmann::json& value) {
  return shortened(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// Of all objects in it.
std::size_t members_of(const nlohmann::json& value) {
  std::size_t count = value.is_object() ? value.size() : 0;
  if (value.is_structured()) {
    for (const auto& one : value) count += one.is_structured() ? members_of(one) : 0;
  }
  return count;
}

// As many as the text has members, those that the parser lost among them.
std::size_t colons_of(std::string_view text) {
  std::size_t count = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '\\') {
      ++i;
      continue;
    }
    count += text[i] == ':' && !quoted;
  }
  return count;
}

}  // namespace

void refuse_repeated_keys(std::string_view text, const nlohmann::json& value,
                          const std::string& where) {
  if (members_of(value) == colons_of(text)) return;  // a record has many lines
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw BadInput(fmt::format("{}: {}: the key stands twice in one object", where,
                                 shortened(parsed.get<std::string>())));
    }
    return true;
  };
  [[maybe_unused]] const nlohmann::json again = nlohmann::json::parse(text, watch);
}

nlohmann::json read_json_file(const std::filesystem::path& file) {
  const std::string content = read_text(file, "a JSON file");
  refuse_depth(content, file.string());
  // The parser takes a zero byte for the end, whatever stands behind it.
  if (const std::size_t zero = content.find('\0'); zero != std::string::npos) {
    const auto line =
        1 + std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(zero), '\n');
    throw BadInput(fmt::format("{}:{}: not JSON: a zero byte", file.string(), line));
  }
  try {
    nlohmann::json value = nlohmann::json::parse(content);
    refuse_repeated_keys(content, value, file.string());
    return value;
  } catch (const nlohmann::json::parse_error& error) {
    const std::size_t end = std::min<std::size_t>(error.byte, content.size());
    const auto line =
        1 + std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(end), '\n');
    std::string why =
        error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: <why>"
    if (const auto colon = why.find(": "); colon != std::string::npos) why = why.substr(colon + 2);
    throw BadInput(
        fmt::format("{}:{}: not JSON: {}", file.string(), line, shortened(why, kLongestWhy)));
  } catch (const nlohmann::json::exception& error) {  // a number beyond double, say
    std::string why = error.what();                   // "[json.exception.out_of_range.406] <why>"
    if (const auto bracket = why.find("] "); bracket != std::string::npos)
      why = why.substr(bracket + 2);
    throw BadInput(fmt::format("{}: not JSON: {}", file.string(), shortened(why, kLongestWhy)));
  }
}

namespace {

std::string nearest_within(std::string_view word, const std::vector<std::string>& known,
                           std::size_t most) {
  std::string best;
  if (word.size() > kLongestWord) return best;
  std::size_t best_distance = most + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongestWord) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  return nearest_within(word, known, std::max<std::size_t>(2, word.size() / 2));
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const std::size_t dashes = std::min(word.find_first_not_of('-'), word.size());
  const std::string near = nearest_within(word, known, (word.size() - dashes) / 3);
  return near.empty() ? " (try --help)" : fmt::format(" (did you mean '{}'?)", near);
}

std::vector<std::string> nearest_few(std::string_view word, std::vector<std::string> known,
                                     std::size_t count) {
  const std::string_view start = word.substr(0, kLongestWord);
  const auto far = [&](const std::string& candidate) {
    return std::pair(candidate.find(word) == std::string::npos, edit_distance(start, candidate));
  };
  std::ranges::stable_sort(known, {}, far);
  known.resize(std::min(known.size(), count));
  return known;
}

StrictObject::StrictObject(const nlohmann::json& value, std::string where, std::string path)
    : value_(&value), where_(std::move(where)), path_(std::move(path)) {
  if (!value.is_object()) {
    throw BadInput(fmt::format("{}: {}expected an object, found {}", where_,
                               path_.empty() ? "" : path_ + ": ", shown(value)));
  }
}

std::string StrictObject::path_of(std::string_view key) const {
  return (path_.empty() ? "" : path_ + ".") + shortened(key);
}

void StrictObject::refuse(std::string_view key, std::string_view expected) const {
  const auto found = value_->find(key);
  throw BadInput(fmt::format("{}: {}: expected {}, found {}", where_, path_of(key), expected,
                             found == value_->end() ? "nothing" : shown(*found)));
}

const nlohmann::json* StrictObject::find(std::string_view key) {
  const auto found = value_->find(key);
  if (found == value_->end()) {
    absent_.emplace_back(key);
    return nullptr;
  }
  asked_.push_back(&*found);
  return asked_.back();
}

bool StrictObject::has(std::string_view key) {
  return find(key) != nullptr;
}

const nlohmann::json& StrictObject::at(std::string_view key) {
  if (const auto* found = find(key)) return *found;
  std::vector<std::string> keys;
  for (const auto& item : value_->items()) keys.push_back(item.key());
  const std::string near = nearest(key, keys);
  throw BadInput(fmt::format("{}: {}: missing{}", where_, path_of(key),
                             near.empty() ? "" : fmt::format(" (there is '{}')", shortened(near))));
}

std::string StrictObject::text(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

double StrictObject::number(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key, "a number");
  return value.get<double>();
}

double StrictObject::positive(std::string_view key) {
  const double value = number(key);
  if (!(value > 0)) refuse(key, "a number above 0");
  return value;
}

double StrictObject::non_negative(std::string_view key) {
  const double value = number(key);
  if (!(value >= 0)) refuse(key, "a number of at least 0");
  return value;
}

std::int64_t StrictObject::integer(std::string_view key) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers are exact below it
  const auto& found = at(key);
  if (!found.is_number()) refuse(key, "a whole number");
  const auto value = found.get<double>();
  if (value != std::floor(value)) refuse(key, "a whole number");
  if (!(std::abs(value) < kExact)) refuse(key, "a whole number below 2^53");
  return static_cast<std::int64_t>(value);
}

std::int64_t StrictObject::count(std::string_view key) {
  const std::int64_t value = integer(key);
  if (value < 1) refuse(key, "a whole number of at least 1");
  return value;
}

bool StrictObject::boolean(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

std::string StrictObject::one_of(std::string_view key, const std::vector<std::string>& allowed) {
  std::string value = text(key);
  if (std::ranges::find(allowed, value) == allowed.end()) {
    refuse(key, fmt::format("one of {}", fmt::join(allowed, ", ")));
  }
  return value;
}

std::vector<std::string> StrictObject::texts(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_array() ||
      !std::ranges::all_of(value, [](const auto& x) { return x.is_string(); })) {
    refuse(key, "a list of strings");
  }
  return value.get<std::vector<std::string>>();
}

std::vector<double> StrictObject::numbers(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_array() || !std::ranges::all_of(value, [](const auto& x) {
        return x.is_number() && std::isfinite(x.template get<double>());
      })) {
    refuse(key, "a list of numbers");
  }
  return value.get<std::vector<double>>();
}

StrictObject StrictObject::object(std::string_view key) {
  return {at(key), where_, path_of(key)};
}

std::vector<StrictObject> StrictObject::objects(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_array()) refuse(key, "a list of objects");
  std::vector<StrictObject> out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    out.emplace_back(value[i], where_, fmt::format("{}[{}]", path_of(key), i));
  }
  return out;
}

const nlohmann::json& StrictObject::raw(std::string_view key) {
  return at(key);
}

void StrictObject::finish() const {
  const auto& members = value_->get_ref<const nlohmann::json::object_t&>();
  std::vector<const nlohmann::json*> asked = asked_;
  std::ranges::sort(asked, std::less<>());
  asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
  if (asked.size() == members.size()) return;
  std::set<std::string> known(absent_.begin(), absent_.end());
  std::string unknown;
  for (const auto& [key, member] : members) {
    if (std::ranges::binary_search(asked, &member, std::less<>())) {
      known.insert(key);
    } else if (unknown.empty()) {
      unknown = key;
    }
  }
  const std::string near = nearest(unknown, {known.begin(), known.end()});
  throw BadInput(fmt::format("{}: {}: unknown key{}", where_, path_of(unknown),
                             near.empty() ? fmt::format(" (known: {})", fmt::join(known, ", "))
                                          : fmt::format(" (did you mean '{}'?)", near)));
}

}  // namespace trainmeter
