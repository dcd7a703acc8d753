// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// nccl-tests' text, of its version 2.19 and before (columns as its heading names them), and its
// JSON.
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/nccl_names.hpp"
#include "record/strict_json.hpp"
#include "record/text_limits.hpp"
#include "report/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

namespace trainmeter {
namespace {

constexpr double kMostCount = 9e15;  // below 2^53, as records keep them
constexpr std::int64_t kMostRuns = 1'000'000'000'000;

std::vector<std::string> words_of(std::string_view line) {
  std::istringstream in{std::string(line)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

template <class T>
std::optional<T> number(std::string_view word) {
  T value{};
  const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failed != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

bool is_time(double us) {
  return us > 1e-9 && us < 1e15;  // neither NaN nor infinite
}

// What the comment lines say.
struct Run {
  std::string operation, backend = "nccl";
  std::int64_t iterations = 1;
  std::set<std::string> ranks, groups;
};

void read_device(const std::vector<std::string>& words, Run& run, Header& header) {
  // # Rank 0 Group 0 Pid 65234 on host device 0 [0000:0a:00] NVIDIA H200
  const auto after = [&](const char* key) {
    const auto found = std::ranges::find(words, key);
    return found == words.end() || found + 1 == words.end() ? std::string() : found[1];
  };
  run.ranks.insert(after("Rank"));
  run.groups.insert(after("Group"));
  if (header.host == kUnknown && !after("on").empty()) header.host = after("on");
  const auto address =
      std::ranges::find_if(words, [](const std::string& word) { return word.ends_with(']'); });
  if (header.device.name != kUnknown || address == words.end() || address + 1 == words.end()) {
    return;
  }
  header.device.name = fmt::format("{}", fmt::join(address + 1, words.end(), " "));
}

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

class Text {
 public:
  Text(const std::string& where, const std::string& operation, Imported& to)
      : where_(where), given_(operation), to_(to) {
    run_.operation = operation;
  }

  void line(std::string_view text, std::size_t number_of_line) {
    const std::vector<std::string> words = words_of(text);
    if (words.empty()) return;
    if (words[0].starts_with('#')) {
      comment(text, words);
    } else if (number<std::int64_t>(words[0])) {
      row(words, number_of_line);
    } else if (run_.operation.empty()) {  // a warning, or what a launcher printed: its command
      for (const std::string& word : words) {
        const std::string program = base_name(word);
        if (program.ends_with("_perf")) run_.operation = operation_of_nccl(program);
        if (!run_.operation.empty()) break;
      }
    }
  }

 private:
  void comment(std::string_view text, const std::vector<std::string>& words) {
    Header& header = to_.header;
    if (text.starts_with("# nccl-tests version ") && words.size() > 3) header.version = words[3];
    if (text.starts_with("# trainmeter ") && words.size() > 3) {
      run_.backend = words[3].substr(0, words[3].find(':'));
      header.program = "collective_bench";
      header.version = words[2].substr(0, words[2].find(':'));
      header.device.details["ranks_by"] =
          fmt::format("{}", fmt::join(words.begin() + 4, words.end(), " "));
      if (run_.backend != "nccl") header.device.kind = "cpu";
    }
    if (text.starts_with("# Collective test starting: ") && words.size() > 4) {
      run_.operation = operation_of_nccl(words[4]);
      if (!given_.empty() && given_ != run_.operation) {
        throw BadInput(fmt::format("{}: --operation: expected {}, as the file says", where_,
                                   run_.operation.empty() ? words[4] : run_.operation));
      }
    }
    if (text.starts_with("# nThread ")) read_method(words);
    if (words.size() > 1 && words[1] == "Rank") read_device(words, run_, header);
    if (std::ranges::find(words, "busbw") != words.end()) read_columns(words);
  }

  // warmup iters: 1 iters: 20 agg iters: 1 validation: 1
  void read_method(const std::vector<std::string>& words) {
    for (std::size_t i = 1; i + 1 < words.size(); ++i) {
      if (words[i] != "iters:") continue;
      const std::int64_t count = number<std::int64_t>(words[i + 1]).value_or(0);
      if (words[i - 1] == "warmup") {
        to_.header.device.details["warmup_iters"] = std::to_string(count);
      } else if (count > 0 && count <= kMostRuns / run_.iterations) {
        run_.iterations *= count;
      }
    }
  }

  // # size count type redop root time algbw busbw #wrong time algbw busbw #wrong
  void read_columns(const std::vector<std::string>& words) {
    columns_.assign(words.begin() + 1, words.end());
  }

  void row(const std::vector<std::string>& words, std::size_t line) {
    const auto leave_out = [&](const char* why) {
      to_.left_out.push_back(fmt::format("{}:{}: {}", where_, line, why));
    };
    if (columns_.empty()) return leave_out("numbers before the columns' heading");
    if (run_.operation.empty()) {
      throw BadInput(
          fmt::format("{}:{}: expected the line '# Collective test starting: "
                      "all_reduce_perf', or another test's, above, which older versions don't "
                      "print: say which test it was with --operation=all_reduce",
                      where_, line));
    }
    if (run_.ranks.empty()) {
      throw BadInput(
          fmt::format("{}:{}: expected the lines of 'Using devices' above: how many ranks there "
                      "were isn't known",
                      where_, line));
    }
    if (words.size() < columns_.size() - (columns_.back() == "timestamp" ? 1 : 0)) {
      return leave_out("a row with too few columns: cut off, or other text runs through it");
    }
    NcclRow one;
    one.operation = run_.operation;
    one.backend = run_.backend;
    one.groups = std::max<std::int64_t>(1, static_cast<std::int64_t>(run_.groups.size()));
    one.ranks = static_cast<std::int64_t>(run_.ranks.size()) / one.groups;
    one.runs_per_sample = run_.iterations;
    if (one.ranks * one.groups != static_cast<std::int64_t>(run_.ranks.size())) {
      throw BadInput(fmt::format("{}: groups of different sizes", where_));
    }
    int halves = 0;
    std::vector<NcclRow> found;
    for (std::size_t i = 0; i < columns_.size() && i < words.size(); ++i) {
      const std::string& name = columns_[i];
      if (name == "size" || name == "count") {
        const auto value = number<std::int64_t>(words[i]);
        if (!value || *value < 0 || static_cast<double>(*value) > kMostCount) {
          return leave_out("a size that is none");
        }
        (name == "size" ? one.size : one.count) = *value;
      } else if (name == "type") {
        one.type = words[i];
      } else if (name == "time" || name == "cputime") {
        one.in_place = halves++ > 0;
        found.push_back(one);
        if (words[i] == "N/A") continue;
        const auto us = number<double>(words[i]);
        if (!us) return leave_out("a time that is none: other text runs through the row");
        if (is_time(*us)) found.back().time_s = {*us * 1e-6};
      } else if (name == "#wrong" && !found.empty() && words[i] != "N/A") {
        const auto wrong = number<double>(words[i]);
        if (!wrong || !(*wrong >= 0 && *wrong < kMostCount)) {
          return leave_out("a count of wrong elements that is none");
        }
        found.back().wrong = *wrong;
      }
    }
    if (one.size < 1) return leave_out("0 bytes");
    for (const NcclRow& half : found) {
      if (half.time_s.empty() && !(half.wrong > 0)) {
        leave_out(half.in_place ? "no time in place" : "no time out of place");
      } else {
        to_.rows.push_back(to_measurement(half));
      }
    }
  }

  const std::string& where_;
  const std::string& given_;
  Imported& to_;
  Run run_;
  std::vector<std::string> columns_;
};

std::vector<double> times_of(StrictObject& half, StrictObject& result, const char* samples_key,
                             std::int64_t& runs_per_sample) {
  if (result.has(samples_key) && result.raw(samples_key).is_object()) {
    StrictObject samples = result.object(samples_key);
    std::vector<double> out;
    if (samples.has("times_us")) {
      for (const double us : samples.numbers("times_us")) {
        if (is_time(us)) out.push_back(us * 1e-6);
      }
    }
    if (!out.empty()) {
      runs_per_sample = 1;
      return out;
    }
  }
  const char* const key = half.has("time") ? "time" : "cpu_time";
  if (!half.has(key) || !half.raw(key).is_number()) return {};  // "nan"
  const double us = half.number(key);
  return is_time(us) ? std::vector<double>{us * 1e-6} : std::vector<double>{};
}

std::int64_t size_or_zero(StrictObject& object, const char* key) {
  const std::int64_t value = object.integer(key);
  if (value < 0) object.refuse(key, "a whole number of at least 0");
  return value;
}

void warn_of_one_rank(const std::string& where, Imported& to) {
  if (to.rows.empty() || to.rows.front().ranks > 1) return;
  to.left_out.push_back(where + ": one rank has nobody to exchange with: its times are no links'");
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

std::string operation_named(const std::string& word) {
  const std::string program = word.ends_with("_perf") ? word : word + "_perf";
  if (const std::string known = operation_of_nccl(program); !known.empty()) return known;
  return nccl_program(word).empty() ? "" : word;
}

void import_nccl_text(std::string_view text, const std::string& where, const std::string& operation,
                      Imported& to) {
  to.header.program = "nccl-tests";
  Text reader(where, operation, to);
  std::size_t number_of_line = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    reader.line(text.substr(0, end), ++number_of_line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (!to.rows.empty()) to.header.device.count = to.rows.front().ranks;
  warn_of_one_rank(where, to);
  if (to.header.device.kind == "cpu") to.header.device.count = 1;
}

void import_nccl_json(const nlohmann::json& json, const std::string& where, Imported& to) {
  StrictObject top(json, where);
  Header& header = to.header;
  header.program = "nccl-tests";
  if (top.has("start_time")) header.device.details["start_time"] = top.text("start_time");
  const std::vector<std::string> arguments = top.texts("args");
  NcclRow one;
  one.backend = "nccl";
  if (!arguments.empty()) one.operation = operation_of_nccl(base_name(arguments.front()));
  if (one.operation.empty()) top.refuse("args", "first a test's name, such as all_reduce_perf");
  StrictObject config = top.object("config");
  std::set<std::int64_t> groups;
  std::int64_t ranks = 0;
  for (StrictObject& device : config.objects("devices")) {
    ++ranks;
    groups.insert(device.integer("group"));
    if (header.device.name == kUnknown) header.device.name = device.text("device_info");
    if (header.host == kUnknown) header.host = device.text("hostname");
  }
  one.groups = static_cast<std::int64_t>(groups.size());
  if (ranks == 0 || ranks % one.groups != 0) {
    config.refuse("devices", "ranks, as many in each group");
  }
  one.ranks = header.device.count = ranks / one.groups;
  const double runs = static_cast<double>(config.count("iterations")) *
                      static_cast<double>(config.has("aggregated_iterations")
                                              ? config.count("aggregated_iterations")
                                              : 1);
  if (!(runs <= static_cast<double>(kMostRuns))) config.refuse("iterations", "a count of iterations");
  if (config.has("warmup_iters")) {
    header.device.details["warmup_iters"] = std::to_string(size_or_zero(config, "warmup_iters"));
  }
  for (StrictObject& result : top.objects("results")) {
    one.size = size_or_zero(result, "size");
    one.count = size_or_zero(result, "count");
    one.type = result.text("type");
    for (const bool in_place : {false, true}) {
      const char* const key = in_place ? "in_place" : "out_of_place";
      if (!result.has(key) || result.raw(key).is_null()) continue;
      StrictObject half = result.object(key);
      one.in_place = in_place;
      one.runs_per_sample = static_cast<std::int64_t>(runs);
      one.time_s = times_of(half, result, in_place ? "in_place_per_iter" : "out_of_place_per_iter",
                            one.runs_per_sample);
      one.wrong = half.has("nwrong") && half.raw("nwrong").is_number() ? half.number("nwrong") : -1;
      if (one.size < 1 || (one.time_s.empty() && !(one.wrong > 0))) {
        to.left_out.push_back(fmt::format("{}: {} bytes, {}: no time", where, one.size, key));
        continue;
      }
      to.rows.push_back(to_measurement(one));
    }
  }
  warn_of_one_rank(where, to);
  warn_of_errors(top, where, to);
}

}  // namespace trainmeter
