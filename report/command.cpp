// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Files in, files out, and option checks with one clear line each.
#include "report/command.hpp"

#include "record/error.hpp"
#include "record/text_limits.hpp"
#include "report/cases.hpp"
#include "report/import.hpp"
#include "report/predict.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace trainmeter {

namespace fs = std::filesystem;

constexpr std::size_t kLongestHeader = std::size_t{1} << 20;  // that is read to find the newest

bool will_be_regular(const std::string& file) {
  // What is open already, even if that's a regular file by another name.
  for (const char* open : {"/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/"}) {
    if (file.starts_with(open)) return false;
  }
  std::error_code ignored;
  const fs::file_status there = fs::status(file, ignored);
  return fs::is_regular_file(there) || (!fs::exists(there) && !fs::is_symlink(file, ignored));
}

namespace {

// The file's first header, without reading on; null where its first line is none.
nlohmann::json header_in(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string line;
  for (char c = 0; in.get(c) && c != '\n' && line.size() < kLongestHeader;) line += c;
  nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  const bool is_header = json.is_object() && json.value("kind", nlohmann::json()) == "header";
  return is_header ? std::move(json) : nlohmann::json();
}

}  // namespace

void require_writable(const std::string& file) {
  // A record is measurements that may have taken days: none is replaced.
  if (will_be_regular(file) && !header_in(file).is_null())
    throw BadInput(file + ": is a record, which nothing replaces: expected another file");
  std::error_code ignored;
  const fs::path folder = fs::path(file).has_parent_path() ? fs::path(file).parent_path() : ".";
  const fs::path asked = fs::exists(file, ignored) ? fs::path(file) : folder;
  const bool can_be = ::access(asked.c_str(), W_OK) == 0;
  if (can_be && !fs::is_directory(file, ignored)) return;
  throw BadInput(file + ": cannot be written: " + std::strerror(can_be ? EISDIR : errno));
}

namespace {

// To the file where `place` is; messages name `file`.
void write_in_place(const std::string& place, const std::string& text, const std::string& file) {
  std::ofstream out(place, std::ios::binary);
  if (!out) throw BadInput(file + ": cannot be written: " + std::strerror(errno));
  if (!(out << text).flush())
    throw EnvironmentFailed(file + ": writing failed: " + std::strerror(errno));
}

}  // namespace

void write_file(const std::string& file, const std::string& text) {
  require_writable(file);
  if (!will_be_regular(file)) return write_in_place(file, text, file);
  std::error_code failed;
  const fs::path whole = fs::exists(file, failed) ? fs::canonical(file, failed) : fs::path(file);
  const std::string part = fmt::format("{}.{}.part", whole.string(), ::getpid());
  if (!std::ofstream(part, std::ios::binary))  // only the file itself can be written
    return write_in_place(file, text, file);
  try {
    write_in_place(part, text, file);
    if (fs::exists(whole, failed)) fs::permissions(part, fs::status(whole).permissions(), failed);
    fs::rename(part, whole, failed);
    if (failed) throw EnvironmentFailed(file + ": writing failed: " + failed.message());
  } catch (...) {
    fs::remove(part, failed);
    throw;
  }
}

void require_no_input_replaced(const CLI::App& command) {
  for (const char* name : {"--output", "--drain", "--write_run"}) {
    const CLI::Option* target = command.get_option_no_throw(name);
    if (target == nullptr || target->empty() || !will_be_regular(target->results().back()))
      continue;
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& input : option->results()) {
        std::error_code none;
        if (option != target && fs::equivalent(input, target->results().back(), none)) {
          throw BadInput(fmt::format("{}: is read by this command: expected another file for {}",
                                     input, name));
        }
      }
    }
  }
}

// To the file, or to stdout where none is named.
void put(const std::string& file, const std::string& text) {
  if (!file.empty()) {
    write_file(file, text);
  } else if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
             std::fflush(stdout) != 0) {
    throw EnvironmentFailed(std::string("stdout: writing failed: ") + std::strerror(errno));
  }
}

std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) fmt::print(stderr, "warning: {}\n", visible(warning));
}

void Output::options(CLI::App& app) {
  app.add_option("--format", format, "text, md or json")
      ->check(CLI::IsMember({"text", "md", "json"}));
  app.add_option("-o,--output", file, "write here instead of to stdout");
}

