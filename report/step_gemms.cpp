// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rows whose notes name a step's GEMM, gathered by step and type.
#include "report/step_gemms.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/rate_lines.hpp"
#include "report/story.hpp"
#include "workload/decode_gemms.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::size_t kMissingShown = 6;
constexpr std::string_view kDecode = "decode:";  // the pass of a decode step, before its sequences

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> out;
  std::size_t from = 0;
  for (std::size_t to = 0; to != std::string::npos; from = to + by.size()) {
    to = text.find(by, from);
    out.push_back(text.substr(from, to == std::string::npos ? to : to - from));
  }
  return out;
}

struct Entry {
  std::string model, name, pass;
  double count = 0;
};

// "deepseek-v3 q_b fprop x 61"; a model may be a file whose path has blanks.
std::optional<Entry> entry_of(const std::string& text) {
  std::vector<std::string> words = split(text, " ");
  if (words.size() < 5 || words[words.size() - 2] != "x") return std::nullopt;
  Entry out;
  const std::string& count = words.back();
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), out.count);
  if (error != std::errc{} || end != count.data() + count.size() || !(out.count > 0) ||
      !std::isfinite(out.count))
    return std::nullopt;
  out.pass = words[words.size() - 3];
  out.name = words[words.size() - 4];
  words.resize(words.size() - 4);
  for (const std::string& word : words) out.model += (out.model.empty() ? "" : " ") + word;
  return out;
}

std::string note(const Measurement& m, const char* key) {
  const auto found = m.notes.find(key);
  return found == m.notes.end() ? "" : found->second;
}

// "8192 tokens, tp 1, ep 64" of "deepseek-v3 tokens:8192 tp:1 ep:64".
std::string step_of(const Measurement& m, const Entry& entry) {
  std::string decoding;
  if (entry.pass.starts_with(kDecode)) {
    const std::string sequences = entry.pass.substr(kDecode.size());
    decoding = "decoding " + sequences + (sequences == "1" ? " sequence" : " sequences");
  }
  for (const std::string& step : split(note(m, "step"), "; ")) {
    if (!step.starts_with(entry.model + " ")) continue;
    std::string out;
    for (const std::string& word : split(step.substr(entry.model.size() + 1), " ")) {
      const std::size_t colon = word.find(':');
      const std::string key = word.substr(0, colon);
      const std::string value = colon == std::string::npos ? "" : word.substr(colon + 1);
      if (!out.empty()) out += ", ";
      if (key == "tokens") {
        out += value + " tokens";
      } else {
        out += key == "decode" ? decoding : fmt::format("{} {}", key, value);
      }
    }
    return out;
  }
  return decoding;
}

std::string type_of(const Measurement& m, const Header& header) {
  std::string out = m.dtype;
  if (m.scaling == "tensor") out += ", scales of tensors";
  if (header.device.kind == "gpu" && m.sms < header.device.sms)
    out += fmt::format(", on {} SMs", m.sms);
  return out + (header.discipline.regime.empty() ? "" : ", " + header.discipline.regime);
}

// On all of the device or on a share of it.
bool counts(const Measurement& m, const Header& header) {
  Measurement on_all = m;
  on_all.sms = header.device.sms;
  return (m.operation == "gemm" || m.operation == "grouped_gemm") && gives_rate(on_all, header);
}

// What else was measured of a GEMM: kinds of which one stands for it, and in a kind shapes, which
// add up to it (experts of unequal sizes), each with its fastest row.
using Shape = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
struct Measured {
  bool grouped = false;
  std::map<Shape, std::pair<bool, StepGemm>> by_shape;  // and whether C was added to

  void take(const Measurement& m, StepGemm gemm) {
    const bool is_grouped = m.operation == "grouped_gemm";
    if (is_grouped && !grouped) by_shape.clear();
    if (grouped && !is_grouped) return;
    grouped = is_grouped;
    const bool adds = m.shape.contains("accumulate");
    const RatePoint& p = gemm.point;
    const auto [at, fresh] = by_shape.try_emplace({p.m, p.n, p.k, p.groups}, adds, gemm);
    if (fresh) return;
    auto& [added, best] = at->second;
    if (adds != added ? adds : gemm.time_s < best.time_s) at->second = {adds, std::move(gemm)};
  }
};

