// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where each number of a report comes from: formula, inputs, and the record's line or the
// publication. The page and `trainmeter explain` show the same chain.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

struct Story;

struct Number {
  std::string id;       // gemm/bf16/onednn/m:1024/n:768/k:768:rate, predict/gpt2-124m-10b:mfu
  double value = 0;     // in the unit of its name: seconds, bytes, FLOP, fractions
  std::string shown;    // as every rendering shows it
  std::string kind;     // measured, published, assumed, derived; given: by the user
  std::string formula;  // how it follows from its inputs, or what it is
  std::vector<std::string> inputs;  // ids
  // FILE:LINE of a record or of a key, with the publication; the command line; a constant's file.
  std::string source;
};

class Numbers {
 public:
  void add(Number number);  // the first of an id stays
  [[nodiscard]] const Number* find(const std::string& id) const;
  // BadInput with the nearest ids where there is no such number.
  [[nodiscard]] const Number& at(const std::string& id) const;
  [[nodiscard]] const std::vector<Number>& all() const { return all_; }

 private:
  std::vector<Number> all_;
  std::map<std::string, std::size_t> places_;
};

// Every number of the story. Ids: a measured case's name and ":rate" (of its fastest line; the
// others' end in "@FILE:LINE"), "predict/RUN:", "validate/RUN:", "CLAIM:" and the number's path in
// the JSON report.
Numbers numbers_of(const Story& story);

// As text for people, by what the name says of the unit: step_time_s, cost_usd, mfu, gpu_hours.
std::string shown_number(std::string_view name, double value);

// The number, and below it what it follows from, down to records and publications: a line each.
std::string chain_of(const Numbers& numbers, const std::string& id);
nlohmann::ordered_json to_json(const Numbers& numbers);  // by id

}  // namespace trainmeter