void Output::write(const Document& document,
                   const std::function<nlohmann::ordered_json()>& json) const {
  if (format == "json") {
    put(file, dumped(json()));
  } else if (format == "md") {
    put(file, to_markdown(document));
  } else {
    TextStyle style = file.empty() ? style_of_stdout() : TextStyle{};
    style.ascii = ascii;
    put(file, to_text(document, style));
  }
}

namespace {

// By the file's first header; "" where it says none, as imports do.
std::string started_at(const fs::path& file) {
  const nlohmann::json header = header_in(file);
  if (header.is_null() || !header.contains("started_at")) return "";
  const nlohmann::json& started = header.at("started_at");
  return started.is_string() && started != kUnknown ? started.get<std::string>() : "";
}

// Not by the file's time, which is another in each clone.
fs::path newest_in(const std::string& folder) {
  std::vector<std::pair<std::string, fs::path>> found;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
    if (entry.path().extension() == ".jsonl")
      found.emplace_back(started_at(entry.path()), entry.path());
  }
  if (found.empty()) throw BadInput(folder + ": no record (*.jsonl) in this folder");
  const fs::path newest = std::ranges::max(found).second;
  if (found.size() > 1) {
    fmt::print(stderr, "{}: the newest record there is {}; others left out: {}\n", folder,
               newest.string(), found.size() - 1);
  }
  return newest;
}

}  // namespace

std::vector<Record> read_records(const std::vector<std::string>& names) {
  std::vector<Record> out;
  for (const std::string& name : names) {
    std::error_code ignored;
    out.push_back(read_record(fs::is_directory(name, ignored) ? newest_in(name) : fs::path(name)));
    warn(out.back().warnings);
  }
  std::vector<std::string> copies;
  leave_out_copies(out, copies);
  warn(copies);
  return out;
}

void add_rates_option(CLI::App& app, std::vector<std::string>& rates, const std::string& about) {
  app.add_option("--rates", rates, about)
      ->option_text("RECORD[,RECORD...]")
      ->allow_extra_args(false)
      ->delimiter(',');
}

std::vector<Record> records_in(const std::string& list) {
  std::vector<Record> out = read_record_list(list);
  for (const Record& record : out) warn(record.warnings);
  return out;
}

// CLI11's own range checks print the largest double, 309 digits long, as the upper end.
CLI::Validator number_above_0() {
  return {[](std::string& text) {
            double value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, failed] = std::from_chars(text.data(), end, value);
            const bool good = failed == std::errc{} && stop == end && std::isnormal(value);
            return good && value > 0 ? ""
                                     : fmt::format("expected a number above 0, found '{}'", text);
          },
          ""};
}

CLI::Validator dollars() {
  return {[](std::string& text) {
            if (std::string refusal = number_above_0()(text); !refusal.empty()) return refusal;
            return std::stod(text) <= kMaxUsdPerGpuHour
                       ? ""
                       : fmt::format("expected at most {} USD a GPU-hour, found '{}'",
                                     kMaxUsdPerGpuHour, text);
          },
          ""};
}

CLI::Validator dollars_or_listings() {
  return {[](std::string& text) { return text == kListings ? "" : dollars()(text); }, ""};
}

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  return {[=](std::string& text) {
            std::int64_t value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, failed] = std::from_chars(text.data(), end, value);
            const bool good = failed == std::errc{} && stop == end;
            return good && value >= least && value <= most
                       ? ""
                       : fmt::format("expected a whole number of {} to {}, found '{}'", least, most,
                                     text);
          },
          ""};
}

CLI::Validator draws() {
  return {[](std::string& text) {
            return text == "0" || whole_number(kLeastDraws, kMostDraws)(text).empty()
                       ? ""
                       : fmt::format("expected 0 (no range) or {} to {}, found '{}'", kLeastDraws,
                                     kMostDraws, text);
          },
          ""};
}

CLI::Validator number_between(double least, double most) {
  return {[=](std::string& text) {
            double value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, failed] = std::from_chars(text.data(), end, value);
            const bool good = failed == std::errc{} && stop == end;
            return good && value >= least && value <= most
                       ? ""
                       : fmt::format("expected a number of {} to {}, found '{}'", least, most,
                                     text);
          },
          ""};
}

}  // namespace trainmeter