// Of the lines that are a step's GEMMs those that are their case's rate, among lines that stand for
// the same GEMMs.
std::set<const Line*> rates_of_steps(const std::vector<Record>& records) {
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<RateLine>> alike;
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      const Measurement& m = line.measurement;
      if (!m.notes.contains("in_step") || !counts(m, record.header_of(line))) continue;
      const std::string step = note(m, "step");
      alike[{note(m, "in_step"), step, step.empty() ? m.session : ""}].push_back({&record, &line});
    }
  }
  std::set<const Line*> out;
  for (const auto& [gemms, lines] : alike) {
    for (const RateLine& of : one_a_case(lines)) out.insert(of.line);
  }
  return out;
}

class Steps {
 public:
  void take(const Record& record, const Line& line) {
    const Measurement& m = line.measurement;
    const Header& header = record.header_of(line);
    for (const std::string& text : split(m.notes.at("in_step"), "; ")) {
      const std::optional<Entry> entry = entry_of(text);
      if (!entry) continue;
      const bool decodes = entry->pass.starts_with(kDecode);
      const std::string step = step_of(m, *entry);
      // Records of before the note `step` don't say of how many tokens: each start has its own.
      const Key key{entry->model, step, step.empty() ? m.session : "", type_of(m, header)};
      const auto [at, fresh] = places_.try_emplace(key, found_.size());
      if (fresh) {
        found_.emplace_back();
        found_.back().step = {.model = entry->model, .step = step, .type = type_of(m, header)};
        found_.back().decodes = decodes;
      }
      const MedianEstimate time = median_time(m);
      found_[at->second].take(*entry, m,
                              {.name = entry->name,
                               .pass = decodes ? "" : entry->pass,
                               .count = entry->count,
                               .point = point_of(record, line),
                               .time_s = time.median,
                               .flops = m.flops,
                               .bytes = m.bytes});
    }
  }

  std::vector<StepGemms> done(const Library& library) {
    std::vector<StepGemms> out;
    const std::vector<std::string> known = library.ids("models");
    for (Found& one : found_) {
      StepGemms& step = one.step;
      std::set<std::pair<std::string, std::string>> seen;
      for (const auto& key : one.order) {
        seen.insert(key);
        for (auto& [shape, gemm] : one.gemms.at(key).by_shape)
          step.gemms.push_back(std::move(gemm.second));
      }
      if (std::ranges::find(known, step.model) != known.end()) {
        const Model model = library.model(step.model);
        for (const GemmWork& work : one.decodes ? decode_gemms(model, 1) : step_gemms(model, 1)) {
          const std::string pass = one.decodes ? "" : std::string(to_string(work.pass));
          if (seen.insert({work.name, pass}).second)
            step.missing.push_back(work.name + (pass.empty() ? "" : " " + pass));
        }
      }
      out.push_back(std::move(step));
    }
    return out;
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  struct Found {
    StepGemms step;
    bool decodes = false;
    std::map<std::pair<std::string, std::string>, Measured> gemms;  // by name and pass
    std::vector<std::pair<std::string, std::string>> order;

    void take(const Entry& entry, const Measurement& m, StepGemm gemm) {
      const std::pair key(entry.name, gemm.pass);
      if (!gemms.contains(key)) order.push_back(key);
      gemms[key].take(m, std::move(gemm));
    }
  };

  std::map<Key, std::size_t> places_;
  std::vector<Found> found_;
};

std::string shown_sizes(const RatePoint& p) {
  const std::string groups = p.groups > 1 ? fmt::format(" in {} groups", p.groups) : "";
  const std::int64_t rows = p.operation == "grouped_gemm" ? p.m : p.m * p.groups;
  return fmt::format("{} x {} x {}{}", rows, p.n, p.k, groups);
}

// The table of one model's step; `types`: the same step in each.
void add_table(const std::vector<const StepGemms*>& types, Document& out) {
  const StepGemms& first = *types.front();
  out.emplace_back(
      Heading{3, first.model + (first.step.empty() ? ", a micro-batch" : ": " + first.step)});
  Table table{{"GEMM", "m x n x k", ">in a step"}, {}};
  for (const StepGemms* type : types) table.columns.push_back(">" + type->type);
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> rows;
  for (std::size_t i = 0; i < types.size(); ++i) {
    for (const StepGemm& gemm : types[i]->gemms) {
      const std::string sizes = shown_sizes(gemm.point);
      const auto [at, fresh] = rows.try_emplace({gemm.name, gemm.pass, sizes}, table.rows.size());
      if (fresh) {
        table.rows.push_back({gemm.name + (gemm.pass.empty() ? "" : " " + gemm.pass), sizes,
                              fmt::format("{:.6g}", gemm.count)});
        table.rows.back().resize(table.columns.size(), "-");
      }
      table.rows[at->second][3 + i] =
          fmt::format("{} ({})", format_flops(gemm.point.value), gemm.point.backend);
    }
  }
  std::vector<Text> together = {"together", "", ""};
  std::vector<Text> notes;
  for (const StepGemms* type : types) {
    const double time_s = type->time_s();
    std::string text =
        fmt::format("{}, {}", format_seconds(time_s), format_flops(rate(type->flops(), time_s)));
    if (type->step.starts_with("decoding"))
      text += ", " + format_bandwidth(rate(type->bytes(), time_s));
    together.emplace_back(text);
    if (type->missing.empty()) continue;
    std::string missing;
    for (std::size_t i = 0; i < std::min(kMissingShown, type->missing.size()); ++i)
      missing += (i == 0 ? "" : ", ") + type->missing[i];
    if (type->missing.size() > kMissingShown)
      missing += fmt::format(" and {} more", type->missing.size() - kMissingShown);
    notes.emplace_back(
        fmt::format("{}: together without what wasn't measured: {}", type->type, missing));
  }
  table.rows.push_back(std::move(together));
  out.emplace_back(std::move(table));
  if (!notes.empty()) out.emplace_back(Bullets{std::move(notes)});
}

double sum_of(const std::vector<StepGemm>& gemms, double StepGemm::*what) {
  double sum = 0;
  for (const StepGemm& gemm : gemms) sum += gemm.count * gemm.*what;
  return sum;
}

}  // namespace

