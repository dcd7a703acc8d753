// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a row of nccl-tests is in a record, and nccl-tests' JSON.
#include "report/import_nccl.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/nccl_names.hpp"
#include "record/strict_json.hpp"
#include "record/text_limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kMostCount = 9e15;  // below 2^53, as records keep them

std::int64_t size_or_zero(StrictObject& object, const char* key) {
  const std::int64_t value = object.integer(key);
  if (value < 0) object.refuse(key, "a whole number of at least 0");
  return value;
}

// Every iteration's, without those that -K leaves out of nccl-tests' own figures; else the mean.
std::vector<double> times_of(StrictObject& half, StrictObject& result, const char* samples_key,
                             std::int64_t aggregated, std::int64_t& runs_per_sample) {
  if (result.has(samples_key) && result.raw(samples_key).is_object()) {
    StrictObject samples = result.object(samples_key);
    std::vector<double> out;
    if (samples.has("times_us")) {
      const std::vector<double> all = samples.numbers("times_us");
      const auto skipped = static_cast<std::size_t>(
          samples.has("skipped_iterations") ? size_or_zero(samples, "skipped_iterations") : 0);
      for (std::size_t i = skipped; i < all.size(); ++i) {
        if (is_time(all[i])) out.push_back(all[i] * 1e-6);
      }
    }
    if (!out.empty()) {
      runs_per_sample = aggregated;  // -m: each time is the mean of so many
      return out;
    }
  }
  const char* const key = half.has("time") ? "time" : "cpu_time";
  if (!half.has(key) || !half.raw(key).is_number()) return {};  // "nan"
  const double us = half.number(key);
  return is_time(us) ? std::vector<double>{us * 1e-6} : std::vector<double>{};
}

// A bandwidth, printed with six decimals; nothing where it is "nan".
std::optional<PrintedRate> bandwidth(StrictObject& half, const char* key) {
  if (!half.has(key) || !half.raw(key).is_number()) return std::nullopt;
  return PrintedRate{.value = half.number(key), .half_unit = 0.5e-6};
}

// "    -1", as it is printed.
std::int64_t root_of(StrictObject& result) {
  if (!result.has("root") || !result.raw("root").is_string()) return -1;
  const std::string text = result.text("root");
  const std::size_t begin = text.find_first_not_of(' ');
  std::int64_t root = -1;
  if (begin != std::string::npos) {
    (void)std::from_chars(text.data() + begin, text.data() + text.size(), root);
  }
  return root;
}

std::int64_t few(StrictObject& config, const char* key) {
  constexpr std::int64_t kMost = 1'000'000;
  const std::int64_t count = config.has(key) ? config.count(key) : 1;
  if (count > kMost) config.refuse(key, "at most 1000000");
  return count;
}

// Of the devices: nccl-tests writes one for each process, the first of -g times -t.
void read_ranks(StrictObject& config, NcclRow& one, Header& header) {
  std::set<std::int64_t> groups;
  std::int64_t processes = 0;
  for (StrictObject& device : config.objects("devices")) {
    ++processes;
    groups.insert(device.integer("group"));
    if (header.device.name == kUnknown) header.device.name = device.text("device_info");
    if (header.host == kUnknown) header.host = device.text("hostname");
  }
  one.groups = static_cast<std::int64_t>(groups.size());
  if (processes == 0 || processes % one.groups != 0) {
    config.refuse("devices", "processes, as many in each group");
  }
  const std::int64_t each = few(config, "ngpus") * few(config, "nthreads");
  one.ranks = header.device.count = processes / one.groups * each;
}

