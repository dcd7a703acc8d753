// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The one reader of records, as strict as the writer (writer.cpp) is plain.
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/record.hpp"
#include "record/strict_json.hpp"
#include "record/text_limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace trainmeter {
namespace {

std::int64_t whole(StrictObject& object, std::string_view key) {
  const std::int64_t value = object.integer(key);
  if (value < 0) object.refuse(key, "a whole number of at least 0");
  return value;
}

std::map<std::string, std::string> text_map(StrictObject& object, std::string_view key) {
  const auto& value = object.raw(key);
  if (!value.is_object()) object.refuse(key, "an object of strings");
  std::map<std::string, std::string> out;
  for (const auto& item : value.items()) {
    if (!item.value().is_string()) object.refuse(key, "an object of strings");
    out[item.key()] = item.value().get<std::string>();
  }
  return out;
}

std::vector<double> positive_numbers(StrictObject& object, std::string_view key) {
  std::vector<double> values = object.numbers(key);
  if (!std::ranges::all_of(values, [](double x) { return x > 0; })) {
    object.refuse(key, "numbers above 0");
  }
  return values;
}

Device read_device(StrictObject object) {
  Device device;
  device.kind = object.one_of("kind", {"cpu", "gpu"});
  device.name = object.text("name");
  device.count = object.count("count");
  device.sms = whole(object, "sms");
  device.memory_bytes = whole(object, "memory_bytes");
  device.last_level_cache_bytes = whole(object, "last_level_cache_bytes");
  device.details = text_map(object, "details");
  object.finish();
  return device;
}

Discipline read_discipline(StrictObject object) {
  Discipline discipline;
  discipline.timer = object.text("timer");
  discipline.data = object.text("data");
  discipline.cache = object.text("cache");
  discipline.warmup_s = object.non_negative("warmup_s");
  discipline.min_time_s = object.non_negative("min_time_s");
  discipline.min_samples = whole(object, "min_samples");
  // Records from before there was a stop rule lack these.
  discipline.regime = object.optional(&StrictObject::text, "regime").value_or("");
  discipline.target = object.optional(&StrictObject::non_negative, "target").value_or(0);
  discipline.max_time_s = object.optional(&StrictObject::non_negative, "max_time_s").value_or(0);
  object.finish();
  return discipline;
}

Header read_header(StrictObject& object) {
  if (const std::int64_t schema = object.count("schema"); schema != kRecordSchema) {
    object.refuse("schema",
                  fmt::format("{}, which this program reads{}", kRecordSchema,
                              schema > kRecordSchema
                                  ? fmt::format("; schema {} needs a newer trainmeter", schema)
                                  : ""));
  }
  Header header;
  (void)object.text("kind");
  header.session = object.text("session");
  header.program = object.text("program");
  header.version = object.text("version");
  header.git_revision = object.text("git_revision");
  header.started_at = object.text("started_at");
  header.host = object.text("host");
  header.command = object.texts("command");
  header.device = read_device(object.object("device"));
  header.discipline = read_discipline(object.object("discipline"));
  header.software = text_map(object, "software");
  header.environment = text_map(object, "environment");
  object.finish();
  return header;
}

// Sizes are at least 1; what numbers a place (a NUMA node, a GPU) or says yes or no may be 0.
bool may_be_zero(const std::string& key) {
  return key == "node" || key == "from" || key == "to" || key == "pinned" || key == "device";
}

std::map<std::string, std::int64_t> read_shape(StrictObject& object) {
  const auto& value = object.raw("shape");
  StrictObject shape = object.object("shape");
  std::map<std::string, std::int64_t> out;
  for (const auto& item : value.items()) {
    const std::string& key = item.key();
    out[key] = may_be_zero(key) && shape.integer(key) == 0 ? 0 : shape.count(key);
  }
  return out;
}

// What was imported from other programs may not say its element type.
const std::vector<std::string>& known_or_unknown() {
  static const std::vector<std::string> kWords = [] {
    std::vector<std::string> words = dtype_names();
    words.emplace_back("unknown");
    return words;
  }();
  return kWords;
}

// "first" and "last" of some of `samples` samples.
std::pair<std::int64_t, std::int64_t> read_range(StrictObject& one, std::int64_t samples) {
  const std::pair range{whole(one, "first"), whole(one, "last")};
  if (!(range.first <= range.second && range.second < samples)) {
    one.refuse("last", fmt::format("a sample from {} to {}", range.first, samples - 1));
  }
  return range;
}

std::vector<Mark> read_marks(StrictObject& object, std::int64_t samples) {
  std::vector<Mark> out;
  for (StrictObject& one : object.objects("marks")) {
    const auto [first, last] = read_range(one, samples);
    out.push_back({first, last, one.text("why")});
    one.finish();
  }
  return out;
}

std::vector<Stretch> read_stretches(StrictObject& object, std::int64_t samples) {
  std::vector<Stretch> out;
  for (StrictObject& one : object.objects("stretches")) {
    const auto [first, last] = read_range(one, samples);
    out.push_back({first, last, one.optional(&StrictObject::positive, "energy_j"),
                   one.optional(&StrictObject::positive, "sm_clock_hz")});
    one.finish();
  }
  return out;
}

std::vector<Probe> read_probes(StrictObject& object) {
  std::vector<Probe> out;
  for (StrictObject& one : object.objects("probes")) {
    out.push_back({whole(one, "before"), one.positive("compute_s"), one.positive("copy_s")});
    one.finish();
  }
  return out;
}

Measurement read_measurement(StrictObject& object) {
  Measurement m;
  (void)object.text("kind");
  m.session = object.text("session");
  m.name = object.text("name");
  m.operation = object.text("operation");
  m.dtype = object.one_of("dtype", known_or_unknown());
  m.backend = object.text("backend");
  m.shape = read_shape(object);
  m.layout = object.text("layout");
  m.scaling = object.one_of("scaling", {"none", "tensor", "block128"});
  m.flops = object.non_negative("flops");
  m.bytes = object.non_negative("bytes");
  m.ranks = object.count("ranks");
  m.sms = whole(object, "sms");
  m.beside = object.text("beside");
  m.at = object.text("at");
  m.repetition = whole(object, "repetition");
  m.paired_with = object.text("paired_with");
  m.verified = object.boolean("verified");
  m.check = object.text("check");
  m.failure = object.text("failure");
  m.error =
      object.has("error") ? object.non_negative("error") : std::numeric_limits<double>::infinity();
  m.error_bound = object.non_negative("error_bound");
  m.time_s = positive_numbers(object, "time_s");
  m.runs_per_sample = object.count("runs_per_sample");
  m.sm_clock_hz = object.numbers("sm_clock_hz");
  m.power_w = object.numbers("power_w");
  m.temperature_c = object.numbers("temperature_c");
  m.throttle_reasons = object.texts("throttle_reasons");
  // Records from before there was a stop rule lack these.
  m.stopped = object.optional(&StrictObject::text, "stopped").value_or("");
  const auto samples = static_cast<std::int64_t>(m.time_s.size());
  if (object.has("marks")) m.marks = read_marks(object, samples);
  if (object.has("probes")) m.probes = read_probes(object);
  m.energy_j = object.optional(&StrictObject::positive, "energy_j");
  if (object.has("energy_steps")) m.energy_steps = whole(object, "energy_steps");
  if (object.has("stretches")) m.stretches = read_stretches(object, samples);
  if (object.has("notes")) m.notes = text_map(object, "notes");
  object.finish();
  if (m.failure.empty() && m.time_s.empty())
    object.refuse("time_s", "samples, or a `failure` that says why there are none");
  return m;
}

void refuse_length(std::uint64_t bytes, const std::filesystem::path& file) {
  if (bytes <= kLongestRecord) return;
  throw BadInput(fmt::format("{}: expected a record of at most {} GiB, found a longer one",
                             file.string(), kLongestRecord >> 30));
}

}  // namespace

