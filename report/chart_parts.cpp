// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Parts of Vega-Lite specifications.
#include "report/chart_parts.hpp"

#include "report/charts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {

using Json = nlohmann::ordered_json;

Json plot(Json values) {
  return {{"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
          {"width", "container"},
          {"height", 300},
          {"data", {{"values", std::move(values)}}}};
}

Json log_axis(const char* field, const char* title) {
  return {{"field", field},
          {"type", "quantitative"},
          {"title", title},
          {"scale", {{"type", "log"}, {"nice", false}, {"padding", 12}}},
          {"axis", {{"format", ".2~s"}, {"tickCount", 5}}}};
}

Json series_colour() {
  return {{"field", "series"},
          {"type", "nominal"},
          {"title", nullptr},
          {"legend", {{"orient", "bottom"}, {"columns", 2}, {"labelLimit", 150}}}};
}

Json tooltip(std::initializer_list<const char*> fields) {
  auto out = Json::array();
  for (const char* field : fields) out.push_back({{"field", field}});
  return out;
}

Chart chart_of(std::string id, std::string title, Json spec, Table table) {
  if (table.rows.size() > kRowsBelowChart) {
    title +=
        fmt::format(" (the table: the first {} of {} rows)", kRowsBelowChart, table.rows.size());
    table.rows.erase(table.rows.begin() + kRowsBelowChart, table.rows.end());
  }
  return {.id = std::move(id),
          .title = std::move(title),
          .spec = std::move(spec),
          .table = std::move(table),
          .bars = {}};
}

Bars::Bars(std::string id, std::string title, std::string axis, std::string format)
    : id_(std::move(id)),
      title_(std::move(title)),
      axis_(std::move(axis)),
      format_(std::move(format)),
      table_{{"what", ">" + axis_, "kind"}, {}} {}

void Bars::add(const std::string& label, double value, const std::string& shown,
               const std::string& number, const std::string& kind) {
  values_.push_back(
      {{"label", label}, {"value", value}, {"shown", shown}, {"kind", kind}, {"number", number}});
  table_.rows.push_back({label, numbered(shown, number), kind});
  bars_.push_back(value);
}

Chart Bars::chart() const {
  // Room for what is written after the longest bar.
  const double longest = bars_.empty() ? 0 : *std::ranges::max_element(bars_);
  Json spec = plot(values_);
  spec["height"] = {{"step", 34}};
  spec["autosize"] = {{"type", "fit-x"}, {"contains", "padding"}};
  const Json y = {{"field", "label"},
                  {"type", "nominal"},
                  {"sort", nullptr},
                  {"title", nullptr},
                  {"axis", {{"labelLimit", 300}, {"ticks", false}, {"domain", false}}}};
  const Json x = {{"field", "value"},
                  {"type", "quantitative"},
                  {"title", axis_},
                  {"scale", {{"domainMin", 0}, {"domainMax", 1.25 * longest}, {"nice", false}}},
                  {"axis", {{"format", format_}, {"tickCount", 4}}}};
  spec["encoding"] = {{"y", y}, {"x", x}};
  spec["layer"] = {{{"mark", {{"type", "bar"}, {"cornerRadiusEnd", 2}, {"height", 18}}},
                    {"encoding",
                     {{"color",
                       {{"field", "kind"},
                        {"type", "nominal"},
                        {"title", nullptr},
                        {"legend", {{"orient", "bottom"}}}}},
                      {"tooltip", tooltip({"label", "shown", "kind"})}}}},
                   {{"mark", {{"type", "text"}, {"align", "left"}, {"dx", 5}}},
                    {"encoding", {{"text", {{"field", "shown"}}}}}}};
  return {.id = id_, .title = title_, .spec = std::move(spec), .table = table_, .bars = bars_};
}

}  // namespace trainmeter
