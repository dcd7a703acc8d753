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

// Warnings that were printed before and behind an object are cut off: it begins at the first line
// that begins with a brace.
std::string_view object_in(std::string_view text) {
  std::size_t begin = text.starts_with('{') ? 0 : text.find("\n{");
  if (begin == std::string_view::npos) return {};
  if (text[begin] == '\n') ++begin;
  const std::size_t end = text.rfind('}');
  if (end == std::string_view::npos || end < begin) return {};
  return text.substr(begin, end + 1 - begin);
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

void import_any(const std::string& where, const std::string& operation, Imported& out) {
  if (is_record(out.original)) {
    throw BadInput(where + ": is a record already: expected another tool's output");
  }
  const std::string_view object = object_in(out.original);
  if (!object.empty()) {
    if (!operation.empty())
      throw BadInput(where + ": --operation: expected nccl-tests' text, which may not say it");
    const nlohmann::json json = parsed(object, where);
    if (json.contains("nvbandwidth")) return import_nvbandwidth(json, where, out);
    if (json.contains("benchmarks")) return import_google(json, where, out);
    if (json.contains("results")) return import_nccl_json(json, where, out);
  } else if (out.original.find("busbw") != std::string::npos) {
    return import_nccl_text(plain(out.original), where, operation, out);
  }
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
  if (out.rows.empty()) throw BadInput(file.string() + ": there is no measurement in it");
  for (Measurement& row : out.rows) {
    row.session = out.header.session;
    row.at = kUnknown;
  }
  return out;
}

}  // namespace trainmeter
