// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Keys of cases and starts, and the lists of records behind them.
#include "report/cases.hpp"

#include "record/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <utility>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

bool whole_device(const Measurement& m, const Header& header) {
  return m.sms == header.device.sms;
}

// What it was timed in turn with, alone: for a ratio, and at other clocks than by itself.
std::string in_turn_with(const Measurement& m) {
  const auto noted = m.notes.find("in_turn");
  return noted == m.notes.end() ? "" : noted->second;
}

void add_records(std::set<fs::path>& files, const fs::path& named) {
  if (std::error_code ignored; !fs::is_directory(named, ignored)) {
    files.insert(named);
    return;
  }
  const std::size_t before = files.size();
  for (const auto& entry :
       fs::recursive_directory_iterator(named, fs::directory_options::skip_permission_denied)) {
    if (entry.path().extension() == ".jsonl") files.insert(entry.path());
  }
  if (files.size() == before)
    throw BadInput(named.string() + ": no record (*.jsonl) in this folder");
}

}  // namespace

std::string case_key(const Measurement& m, const Header& header) {
  std::string shape;
  for (const auto& [key, value] : m.shape) shape += fmt::format("{}:{} ", key, value);
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", m.name, m.operation, m.dtype,
                     m.backend, shape, m.layout, m.scaling, m.ranks, m.beside,
                     whole_device(m, header) ? "all" : std::to_string(m.sms), in_turn_with(m));
}

std::string problem_key(const Measurement& m, const Header& header) {
  Measurement by_any = m;
  by_any.backend.clear();
  const std::string part = m.backend + "/";
  if (const auto at = m.name.find("/" + part); at != std::string::npos)
    by_any.name.erase(at + 1, part.size());
  return case_key(by_any, header);
}

std::string case_title(const Measurement& m, const Header& header) {
  std::string title = m.name;
  if (m.ranks > 1) title += fmt::format("/ranks:{}", m.ranks);
  if (!whole_device(m, header)) title += fmt::format("/sms:{}", m.sms);
  if (m.beside != "none") title += "/beside:" + m.beside;
  if (const std::string other = in_turn_with(m); !other.empty()) title += "/in_turn:" + other;
  return title;
}

std::string device_of(const Measurement& m, const Header& header) {
  if (const auto own = m.notes.find("device"); own != m.notes.end()) return own->second;
  const auto uuid = header.device.details.find("uuid");
  return uuid == header.device.details.end() ? "" : uuid->second;
}

std::optional<Measurement> on_any_device(const Measurement& m) {
  const auto number = m.shape.find("device");
  if (number == m.shape.end() || !m.notes.contains("device")) return std::nullopt;
  Measurement out = m;
  const std::string ending = fmt::format("/device:{}", number->second);
  if (out.name.ends_with(ending)) out.name.resize(out.name.size() - ending.size());
  out.shape.erase("device");
  return out;
}

std::string start_key(const Header& header) {
  return fmt::format("{}\n{}\n{}", header.session, header.started_at, header.host);
}

void leave_out_copies(std::vector<Record>& records, std::vector<std::string>& warnings) {
  std::map<std::string, std::string> seen;  // a row, and the file that has it
  std::vector<Record> out;
  for (Record& record : records) {
    std::map<std::string, std::string> own;
    std::string other;
    const std::size_t copies = std::erase_if(record.lines, [&](const Line& line) {
      const Measurement& m = line.measurement;
      const Header& header = record.header_of(line);
      const std::string row = fmt::format("{}\n{}\n{}\n{}\n{}", start_key(header),
                                          device_of(m, header), m.name, m.repetition, m.at);
      own.emplace(row, record.file.string());
      const auto before = seen.find(row);
      if (before != seen.end()) other = before->second;
      return before != seen.end();
    });
    seen.merge(own);
    if (copies > 0)
      warnings.push_back(fmt::format("{}: {} rows are those of {} once more: they count once",
                                     record.file.string(), copies, other));
    if (copies == 0 || !record.lines.empty()) out.push_back(std::move(record));
  }
  records = std::move(out);
}

std::vector<std::filesystem::path> record_files(const std::string& list) {
  std::set<fs::path> files;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    if (!word.empty()) add_records(files, word);
  }
  if (files.empty()) throw BadInput(fmt::format("'{}': expected a record, found none", list));
  return {files.begin(), files.end()};
}

std::vector<Record> read_record_list(const std::string& list) {
  std::vector<Record> out;
  for (const fs::path& file : record_files(list)) out.push_back(read_record(file));
  return out;
}

}  // namespace trainmeter