// What nccl-tests itself says went wrong.
void warn_of_errors(StrictObject& top, const std::string& where, Imported& to) {
  const auto say = [&](const std::string& what) {
    to.left_out.push_back(fmt::format("{}: nccl-tests says: {}", where, shortened(what, 200)));
  };
  if (top.has("errors") && !top.raw("errors").is_null()) {
    for (const std::string& error : top.texts("errors")) {
      if (!error.empty()) say(error);
    }
  }
  if (!top.has("out_of_bounds") || !top.raw("out_of_bounds").is_object()) return;
  const nlohmann::json& bounds = top.raw("out_of_bounds");
  const auto okay = bounds.find("okay");
  if (okay == bounds.end() || (*okay != "false" && *okay != false)) return;
  const auto count = bounds.find("count");
  say("out of bounds values: " + (count == bounds.end() ? std::string(kUnknown) : count->dump()));
}

}  // namespace

Measurement to_measurement(const NcclRow& row) {
  Measurement m;
  m.operation = row.operation;
  m.dtype = dtype_of_nccl(row.type);
  m.backend = row.backend;
  std::int64_t payload = row.size;
  if (m.dtype.empty()) {
    m.dtype = kUnknown;
  } else if (row.operation == "alltoallv") {  // its size is what the busiest rank sends
    const double bytes =
        static_cast<double>(row.count) * static_cast<double>(row.ranks) * dtype_bytes(m.dtype);
    if (bytes >= 1 && bytes < kMostCount) payload = static_cast<std::int64_t>(bytes);
  }
  m.shape["bytes"] = payload;
  m.name = fmt::format("{}/{}/{}/bytes:{}", m.operation, m.dtype, m.backend, payload);
  if (row.in_place) m.shape["in_place"] = 1;
  if (row.in_place) m.name += "/in_place:1";
  if (row.groups > 1) m.shape["groups"] = row.groups;
  if (row.groups > 1) m.name += fmt::format("/groups:{}", row.groups);
  if (row.root > 0) {
    m.shape["root"] = row.root;
    m.name += fmt::format("/root:{}", row.root);
  }
  // What a record has no field for is in the name, which keeps cases apart.
  const auto note = [&](const char* key, const std::string& text) {
    m.notes[key] = shortened(text);
    m.name += fmt::format("/{}:{}", key, m.notes[key]);
  };
  if (!row.redop.empty() && row.redop != "sum" && row.redop != "none") note("redop", row.redop);
  if (m.dtype == kUnknown) note("type", row.type);
  m.bytes = static_cast<double>(row.size);
  m.ranks = row.ranks;
  m.time_s = row.time_s;
  m.runs_per_sample = row.runs_per_sample;
  m.check = row.wrong < 0 ? kUnknown : "nccl-tests: wrong elements counted";
  m.verified = row.wrong == 0;
  if (row.wrong > 0) {
    m.error = row.wrong;
    m.failure = fmt::format("{} elements are wrong", row.wrong);
  }
  return m;
}

std::string contradiction(const NcclRow& row, const PrintedRate& algbw, const PrintedRate& busbw,
                          bool same_twice) {
  constexpr double kSlack = 1e-3;  // of their own rounding, before they printed it
  const double low = (busbw.value - busbw.half_unit) * (1 - kSlack);
  const double high = (busbw.value + busbw.half_unit) * (1 + kSlack);
  const auto fits = [&](double factor) {
    return factor * (algbw.value - algbw.half_unit) <= high &&
           factor * (algbw.value + algbw.half_unit) >= low;
  };
  const double factor = bus_factor(row.operation, row.ranks);
  // One rank alone has a factor of 0 here, and in some of their tests 1.
  if (fits(factor) || ((same_twice || row.ranks == 1) && fits(1))) return "";
  return fmt::format(
      "busbw is {:.3g} times algbw, expected {:.3g} for {} between {} ranks: of another test or "
      "another number of ranks",
      busbw.value / algbw.value, factor, row.operation, row.ranks);
}

void number_repetitions(Imported& to) {
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> seen;  // by name and ranks
  for (Measurement& row : to.rows) row.repetition = seen[{row.name, row.ranks}]++;
}

