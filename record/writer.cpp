// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A record's lines as JSON. The reader of the same keys is reader.cpp; docs/record.md lists them.
#include "record/record.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <stdexcept>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

double finite(double value, const char* key) {
  if (!std::isfinite(value)) throw std::invalid_argument(std::string(key) + " is not finite");
  return value;
}

const std::vector<double>& finite(const std::vector<double>& values, const char* key) {
  for (const double value : values) (void)finite(value, key);
  return values;
}

Json stretches(const std::vector<Stretch>& all) {
  Json out = Json::array();
  for (const Stretch& s : all) {
    Json one = {{"first", s.first}, {"last", s.last}};
    if (s.energy_j) one["energy_j"] = finite(*s.energy_j, "energy_j");
    if (s.sm_clock_hz) one["sm_clock_hz"] = finite(*s.sm_clock_hz, "sm_clock_hz");
    out.push_back(std::move(one));
  }
  return out;
}

// A command line or a variable may hold any bytes; those that aren't UTF-8 become U+FFFD.
std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string to_json_line(const Header& h) {
  Json json = {{"schema", kRecordSchema},
               {"kind", "header"},
               {"session", h.session},
               {"program", h.program},
               {"version", h.version},
               {"git_revision", h.git_revision},
               {"started_at", h.started_at},
               {"host", h.host},
               {"command", h.command},
               {"device",
                {{"kind", h.device.kind},
                 {"name", h.device.name},
                 {"count", h.device.count},
                 {"sms", h.device.sms},
                 {"memory_bytes", h.device.memory_bytes},
                 {"last_level_cache_bytes", h.device.last_level_cache_bytes},
                 {"details", h.device.details}}},
               {"discipline",
                {{"timer", h.discipline.timer},
                 {"data", h.discipline.data},
                 {"cache", h.discipline.cache},
                 {"warmup_s", finite(h.discipline.warmup_s, "warmup_s")},
                 {"min_time_s", finite(h.discipline.min_time_s, "min_time_s")},
                 {"min_samples", h.discipline.min_samples},
                 {"regime", h.discipline.regime},
                 {"target", finite(h.discipline.target, "target")},
                 {"max_time_s", finite(h.discipline.max_time_s, "max_time_s")}}},
               {"software", h.software},
               {"environment", h.environment}};
  return one_line(json);
}

std::string to_json_line(const Measurement& m) {
  Json json = {{"kind", "measurement"},
               {"session", m.session},
               {"name", m.name},
               {"operation", m.operation},
               {"dtype", m.dtype},
               {"backend", m.backend},
               {"shape", m.shape},
               {"layout", m.layout},
               {"scaling", m.scaling},
               {"flops", finite(m.flops, "flops")},
               {"bytes", finite(m.bytes, "bytes")},
               {"ranks", m.ranks},
               {"sms", m.sms},
               {"beside", m.beside},
               {"at", m.at},
               {"repetition", m.repetition},
               {"paired_with", m.paired_with},
               {"verified", m.verified},
               {"check", m.check},
               {"failure", m.failure}};
  // An error may be infinite or NaN, which JSON cannot say: then it is left out and `failure` says
  // what was seen.
  if (std::isfinite(m.error)) json["error"] = m.error;
  json["error_bound"] = finite(m.error_bound, "error_bound");
  json["time_s"] = finite(m.time_s, "time_s");
  json["runs_per_sample"] = m.runs_per_sample;
  json["sm_clock_hz"] = finite(m.sm_clock_hz, "sm_clock_hz");
  json["power_w"] = finite(m.power_w, "power_w");
  json["temperature_c"] = finite(m.temperature_c, "temperature_c");
  json["throttle_reasons"] = m.throttle_reasons;
  json["stopped"] = m.stopped;
  json["marks"] = Json::array();
  for (const Mark& mark : m.marks) {
    json["marks"].push_back({{"first", mark.first}, {"last", mark.last}, {"why", mark.why}});
  }
  json["probes"] = Json::array();
  for (const Probe& p : m.probes) {
    json["probes"].push_back({{"before", p.before},
                              {"compute_s", finite(p.compute_s, "compute_s")},
                              {"copy_s", finite(p.copy_s, "copy_s")}});
  }
  if (m.energy_j) {
    json["energy_j"] = finite(*m.energy_j, "energy_j");
    json["energy_steps"] = m.energy_steps;
  }
  if (!m.stretches.empty()) json["stretches"] = stretches(m.stretches);
  json["notes"] = m.notes;
  return one_line(json);
}

}  // namespace trainmeter
