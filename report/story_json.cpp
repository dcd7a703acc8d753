// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A story for scripts; the keys: docs/json.md.
#include "record/names.hpp"
#include "report/in_turn.hpp"
#include "report/interference.hpp"
#include "report/layer_beside.hpp"
#include "report/story.hpp"
#include "report/with_casts.hpp"

namespace trainmeter {

nlohmann::ordered_json to_json(const Story& story) {
  using Json = nlohmann::ordered_json;
  const auto one = [](const Achieved& a) {
    Json json = {{"name", a.point.name},
                 {"operation", a.point.operation},
                 {"dtype", a.point.dtype},
                 {"backend", a.point.backend}};
    json["unit"] = is_compute(a.point.operation) ? "flop_per_s" : "bytes_per_s";
    json["value"] = a.point.value;
    json["low"] = a.interval ? nlohmann::ordered_json(a.interval->low) : nullptr;
    json["high"] = a.interval ? nlohmann::ordered_json(a.interval->high) : nullptr;
    json["samples"] = a.samples;
    if (a.per_joule) json["per_joule"] = *a.per_joule;
    json["possible"] = a.possible ? Json(*a.possible) : Json(nullptr);
    json["possible_how"] = a.possible_how;
    json["origin"] = a.point.origin;
    json["imported"] = a.imported;
    return json;
  };
  Json json;
  json["records"] = Json::array();
  for (const Record& record : story.records) json["records"].push_back(record.file.string());
  json["machine"] = {{"id", story.machine.id},
                     {"kind", story.machine.kind},
                     {"name", story.machine.gpu},
                     {"sms", story.machine.sms}};
  json["achieved"] = Json::array();
  for (const Achieved& a : story.achieved) json["achieved"].push_back(one(a));
  json["collectives"] = Json::array();
  for (const Achieved& a : story.collectives) json["collectives"].push_back(one(a));
  json["beside_published"] = Json::array();
  for (const BesidePublished& row : story.beside_published)
    json["beside_published"].push_back(to_json(row));
  json["step_gemms"] = Json::array();
  for (const StepGemms& step : story.steps) json["step_gemms"].push_back(to_json(step));
  json["in_turn"] = in_turn_json(story.records);
  json["with_casts"] = with_casts_json(story.records);
  json["interference"] = interference_json(story.records);
  json["layers_beside"] = layers_beside_json(story.records);
  json["failures"] = story.failures;
  json["unverified"] = story.unverified;
  json["prediction"] = story.prediction ? to_json(*story.prediction) : Json(nullptr);
  json["why_no_prediction"] = story.why_no_prediction;
  json["claims"] = Json::array();
  for (const Verdict& verdict : story.verdicts) json["claims"].push_back(to_json(verdict));
  json["notes"] = story.notes;
  json["warnings"] = story.warnings;
  return json;
}

}  // namespace trainmeter