void warn_of_one_rank(const std::string& where, Imported& to) {
  if (std::ranges::none_of(to.rows, [](const Measurement& row) { return row.ranks == 1; })) return;
  to.left_out.push_back(where + ": one rank has nobody to exchange with: its times are no links'");
}

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::string operation_of_program(std::string_view program) {
  constexpr std::string_view kEnd = "_perf";
  const std::size_t end = program.find(kEnd);
  if (end == std::string_view::npos) return "";
  const std::string_view suffix = program.substr(end + kEnd.size());
  const bool plain = std::ranges::all_of(suffix, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
  return plain ? operation_of_nccl(program.substr(0, end + kEnd.size())) : "";
}

std::string operation_named(const std::string& word) {
  const std::string program = word.ends_with("_perf") ? word : word + "_perf";
  if (const std::string known = operation_of_nccl(program); !known.empty()) return known;
  return nccl_program(word).empty() ? "" : word;
}

void import_nccl_json(const nlohmann::json& json, const std::string& where, Imported& to) {
  StrictObject top(json, where);
  Header& header = to.header;
  header.program = "nccl-tests";
  if (top.has("start_time")) header.device.details["start_time"] = top.text("start_time");
  const std::vector<std::string> arguments = top.texts("args");
  NcclRow one;
  one.backend = "nccl";
  const std::string program = arguments.empty() ? "" : base_name(arguments.front());
  one.operation = operation_of_program(program);
  if (one.operation.empty()) {
    if (program.find("_perf") == std::string::npos) {
      top.refuse("args", "first a test's name, such as all_reduce_perf");
    }
    to.left_out.push_back(
        fmt::format("{}: no counterpart in a record: {}", where, shortened(program)));
    return;
  }
  StrictObject config = top.object("config");
  read_ranks(config, one, header);
  const std::int64_t aggregated =
      config.has("aggregated_iterations") ? config.count("aggregated_iterations") : 1;
  const double runs =
      static_cast<double>(config.count("iterations")) * static_cast<double>(aggregated);
  if (!(runs <= static_cast<double>(kMostRuns))) config.refuse("iterations", "a count of iterations");
  if (config.has("warmup_iters")) {
    header.device.details["warmup_iters"] = std::to_string(size_or_zero(config, "warmup_iters"));
  }
  for (StrictObject& result : top.objects("results")) {
    one.size = size_or_zero(result, "size");
    one.count = size_or_zero(result, "count");
    one.type = result.text("type");
    one.redop = result.has("redop") ? result.text("redop") : "";
    one.root = root_of(result);
    for (const bool in_place : {false, true}) {
      const char* const key = in_place ? "in_place" : "out_of_place";
      if (!result.has(key) || result.raw(key).is_null()) continue;
      StrictObject half = result.object(key);
      const auto leave_out = [&](const std::string& why) {
        to.left_out.push_back(fmt::format("{}: {} bytes, {}: {}", where, one.size, key, why));
      };
      one.in_place = in_place;
      one.runs_per_sample = static_cast<std::int64_t>(runs);
      one.time_s = times_of(half, result, in_place ? "in_place_per_iter" : "out_of_place_per_iter",
                            aggregated, one.runs_per_sample);
      one.wrong = half.has("nwrong") && half.raw("nwrong").is_number() ? half.number("nwrong") : -1;
      if (one.size < 1 || (one.time_s.empty() && !(one.wrong > 0))) {
        leave_out("no time");
        continue;
      }
      const auto algbw = bandwidth(half, "alg_bw");
      const auto busbw = bandwidth(half, "bus_bw");
      if (algbw && busbw) {
        if (const auto why = contradiction(one, *algbw, *busbw, false); !why.empty()) {
          leave_out(why);
          continue;
        }
      }
      to.rows.push_back(to_measurement(one));
    }
  }
  number_repetitions(to);
  warn_of_one_rank(where, to);
  warn_of_errors(top, where, to);
}

}  // namespace trainmeter