double StepGemms::time_s() const {
  return sum_of(gemms, &StepGemm::time_s);
}

double StepGemms::flops() const {
  return sum_of(gemms, &StepGemm::flops);
}

double StepGemms::bytes() const {
  return sum_of(gemms, &StepGemm::bytes);
}

std::vector<StepGemms> steps_of(const std::vector<Record>& records, const Library& library) {
  const std::set<const Line*> rates = rates_of_steps(records);
  Steps steps;
  for (const Record& record : records)
    for (const Line& line : record.lines) {
      if (rates.contains(&line)) steps.take(record, line);
    }
  return steps.done(library);
}

Document to_document(const std::vector<StepGemms>& steps) {
  Document out;
  if (steps.empty()) return out;
  out.emplace_back(Heading{2, "The GEMMs of a model's step"});
  std::vector<std::vector<const StepGemms*>> tables;
  for (const StepGemms& step : steps) {
    // Without a step that is said, two of one type are of different starts.
    const auto same = std::ranges::find_if(tables, [&](const std::vector<const StepGemms*>& of) {
      return of.front()->model == step.model && of.front()->step == step.step &&
             std::ranges::none_of(of, [&](const StepGemms* one) { return one->type == step.type; });
    });
    if (same == tables.end()) {
      tables.push_back({&step});
    } else {
      same->push_back(&step);
    }
  }
  out.emplace_back(Paragraph{
      "Of one GPU, over all layers of a micro-batch or of a decode step, each by its fastest "
      "backend, "
      "alone: what lies between them, and what they lose in a step, isn't in the sum. Weight "
      "gradients are added to a sum in fp32 where that was measured; experts are one GEMM of "
      "groups "
      "where there is one, else each by itself."});
  for (const auto& types : tables) add_table(types, out);
  return out;
}

nlohmann::ordered_json to_json(const StepGemms& step) {
  auto gemms = nlohmann::ordered_json::array();
  for (const StepGemm& gemm : step.gemms) {
    gemms.push_back({{"gemm", gemm.name},
                     {"pass", gemm.pass.empty() ? "decode" : gemm.pass},
                     {"count", gemm.count},
                     {"name", gemm.point.name},
                     {"time_s", gemm.time_s},
                     {"flops_per_s", gemm.point.value},
                     {"origin", gemm.point.origin}});
  }
  return {{"model", step.model},
          {"step", step.step},
          {"type", step.type},
          {"time_s", step.time_s()},
          {"flops_per_s", rate(step.flops(), step.time_s())},
          {"missing", step.missing},
          {"gemms", std::move(gemms)}};
}

}  // namespace trainmeter
