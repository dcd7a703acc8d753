// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Google Benchmark's JSON, bigger-is-better JSON, and CSV.
#include "report/exports.hpp"

#include "record/error.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/cases.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

struct Found {
  const Measurement* measurement;
  const Header* header;
};

struct Case {
  std::string title;
  std::vector<Found> lines;
};

// Usable lines by case, in the order of the records.
std::vector<Case> cases_of(const std::vector<Record>& records) {
  std::vector<Case> out;
  std::map<std::string, std::size_t> place;
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      const Measurement& m = line.measurement;
      if (!m.usable()) continue;
      const Header& header = record.header_of(line);
      const auto [found, is_new] = place.try_emplace(case_key(m, header), out.size());
      if (is_new) out.push_back({case_title(m, header), {}});
      out[found->second].lines.push_back({&m, &header});
    }
  }
  if (out.empty()) throw BadInput("nothing to export: no record has a usable measurement");
  return out;
}

double standard_deviation(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += (x - mean(values)) * (x - mean(values));
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

const char* rate_key(const Measurement& m) {
  return is_compute(m.operation) ? "flops_per_s" : "bytes_per_s";
}

Json timed(double ns) {
  return {{"real_time", ns}, {"cpu_time", ns}, {"time_unit", "ns"}};
}

void add_repetitions(Json& benchmarks, const Case& c, std::size_t family) {
  const std::size_t count = c.lines.size();
  const auto common = [&](const std::string& suffix, const char* run_type) {
    return Json{{"name", c.title + suffix},       {"family_index", family},
                {"per_family_instance_index", 0}, {"run_name", c.title},
                {"run_type", run_type},           {"repetitions", count}};
  };
  std::vector<double> times, rates;
  for (std::size_t i = 0; i < count; ++i) {
    const Measurement& m = *c.lines[i].measurement;
    times.push_back(median(counted_samples(m).time_s) * 1e9);
    rates.push_back(rate_of(m, *c.lines[i].header));
    Json entry = common("", "iteration");
    entry["repetition_index"] = i;
    entry["threads"] = 1;
    entry["iterations"] = m.time_s.size() * static_cast<std::size_t>(m.runs_per_sample);
    entry.update(timed(times.back()));
    entry[rate_key(m)] = rates.back();
    benchmarks.push_back(std::move(entry));
  }
  if (count < 2) return;
  const auto aggregate = [&](const char* name, const char* unit, auto statistic) {
    Json entry = common(std::string("_") + name, "aggregate");
    entry["threads"] = 1;
    entry["aggregate_name"] = name;
    entry["aggregate_unit"] = unit;
    entry["iterations"] = count;
    entry.update(timed(statistic(times)));
    entry[rate_key(*c.lines.front().measurement)] = statistic(rates);
    benchmarks.push_back(std::move(entry));
  };
  aggregate("mean", "time", [](const auto& values) { return mean(values); });
  aggregate("median", "time", [](const auto& values) { return median(values); });
  aggregate("stddev", "time", standard_deviation);
  aggregate("cv", "percentage",
            [](const auto& values) { return standard_deviation(values) / mean(values); });
}

std::string quoted(const std::string& cell) {
  if (cell.find_first_of("\",\r\n") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

std::string csv_row(const std::vector<std::string>& cells) {
  std::string out;
  for (const std::string& cell : cells) out += (out.empty() ? "" : ",") + quoted(cell);
  return out + "\r\n";
}

std::string number(double value) {
  return fmt::format("{}", value);  // the shortest that reads back the same
}

}  // namespace

nlohmann::ordered_json to_google_benchmark(const std::vector<Record>& records) {
  const std::vector<Case> cases = cases_of(records);
  const Header& first = *cases.front().lines.front().header;
  Json out;
  out["context"] = {{"date", first.started_at},
                    {"host_name", first.host},
                    {"executable", first.program},
                    {"device", first.device.name},
                    {"device_count", first.device.count},
                    {"trainmeter_version", first.version},
                    {"git_revision", first.git_revision},
                    {"cpu_time", "a copy of real_time: only that is measured"},
                    {"json_schema_version", 1}};
  out["benchmarks"] = Json::array();
  for (std::size_t i = 0; i < cases.size(); ++i) add_repetitions(out["benchmarks"], cases[i], i);
  return out;
}

nlohmann::ordered_json to_bigger_is_better(const std::vector<Record>& records) {
  Json out = Json::array();
  for (const Case& c : cases_of(records)) {
    const bool computes = is_compute(c.lines.front().measurement->operation);
    const double unit = computes ? 1e12 : 1e9;
    std::map<std::string, std::vector<double>> by_start;
    std::size_t samples = 0;
    for (const auto& [m, header] : c.lines) {
      by_start[start_key(*header)].push_back(rate_of(*m, *header) / unit);
      samples += m->time_s.size();
    }
    std::vector<double> rates;
    rates.reserve(by_start.size());
    for (const auto& [start, repetitions] : by_start) rates.push_back(median(repetitions));
    Json entry = {
        {"name", c.title}, {"unit", computes ? "TFLOP/s" : "GB/s"}, {"value", median(rates)}};
    if (rates.size() > 1) entry["range"] = fmt::format("± {:.2g}", standard_deviation(rates));
    entry["extra"] =
        fmt::format("{} start{}, {} samples; {}", rates.size(), rates.size() == 1 ? "" : "s",
                    samples, c.lines.front().header->device.name);
    out.push_back(std::move(entry));
  }
  return out;
}

std::string to_csv(const std::vector<Record>& records) {
  std::string out = csv_row(
      {"name",       "operation",   "dtype",      "backend",    "shape",        "layout",
       "scaling",    "ranks",       "sms",        "beside",     "flops",        "bytes",
       "samples",    "time_p50_s",  "time_p05_s", "time_p95_s", "flops_per_s",  "bytes_per_s",
       "verified",   "failure",     "host",       "device",     "git_revision", "session",
       "repetition", "finished_at", "record",     "line"});
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      const Measurement& m = line.measurement;
      const Header& header = record.header_of(line);
      std::string shape;
      for (const auto& [key, value] : m.shape)
        shape += fmt::format("{}{}:{}", shape.empty() ? "" : " ", key, value);
      const auto time = [&](double p) {
        return m.time_s.empty() ? "" : number(quantile(m.time_s, p));
      };
      const auto rate_if = [&](bool wanted) {
        return m.usable() && wanted ? number(rate_of(m, header)) : "";
      };
      out += csv_row({m.name,
                      m.operation,
                      m.dtype,
                      m.backend,
                      shape,
                      m.layout,
                      m.scaling,
                      std::to_string(m.ranks),
                      std::to_string(m.sms),
                      m.beside,
                      number(m.flops),
                      number(m.bytes),
                      std::to_string(m.time_s.size()),
                      time(0.5),
                      time(0.05),
                      time(0.95),
                      rate_if(is_compute(m.operation)),
                      rate_if(!is_compute(m.operation)),
                      m.verified ? "true" : "false",
                      m.failure,
                      header.host,
                      header.device.name,
                      header.git_revision,
                      header.session,
                      std::to_string(m.repetition),
                      m.at,
                      record.file.string(),
                      std::to_string(line.line)});
    }
  }
  return out;
}

}  // namespace trainmeter
