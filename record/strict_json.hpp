// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of a JSON object: wrong types, missing keys and unknown keys are BadInput, naming
// file, key and what was expected (for an unknown key, the nearest known one). Used for the record
// and for every file a user writes.
#pragma once

#include "record/key_places.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// Parses a whole file. BadInput if it can't be read or isn't JSON ("FILE:LINE: ...").
nlohmann::json read_json_file(const std::filesystem::path& file);

// BadInput where a key stands twice in one object of `text`, which was parsed as `value`.
void refuse_repeated_keys(std::string_view text, const nlohmann::json& value,
                          const std::string& where);

// The known word nearest to `word` by edit distance; empty where none is near (distance > half
// of its length, at least 2).
std::string nearest(std::string_view word, const std::vector<std::string>& known);
// Behind an unknown word of a command line: " (did you mean '--out'?)", or " (try --help)" where
// none is within a third of its letters.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

// The `count` known words that are nearest to `word`: those that it is a part of, then by edit
// distance.
std::vector<std::string> nearest_few(std::string_view word, std::vector<std::string> known,
                                     std::size_t count);

// One object while it is being read. `where` names it in messages, such as "runs/x.json" or
// "a.jsonl:3"; a child's path is appended ("runs/x.json: parallel.tp"). Each getter marks its key
// as known; finish() refuses keys that no getter asked for.
class StrictObject {
 public:
  StrictObject(const nlohmann::json& value, std::string where, std::string path = "");

  [[nodiscard]] bool has(std::string_view key);  // marks the key as known
  [[nodiscard]] std::string text(std::string_view key);
  [[nodiscard]] double number(std::string_view key);         // finite
  [[nodiscard]] double positive(std::string_view key);       // finite and > 0
  [[nodiscard]] double non_negative(std::string_view key);   // finite and >= 0
  [[nodiscard]] std::int64_t integer(std::string_view key);  // whole (1e12 is), |x| < 2^53
  [[nodiscard]] std::int64_t count(std::string_view key);    // whole and >= 1
  [[nodiscard]] bool boolean(std::string_view key);
  [[nodiscard]] std::string one_of(std::string_view key, const std::vector<std::string>& allowed);
  [[nodiscard]] std::vector<std::string> texts(std::string_view key);
  [[nodiscard]] std::vector<double> numbers(std::string_view key);
  [[nodiscard]] StrictObject object(std::string_view key);
  [[nodiscard]] std::vector<StrictObject> objects(std::string_view key);
  [[nodiscard]] const nlohmann::json& raw(std::string_view key);

  // The same, or nothing where the key is absent: optional(&StrictObject::positive, "power_w").
  template <class T>
  [[nodiscard]] std::optional<T> optional(T (StrictObject::*get)(std::string_view),
                                          std::string_view key) {
    if (!has(key)) return std::nullopt;
    return (this->*get)(key);
  }

  void finish() const;  // BadInput on the first unknown key
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] KeyPlace place() const { return {where_, path_}; }  // of the object itself

 private:
  const nlohmann::json& at(std::string_view key);
  const nlohmann::json* find(
      std::string_view key);  // marks it as known; nullptr where it is absent

  const nlohmann::json* value_;
  std::string where_;
  std::string path_;
  // The known keys: members that were asked for, and names that were asked for in vain. A fleet's
  // records ask for millions, nearly all of them there.
  std::vector<const nlohmann::json*> asked_;
  std::vector<std::string> absent_;
};

}  // namespace trainmeter
