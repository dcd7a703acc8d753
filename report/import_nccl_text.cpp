// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// nccl-tests' text, of its version 2.19 and before (columns as its heading names them). A file may
// hold several tables, as scripts that try one test after the other leave them.
#include "record/error.hpp"
#include "record/nccl_names.hpp"
#include "record/text_limits.hpp"
#include "report/import_nccl.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kMostCount = 9e15;  // below 2^53, as records keep them

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

// "10.49" is rounded to hundredths, "1e+03" to thousands. Nothing for what is no finite number.
std::optional<PrintedRate> printed(std::string_view word) {
  const auto value = number<double>(word);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  const std::size_t e = word.find_first_of("eE");
  const std::string_view digits = word.substr(0, e);
  const std::size_t point = digits.find('.');
  double last =
      point == std::string_view::npos ? 0 : -static_cast<double>(digits.size() - point - 1);
  if (e != std::string_view::npos) {
    std::string_view power = word.substr(e + 1);
    if (power.starts_with('+')) power.remove_prefix(1);
    last += number<int>(power).value_or(0);
  }
  return PrintedRate{.value = *value, .half_unit = 0.5 * std::pow(10.0, last)};
}

// What the comment lines say of one table.
struct Run {
  std::string operation, backend = "nccl";
  std::string other;  // the test's name where it has no counterpart in a record
  std::int64_t iterations = 1;
  std::set<std::string> ranks, groups;
  std::vector<std::string> columns;
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

// One of nccl-tests' programs, in a launcher's command.
bool is_program(const std::string& name) {
  constexpr std::array kOthers = {"gather_perf", "scatter_perf", "hypercube_perf"};
  return !operation_of_program(name).empty() ||
         std::ranges::any_of(kOthers, [&](const char* other) { return name.starts_with(other); });
}

constexpr std::string_view kOfEachTable = "# nThread ";

// What a launcher puts before each line ("0: " of srun -l, "[1,0]<stdout>:" of mpirun
// --tag-output): as it is before the first line of a table. "" where nothing is.
std::string prefix_in(std::string_view text) {
  std::size_t first = std::string_view::npos;
  for (const std::string_view line :
       {kOfEachTable, std::string_view("# nccl-tests version "),
        std::string_view("# Collective test starting: "), std::string_view("# Using devices")}) {
    first = std::min(first, text.find(line));
  }
  if (first == std::string_view::npos) return "";
  const std::size_t before = text.substr(0, first).rfind('\n');
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  return std::string(text.substr(begin, first - begin));
}

// A half of a row, and the bandwidths beside it.
struct Half {
  NcclRow row;
  std::optional<PrintedRate> algbw, busbw;
};

class Text {
 public:
  Text(const std::string& where, const std::string& operation, std::string prefix, Imported& to)
      : where_(where), given_(operation), prefix_(std::move(prefix)), to_(to) {
    run_.operation = operation;
  }

  void line(std::string_view text, std::size_t number_of_line) {
    line_ = number_of_line;
    if (!prefix_.empty() && text.starts_with(prefix_)) {
      text.remove_prefix(prefix_.size());
    } else if (const std::size_t at = text.find(kOfEachTable);
               at != std::string_view::npos && at > 0) {
      leave_out(fmt::format("the table of lines that begin with '{}'; those read begin with '{}'",
                            shortened(text.substr(0, at)), shortened(prefix_)));
    }
    const std::vector<std::string> words = words_of(text);
    if (words.empty()) return;
    if (words[0].starts_with('#')) {
      comment(text, words);
    } else if (number<std::int64_t>(words[0])) {
      row(words);
    } else if (ends_as_a_row(words)) {
      leave_out("a row that doesn't begin with its size: other text runs into it");
    } else if (given_.empty()) {  // a warning, or what a launcher printed: its command
      const auto found = std::ranges::find_if(
          words, [](const std::string& word) { return is_program(base_name(word)); });
      if (found == words.end()) return;
      if (run_.operation.empty() && run_.other.empty()) return test_is(base_name(*found));
      next_ = base_name(*found);
    }
  }

 private:
  // Within a table: as many words as a row has, and times, bandwidths and counts at the end.
  [[nodiscard]] bool ends_as_a_row(const std::vector<std::string>& words) const {
    std::vector<std::string> columns = run_.columns;
    if (!columns.empty() && columns.back() == "timestamp") columns.pop_back();
    const auto first = std::ranges::find_if(
        columns, [](const std::string& column) { return column == "time" || column == "cputime"; });
    if (first == columns.end() || words.size() < columns.size()) return false;
    return std::all_of(
        words.end() - (columns.end() - first), words.end(),
        [](const std::string& word) { return word == "N/A" || number<double>(word); });
  }

  void leave_out(const std::string& why) {
    to_.left_out.push_back(fmt::format("{}:{}: {}", where_, line_, why));
  }

