// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads a file whole, sees what it is, and gives all of its rows one header.
#include "report/import.hpp"

#include "record/error.hpp"
#include "record/sha256.hpp"
#include "record/text_limits.hpp"

#include <fmt/format.h>

namespace trainmeter {
namespace {

// As some editors and Windows' shells begin a file.
std::string_view without_mark(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

// Where an object may begin: lines whose first character is a brace. Warnings, and others' objects,
// may be printed before it, so there may be several.
std::vector<std::size_t> beginnings(std::string_view text) {
  constexpr std::size_t kMost = 16;  // each is tried
  std::vector<std::size_t> out;
  for (std::size_t line = 0; line < text.size() && out.size() < kMost;) {
    const std::size_t first = text.find_first_not_of(" \t\r", line);
    if (first != std::string_view::npos && text[first] == '{') out.push_back(first);
    const std::size_t end = text.find('\n', line);
    line = end == std::string_view::npos ? text.size() : end + 1;
  }
  return out;
}

// Google Benchmark and nccl-tests print what is no number bare, which JSON has no word for.
std::string without_nan(std::string_view text) {
  std::string out;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (!quoted) {
      bool replaced = false;
      for (const std::string_view word : {"-Infinity", "Infinity", "-NaN", "NaN", "-nan", "nan"}) {
        if (!text.substr(i).starts_with(word)) continue;
        out += "null";
        i += word.size() - 1;
        replaced = true;
        break;
      }
      if (replaced) continue;
    }
    out += text[i];
    if (quoted && text[i] == '\\' && i + 1 < text.size()) out += text[++i];
  }
  return out;
}

nlohmann::json parsed(std::string_view object, const std::string& where) {
  refuse_depth(object, where);
  try {
    return nlohmann::json::parse(without_nan(object));
  } catch (const nlohmann::json::exception& error) {
    constexpr std::size_t kLongestWhy = 200;  // it quotes what it read last
    throw BadInput(fmt::format("{}: not JSON: {}", where, shortened(error.what(), kLongestWhy)));
  }
}

// Only nccl-tests' own words matter here, and a record is UTF-8.
std::string plain(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return text;
}

Header blank_header(const std::filesystem::path& file, const std::string& hash) {
  Header header;
  header.session = "import-" + hash;
  header.program = header.version = header.git_revision = header.started_at = header.host =
      kUnknown;
  header.command = {"trainmeter", "import", plain(file.filename().string())};
  header.device.kind = "gpu";
  header.device.name = kUnknown;
  header.device.details["original_sha256"] = hash;
  header.discipline.timer = header.discipline.data = header.discipline.cache = kUnknown;
  return header;
}

// By its first line, a header.
bool is_record(std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  std::erase(line, ' ');
  return line.starts_with('{') && line.find(R"("kind":"header")") != std::string::npos &&
         line.find(R"("schema":)") != std::string::npos;
}

using Import = void (*)(const nlohmann::json&, const std::string&, Imported&);

Import reader_of(const nlohmann::json& json) {
  if (json.contains("nvbandwidth")) return import_nvbandwidth;
  if (json.contains("benchmarks")) return import_google;
  if (json.contains("results")) return import_nccl_json;
  return nullptr;
}

void import_any(const std::string& where, const std::string& operation, Imported& out) {
  const std::string_view text = without_mark(out.original);
  if (is_record(text)) {
    throw BadInput(where + ": is a record already: expected another tool's output");
  }
  const std::size_t end = text.rfind('}');
  std::string why_none;  // of the first
  for (const std::size_t begin : beginnings(text)) {
    if (end == std::string_view::npos || end < begin) break;
    nlohmann::json json;
    try {
      json = parsed(text.substr(begin, end + 1 - begin), where);
    } catch (const BadInput& error) {
      if (why_none.empty()) why_none = error.what();
      continue;
    }
    const Import import = reader_of(json);
    if (import == nullptr) continue;
    if (!operation.empty())
      throw BadInput(where + ": --operation: expected nccl-tests' text, which may not say it");
    return import(json, where, out);
  }
  if (text.find("busbw") != std::string_view::npos) {  // as no object has it
    return import_nccl_text(plain(std::string(text)), where, operation, out);
  }
  if (!why_none.empty()) throw BadInput(why_none);
  throw BadInput(where +
                 ": expected nccl-tests' text or JSON, nvbandwidth's JSON or Google Benchmark's");
}

}  // namespace

Imported import_file(const std::filesystem::path& file, const std::string& operation) {
  Imported out;
  out.original = read_text(file, "a file");
  out.hash = sha256(out.original);
  out.header = blank_header(file, out.hash);
  import_any(file.string(), operation, out);
  if (out.rows.empty()) {
    throw BadInput(file.string() + ": there is no measurement in it" +
                   (out.left_out.empty() ? "" : ": " + out.left_out.front()));
  }
  for (Measurement& row : out.rows) {
    row.session = out.header.session;
    row.at = kUnknown;
  }
  return out;
}

}  // namespace trainmeter
