// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What charts are put together from: axes, colours, a bar chart. Colours and fonts are the page's.
#pragma once

#include "report/document.hpp"

#include <initializer_list>
#include <string>

namespace trainmeter {

nlohmann::ordered_json plot(nlohmann::ordered_json values);  // a specification without marks
nlohmann::ordered_json log_axis(const char* field, const char* title);
nlohmann::ordered_json series_colour();
nlohmann::ordered_json tooltip(std::initializer_list<const char*> fields);
// Ends the table after kRowsBelowChart rows.
Chart chart_of(std::string id, std::string title, nlohmann::ordered_json spec, Table table);

// Horizontal bars, in the order they are added.
class Bars {
 public:
  Bars(std::string id, std::string title, std::string axis, std::string format);
  void add(const std::string& label, double value, const std::string& shown,
           const std::string& number, const std::string& kind);
  [[nodiscard]] bool empty() const { return bars_.empty(); }
  [[nodiscard]] Chart chart() const;

 private:
  std::string id_, title_, axis_, format_;
  nlohmann::ordered_json values_ = nlohmann::ordered_json::array();
  Table table_;
  std::vector<double> bars_;
};

}  // namespace trainmeter