  void test_is(const std::string& program) {
    run_.operation = operation_of_program(program);
    run_.other = run_.operation.empty() ? program : "";
    if (!run_.other.empty()) leave_out("no counterpart in a record: " + shortened(program));
  }

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
      begin_table(words[4]);
      if (!given_.empty() && given_ != run_.operation) {
        throw BadInput(fmt::format("{}: --operation: expected {}, as the file says", where_,
                                   run_.operation.empty() ? words[4] : run_.operation));
      }
    }
    if (text.starts_with(kOfEachTable)) {
      // Older versions name no test: the next one's name is in the launcher's command, if anywhere.
      begin_table(next_);
      read_method(words);
    }
    if (words.size() > 1 && words[1] == "Rank") read_device(words, run_, header);
    // # size count type redop root time algbw busbw #wrong time algbw busbw #wrong
    if (std::ranges::find(words, "busbw") != words.end())
      run_.columns.assign(words.begin() + 1, words.end());
    if (text.starts_with("# Avg bus bandwidth")) {
      run_ = {};
      run_.operation = given_;
    }
  }

  // `program`: "" where it is that of the lines above.
  void begin_table(const std::string& program) {
    run_ = {.operation = run_.operation, .backend = run_.backend, .other = run_.other};
    if (!program.empty()) test_is(base_name(program));
    next_.clear();
  }

  // warmup iters: 1 iters: 20 agg iters: 1 validation: 1
  void read_method(const std::vector<std::string>& words) {
    for (std::size_t i = 1; i + 1 < words.size(); ++i) {
      if (words[i] != "iters:") continue;
      const std::int64_t count = number<std::int64_t>(words[i + 1]).value_or(0);
      if (words[i - 1] == "warmup") {
        const std::string text = std::to_string(count);
        std::string& told =
            to_.header.device.details.try_emplace("warmup_iters", text).first->second;
        if (told != text) told = kUnknown;  // of several tables, each with its own
      } else if (count > 0 && count <= kMostRuns / run_.iterations) {
        run_.iterations *= count;
      }
    }
  }

  void row(const std::vector<std::string>& words) {
    const std::vector<std::string>& columns = run_.columns;
    if (columns.empty()) return leave_out("numbers before the columns' heading");
    if (!run_.other.empty()) return;
    if (run_.operation.empty()) {
      throw BadInput(
          fmt::format("{}:{}: expected the line '# Collective test starting: "
                      "all_reduce_perf', or another test's, above, which older versions don't "
                      "print: say which test it was with --operation=all_reduce",
                      where_, line_));
    }
    if (run_.ranks.empty()) {
      throw BadInput(
          fmt::format("{}:{}: expected the lines of 'Using devices' above: how many ranks there "
                      "were isn't known",
                      where_, line_));
    }
    if (words.size() < columns.size() - (columns.back() == "timestamp" ? 1 : 0)) {
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
    std::vector<Half> halves;
    for (std::size_t i = 0; i < columns.size() && i < words.size(); ++i) {
      const char* const wrong = read_cell(columns[i], words[i], one, halves);
      if (wrong == nullptr) continue;
      // What is behind it may be anything; a half before it is whole.
      if (!halves.empty()) halves.pop_back();
      leave_out(halves.empty() ? wrong : fmt::format("in place: {}", wrong));
      break;
    }
    if (one.size < 1) return leave_out("0 bytes");
    for (const Half& half : halves) take(half);
  }

  // nullptr, or what is wrong with it.
  static const char* read_cell(const std::string& column, const std::string& word, NcclRow& one,
                               std::vector<Half>& halves) {
    const bool none = word == "N/A";
    if (column == "size" || column == "count") {
      const auto value = number<std::int64_t>(word);
      if (!value || *value < 0 || static_cast<double>(*value) > kMostCount) {
        return "a size that is none";
      }
      (column == "size" ? one.size : one.count) = *value;
    } else if (column == "type") {
      one.type = word;
    } else if (column == "redop") {
      one.redop = word;
    } else if (column == "root") {
      const auto root = number<std::int64_t>(word);
      if (!root) return "a root that is none: other text runs through the row";
      one.root = *root;
    } else if (column == "time" || column == "cputime") {
      one.in_place = !halves.empty();
      halves.push_back({.row = one, .algbw = {}, .busbw = {}});
      if (none) return nullptr;
      const auto us = number<double>(word);
      if (!us) return "a time that is none: other text runs through the row";
      if (is_time(*us)) halves.back().row.time_s = {*us * 1e-6};
    } else if (halves.empty() || none) {
      return nullptr;
    } else if (column == "algbw" || column == "busbw") {
      if (!number<double>(word)) return "a bandwidth that is none: other text runs through the row";
      (column == "algbw" ? halves.back().algbw : halves.back().busbw) = printed(word);
    } else if (column == "#wrong") {
      const auto wrong = number<double>(word);
      if (!wrong || !(*wrong >= 0 && *wrong < kMostCount)) {
        return "a count of wrong elements that is none";
      }
      halves.back().row.wrong = *wrong;
    }
    return nullptr;
  }

  void take(const Half& half) {
    const NcclRow& row = half.row;
    if (row.time_s.empty() && !(row.wrong > 0)) {
      return leave_out(row.in_place ? "no time in place" : "no time out of place");
    }
    if (half.algbw && half.busbw) {
      const bool old = std::ranges::find(run_.columns, "error") != run_.columns.end();
      const std::string why = contradiction(row, *half.algbw, *half.busbw, old);
      if (!why.empty()) return leave_out(why);
    }
    to_.rows.push_back(to_measurement(row));
  }

  const std::string& where_;
  const std::string& given_;
  const std::string prefix_;
  Imported& to_;
  std::size_t line_ = 0;
  Run run_;
  std::string next_;  // a program whose table hasn't begun
};

}  // namespace

void import_nccl_text(std::string_view text, const std::string& where, const std::string& operation,
                      Imported& to) {
  to.header.program = "nccl-tests";
  const std::string prefix = prefix_in(text);
  Text reader(where, operation, prefix, to);
  std::size_t number_of_line = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    reader.line(text.substr(0, end), ++number_of_line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (to.rows.empty() && !prefix.empty()) {
    to.left_out.insert(to.left_out.begin(),
                       fmt::format("{}: lines begin with '{}', and not all with the same", where,
                                   shortened(prefix)));
  }
  for (const Measurement& row : to.rows) {
    to.header.device.count = std::max(to.header.device.count, row.ranks);
  }
  number_repetitions(to);
  warn_of_one_rank(where, to);
  if (to.header.device.kind == "cpu") to.header.device.count = 1;
}

}  // namespace trainmeter