Measurement measurement_from_json_line(const std::string& line) {
  const nlohmann::json json = nlohmann::json::parse(line);
  StrictObject object(json, "a device's row");
  return read_measurement(object);
}

Record read_record(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw BadInput(fmt::format("{}: is a folder; expected a record (JSON Lines)", file.string()));
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) refuse_unreadable(file);
  const auto size = std::filesystem::file_size(file, ignored);
  if (!ignored) refuse_length(size, file);  // before it is read; of a pipe nobody knows it
  Record record;
  record.file = file;
  std::unordered_map<std::string, std::size_t> headers;  // by session
  std::uint64_t bytes = 0;
  // Of address space; no more memory than the longest line takes.
  static thread_local const auto buffer = std::make_unique_for_overwrite<char[]>(kLongestText);
  for (std::size_t number = 1; in.getline(buffer.get(), kLongestText) || in.gcount() > 0;
       ++number) {
    const std::string where = fmt::format("{}:{}", file.string(), number);
    if (in.fail()) {
      throw BadInput(fmt::format("{}: expected a line of less than {} MiB, found a longer one",
                                 where, kLongestText >> 20));
    }
    refuse_length(bytes += static_cast<std::uint64_t>(in.gcount()), file);
    const std::string_view text(buffer.get(), static_cast<std::size_t>(in.gcount()) - !in.eof());
    if (in.eof()) {  // no newline: a program was killed while it wrote this line
      record.warnings.push_back(where + ": the last line was cut off in mid-write; it is left out");
      break;
    }
    refuse_depth(text, where);
    nlohmann::json json;
    try {
      json = nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception&) {
      throw BadInput(where + ": not JSON; expected one object a line");
    }
    refuse_repeated_keys(text, json, where);
    StrictObject object(json, where);
    const std::string kind = object.one_of("kind", {"header", "measurement"});
    if (kind == "header") {
      Header header = read_header(object);
      if (!headers.emplace(header.session, record.headers.size()).second)
        object.refuse("session", "a session that no earlier header has");
      record.headers.push_back(std::move(header));
      continue;
    }
    Measurement measurement = read_measurement(object);
    const auto header = headers.find(measurement.session);
    if (header == headers.end())
      object.refuse("session", "the session of a header above this line");
    record.lines.push_back({std::move(measurement), header->second, number});
  }
  if (in.bad()) throw BadInput(fmt::format("{}: reading failed", file.string()));
  if (record.headers.empty()) {
    throw BadInput(fmt::format("{}: not a record: it has no header line", file.string()));
  }
  return record;
}

}  // namespace trainmeter
