// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Walks JSON for its numbers, each with what the fields beside it say of it.
#include "report/number_leaves.hpp"

#include "record/names.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// What an array's element is called: by the field that tells it from its neighbours, else by its
// place.
std::string name_of(const Json& element, std::size_t index) {
  for (const char* key : {"stage", "for", "factor", "input", "run", "dtype", "id", "name"}) {
    if (const std::string name = text_of(element, key); !name.empty()) return word(name);
  }
  return fmt::format("{}", index + 1);
}

class Leaves {
 public:
  Leaves(Numbers& numbers, std::string prefix,
         const std::function<LeafSource(const std::string&)>& source_of)
      : numbers_(numbers), prefix_(std::move(prefix)), source_of_(source_of) {}

  void add(const Json& json, const std::string& path) {
    if (json.is_object()) {
      for (const auto& [key, value] : json.items()) {
        const std::string below = path.empty() ? key : path + "." + key;
        if (value.is_number() && !value.is_boolean()) {
          leaf(json, below, key, value.get<double>());
        } else {
          add(value, below);
        }
      }
    } else if (json.is_array()) {
      for (std::size_t i = 0; i < json.size(); ++i) {
        if (json[i].is_structured()) add(json[i], path + "." + name_of(json[i], i));
      }
    }
  }

 private:
  void leaf(const Json& around, const std::string& path, const std::string& key, double value) {
    if (numbers_.find(prefix_ + ":" + path) != nullptr) return;
    LeafSource from = source_of_(path);
    std::string formula;
    for (const char* field : {"formula", "what", "how", "why", "for"}) {
      if (formula.empty()) formula = text_of(around, field);
    }
    const std::string origin = text_of(around, "origin");
    const std::string unit = text_of(around, "unit");
    std::string shown = shown_number(unit.empty() ? path : unit, value);
    if (key == "value" &&
        (path.find("memory") != std::string::npos || path.find("all_") != std::string::npos)) {
      shown = format_bandwidth(value);
    } else if (key == "value" && path.starts_with("rates.")) {
      shown = format_flops(value);
    }
    numbers_.add({.id = prefix_ + ":" + path,
                  .value = value,
                  .shown = unit == "GPU-hours" ? format_count(value) : shown,
                  .kind = origin.empty()                    ? from.kind
                          : origin.starts_with("published") ? "published"
                          : origin.starts_with("assumed")   ? "assumed"
                                                            : "measured",
                  .formula = formula.empty() ? from.formula : formula,
                  .inputs = std::move(from.inputs),
                  .source = origin.empty() ? from.source : origin});
  }

  Numbers& numbers_;
  std::string prefix_;
  const std::function<LeafSource(const std::string&)>& source_of_;
};

}  // namespace

std::string word(std::string text) {
  std::ranges::replace(text, ' ', '_');
  return text;
}

void add_leaves(Numbers& numbers, const std::string& prefix, const Json& json,
                const std::function<LeafSource(const std::string&)>& source_of) {
  Leaves(numbers, prefix, source_of).add(json, "");
}

std::string kind_of(const KeyPlace& place, const std::filesystem::path& published) {
  return !place.file.empty() && is_within(place.file, published) ? "published" : "given";
}

std::map<std::string, std::string> ids_by_line(const Numbers& numbers) {
  std::map<std::string, std::string> out;
  for (const Number& n : numbers.all()) {
    if (n.kind == "measured") out.emplace(n.source, n.id);
  }
  return out;
}

}  // namespace trainmeter
