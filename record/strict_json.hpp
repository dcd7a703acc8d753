// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of a JSON object: wrong types, missing keys and unknown keys are BadInput, naming
// file, key and what was expected (for an unknown key, the nearest known one). Used for the record
// and for every file a user writes.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// Parses a whole file. BadInput if it can't be read or isn't JSON ("FILE:LINE: ...").
nlohmann::json read_json_file(const std::filesystem::path& file);

// The known word nearest to `word` by edit distance; empty where none is near (distance > a third
// of its length, at least 2).
std::string nearest(std::string_view word, const std::vector<std::string>& known);

// One object while it is being read. `where` names it in messages, such as "runs/x.json" or
// "a.jsonl:3"; a child's path is appended ("runs/x.json: parallel.tp"). Each getter marks its key
// as known; finish() refuses keys that no getter asked for.
class StrictObject {
 public:
  StrictObject(const nlohmann::json& value, std::string where, std::string path = "");

  [[nodiscard]] bool has(const std::string& key);  // marks the key as known
  [[nodiscard]] std::string text(const std::string& key);
  [[nodiscard]] double number(const std::string& key);         // finite
  [[nodiscard]] double positive(const std::string& key);       // finite and > 0
  [[nodiscard]] double non_negative(const std::string& key);   // finite and >= 0
  [[nodiscard]] std::int64_t integer(const std::string& key);  // whole (1e12 is), |x| < 2^53
  [[nodiscard]] std::int64_t count(const std::string& key);    // whole and >= 1
  [[nodiscard]] bool boolean(const std::string& key);
  [[nodiscard]] std::string one_of(const std::string& key, const std::vector<std::string>& allowed);
  [[nodiscard]] std::vector<std::string> texts(const std::string& key);
  [[nodiscard]] std::vector<double> numbers(const std::string& key);
  [[nodiscard]] StrictObject object(const std::string& key);
  [[nodiscard]] std::vector<StrictObject> objects(const std::string& key);
  [[nodiscard]] const nlohmann::json& raw(const std::string& key);

  // The same, or nothing where the key is absent: optional(&StrictObject::positive, "power_w").
  template <class T>
  [[nodiscard]] std::optional<T> optional(T (StrictObject::*get)(const std::string&),
                                          const std::string& key) {
    if (!has(key)) return std::nullopt;
    return (this->*get)(key);
  }

  void finish() const;  // BadInput on the first unknown key
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] std::string path_of(const std::string& key) const;

 private:
  const nlohmann::json& at(const std::string& key);

  const nlohmann::json* value_;
  std::string where_;
  std::string path_;
  std::set<std::string> known_;
};

}  // namespace trainmeter
