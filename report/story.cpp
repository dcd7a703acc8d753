// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Gathers the parts of a story; story_document.cpp shows them.
#include "report/story.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/samples.hpp"
#include "report/rate_lines.hpp"
#include "report/stages.hpp"
#include "report/story_device.hpp"
#include "report/transfer.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

namespace trainmeter {
namespace {

constexpr double kConfidence = 0.95;

void find_possible(Achieved& a, const Story& story) {
  const RatePoint& p = a.point;
  const auto sheet = "datasheet of " + story.machine.id;
  if (is_compute(p.operation) && p.operation != "fma") {
    const auto peak = story.machine.peak_flops.find(p.dtype);
    if (peak == story.machine.peak_flops.end()) return;
    a.possible = peak->second;
    a.possible_how = story.machine.kind == "gpu" ? sheet : "register loop, measured";
  } else if (is_memory_kernel(p.operation) || is_step_kernel(p.operation) ||
             p.operation == "attention_decode") {
    a.possible = story.machine.memory_bytes_per_s;
    a.possible_how = sheet;
  } else if (p.operation == "allreduce" && story.machine.kind == "gpu") {
    a.possible = story.machine.nvlink_bytes_per_s;
    a.possible_how = sheet;
  }
}

Achieved achieved_of(const Measurement& m, const Header& header, const RatePoint& point) {
  Achieved out{.point = point,
               .possible = {},
               .possible_how = "",
               .interval = {},
               .samples = m.time_s.size(),
               .per_joule = work_per_joule(m)};
  if (const auto time = median_time(m, kConfidence).interval; time && time->low > 0) {
    out.interval = Interval{rate_at(m, header, time->high), rate_at(m, header, time->low)};
  }
  return out;
}

void add_unusable(Story& story, const Record& record, const Line& line) {
  const Measurement& m = line.measurement;
  const std::string what = fmt::format("{}:{}: {}: ", record.file.string(), line.line, m.name);
  if (!m.failure.empty() || m.time_s.empty()) {
    story.failures.push_back(what + (m.failure.empty() ? "no samples" : m.failure));
    return;
  }
  const Header& header = record.header_of(line);
  const RatePoint point = point_of(record, line);
  story.unverified.push_back(fmt::format("{}{}, not verified{}", what,
                                         shown_rate(point, point.value),
                                         imported(header) ? ", imported" : ""));
}

// An import says neither SMs nor memory of its device: links are those of the name.
void find_possible_links(Achieved& a, const Device& device, const Library& library) {
  if (a.possible || a.point.operation != "allreduce" || device.kind != "gpu") return;
  const auto system = system_of_device(device, library);
  if (!system || !system->nvlink_bytes_per_s) return;
  a.possible = system->nvlink_bytes_per_s;
  a.possible_how = "NVLink by the datasheet of " + system->id;
}

void collect_achieved(Story& story, const Library& library) {
  std::map<std::tuple<std::string, std::string, std::string, bool>, Achieved> best;
  std::set<const Line*> rates;
  for (const RateLine& of : one_a_case(rate_lines(story.records))) rates.insert(of.line);
  for (const Record& record : story.records) {
    for (const Line& line : record.lines) {
      const Measurement& m = line.measurement;
      const Header& header = record.header_of(line);
      if (!m.usable()) add_unusable(story, record, line);
      const bool others = imported(header) && m.usable();
      if (!others && !rates.contains(&line)) continue;
      const RatePoint point = point_of(record, line);
      Achieved a = achieved_of(m, header, point);
      a.imported = others;
      find_possible(a, story);
      if (others) find_possible_links(a, header.device, library);
      const auto key = std::tuple(point.operation, point.dtype, point.backend, others);
      const auto found = best.find(key);
      if (found == best.end() || found->second.point.value < point.value)
        best.insert_or_assign(key, a);
      if (is_collective(point.operation)) story.collectives.push_back(std::move(a));
    }
  }
  for (const std::string& operation : operation_names()) {
    std::vector<Achieved> group;
    for (auto& [key, a] : best) {
      if (a.point.operation == operation) group.push_back(a);
    }
    // By dtype as names.hpp orders them, the fastest backend first.
    std::ranges::stable_sort(group, [](const Achieved& x, const Achieved& y) {
      const auto place = [](const Achieved& a) {
        return std::ranges::find(dtype_names(), a.point.dtype);
      };
      return place(x) != place(y) ? place(x) < place(y) : x.point.value > y.point.value;
    });
    story.achieved.insert(story.achieved.end(), group.begin(), group.end());
  }
  std::ranges::stable_sort(story.collectives, std::ranges::less{},
                           [](const Achieved& a) { return a.point.bytes; });
}

// Whether the run's file has the key.
bool says(const Run& run, const std::string& key) {
  return std::ranges::find(run.left_out, key) == run.left_out.end();
}

// The dtype that a run on this machine would train in, by the GEMMs that were measured: the run
// file's own where it names one of them. A datasheet is no measurement of this machine. BadInput
// where none will do.
std::string training_dtype(const Run& run, const RateBook& rates) {
  if (says(run, "precision") && rates.best_gemm(run.precision)) return run.precision;
  for (const char* dtype : {"bf16", "fp16", "fp32"}) {
    if (rates.best_gemm(dtype)) return dtype;
  }
  std::vector<std::string> measured;
  for (const std::string& dtype : dtype_names()) {
    if (rates.best_gemm(dtype)) measured.push_back(dtype);
  }
  if (measured.empty())
    throw BadInput("no GEMM of this machine was measured (gemm_bench), so no rate is known");
  throw BadInput(
      fmt::format("GEMMs were measured in {} alone, and a step of {} needs them in bf16, fp16 or "
                  "fp32 (gemm_bench --dtype=bf16)",
                  fmt::join(measured, " and "), run.id));
}

// What of the user's own choices `here` leaves out.
std::vector<std::string> choices_left_out(const Run& file, const Run& run) {
  std::vector<std::string> out;
  if (says(file, "precision") && file.precision != run.precision) {
    out.push_back(
        fmt::format("precision: {} in place of the run's {}, of which no GEMM was "
                    "measured",
                    run.precision, file.precision));
  }
  if (file.parallel) {
    const std::int64_t batch = run.parallel->microbatch_sequences.value_or(1);
    out.push_back(
        fmt::format("parallel: the run's own layout is left out; as on this machine, dp {}, {} "
                    "sequence{} a micro-batch, no recomputation",
                    run.gpus, batch, batch == 1 ? "" : "s"));
  }
  return out;
}

// The run carried to the measured machine, as predict has it there, but in a layout of this
// machine, which none of its published figures is of.
Run here(const Run& published, const Story& story, const std::string& dtype) {
  Run run = carried_to(published, story.machine);
  run.gpus = 1;
  for (const Record& record : story.records) {
    for (const Header& header : record.headers) {
      if (header.device.kind == story.machine.kind)
        run.gpus = std::max(run.gpus, header.device.count);
    }
  }
  while (run.gpus > 1 && *run.global_batch_sequences % run.gpus != 0) --run.gpus;
  Parallel layout;
  layout.recompute = Recompute::none;
  layout.dp = run.gpus;
  layout.microbatch_sequences =  // gemm_bench --models measures these shapes
      std::max<std::int64_t>(1, kStepTokens.of(story.machine.kind == "gpu") / *run.seq_len);
  run.parallel = layout;
  run.precision = dtype;
  std::erase_if(run.left_out, [](const std::string& key) { return key != "stack"; });
  run.system = story.machine;
  run.published = {};
  return run;
}

// A refusal of its layout is none of the file's own.
Prediction predicted_here(const Run& file, const Run& carried, const Story& story,
                          const Knowledge& knowledge, const PredictOptions& options) {
  try {
    return predict(carried, story.machine, story.rates, knowledge, options);
  } catch (const BadInput& error) {
    if (!file.parallel) throw;
    throw BadInput(fmt::format("in a layout of this machine, not the run's own: {}", error.what()));
  }
}

// A line under the header that counts as many devices as the story has of them: its own, of the
// first in a file.
std::string devices_line(const Story& story, std::int64_t most) {
  for (const Record& record : story.records) {
    for (std::size_t h = 0; h < record.headers.size(); ++h) {
      const Device& device = record.headers[h].device;
      if (device.kind != story.machine.kind || device.count < most) continue;
      const auto line = std::ranges::find(record.lines, h, &Line::session);
      const bool first = h == 0 || line == record.lines.end();
      return fmt::format("{}:{}", record.file.string(), first ? 1 : line->line);
    }
  }
  return story.records.front().file.string() + ":1";
}

// The run file's count is not this machine's.
void say_whose_gpus(Prediction& prediction, const Story& story) {
  for (UsedInput& input : prediction.inputs) {
    if (input.what != "gpus") continue;
    input.how = "devices of this machine, by the record's header, as far as they divide the batch";
    input.kind = "measured";
    input.place = {};
    input.origins = {devices_line(story, prediction.gpus)};
  }
}

void add_published_parts(Story& story, const Library& library, const StoryOptions& options) {
  for (const std::string& id : library.ids("claims"))
    story.verdicts.push_back(judge(library.claim(id), library));
  if (options.validate) story.validation = validate(library, {});
}

}  // namespace

std::string shown_rate(const RatePoint& point, double value) {
  return is_compute(point.operation) ? format_flops(value) : format_bandwidth(value);
}

std::string shown_gemm(const RatePoint& p) {
  const std::int64_t rows = p.operation == "grouped_gemm" ? p.m : p.m * p.groups;
  std::string out = fmt::format("{} x {} x {}", rows, p.n, p.k);
  if (p.groups > 1) out += fmt::format(" in {} groups", p.groups);
  constexpr std::string_view kSkew = "/skew:";
  if (const auto at = p.name.find(kSkew); at != std::string::npos) {
    const auto value = at + kSkew.size();
    out += ", " + p.name.substr(value, p.name.find('/', value) - value);
  }
  if (p.layout == "nn" || p.layout == "tn") out += " " + p.layout;
  if (p.name.find("/accumulate:") != std::string::npos) out += ", added to";
  if (p.name.find("/fp32_out:") != std::string::npos) out += ", C in fp32";
  return out;
}

std::string sizes_in(const std::string& name) {
  std::size_t at = 0;
  for (int part = 0; part < 3; ++part) at = name.find('/', at) + 1;
  std::string out = name.substr(at);
  std::ranges::replace(out, '/', ' ');
  return out;
}

std::string shown_regime(const RatePoint& p) {
  if (p.regime == "burst") return "in bursts after rests";
  return p.regime == "sustained" ? "after half a minute of work" : "in runs back to back";
}

std::string shown_rate(const UsedRate& used) {
  const bool bytes =
      used.what.find("memory") != std::string::npos || used.what.find("all_") != std::string::npos;
  return bytes ? format_bandwidth(used.rate.value) : format_flops(used.rate.value);
}

Story tell_published(const Library& library, const StoryOptions& options) {
  Story story;
  story.title = "What others published, and what it implies";
  story.published = library.root();
  const Run run = library.run(options.run);
  if (!run.system)
    throw BadInput(fmt::format("run {}: system: missing, and nothing was measured", run.id));
  story.machine = *run.system;
  story.rates.describe(story.machine);
  story.rates.add_published(library, story.machine);
  story.points = story.rates.points();
  story.points.insert(story.points.end(), story.rates.later().begin(), story.rates.later().end());
  std::map<std::tuple<std::string, std::string, std::string>, Achieved> best;
  for (const RatePoint& point : story.points) {
    Achieved a;
    a.point = point;
    find_possible(a, story);
    const auto [found, first] = best.try_emplace({point.operation, point.dtype, point.backend}, a);
    if (!first && found->second.point.value < point.value) found->second = a;
    if (is_collective(point.operation) && point.bytes > 0) story.collectives.push_back(a);
  }
  for (const auto& [key, a] : best) story.achieved.push_back(a);
  story.prediction =
      predict_run(run, story.machine, story.rates, load_knowledge(library), options.predict);
  story.prediction_title = run.title + " on " + devices_of(*story.prediction);
  if (std::string text = differs_from_published(story.machine, library); !text.empty()) {
    story.prediction->assumptions.push_back(text);
    story.warnings.push_back(std::move(text));
  }
  add_published_parts(story, library, options);
  return story;
}

Story tell(std::vector<Record> records, const Library& library, const StoryOptions& options) {
  Story story;
  story.title = "What this machine delivers, and what that means";
  story.published = library.root();
  for (const Record& record : records) {
    story.warnings.insert(story.warnings.end(), record.warnings.begin(), record.warnings.end());
  }
  OfOneDevice one = of_one_device(std::move(records));
  std::ranges::move(one.left_out, std::back_inserter(story.warnings));
  story.records = std::move(one.records);
  const std::vector<Record>& own = story.records;
  story.rates.add(own);
  story.points = story.rates.points();
  story.rates.set_measured_in_steps(own);
  story.apart = devices_apart(own);
  if (story.apart)
    (story.apart->differ() ? story.warnings : story.notes).push_back(story.apart->shown());
  story.machine = measured_system(story.records, story.rates, library, story.notes);
  story.rates.describe(story.machine);
  collect_achieved(story, library);
  story.beside_published = beside_published(own, story.machine, library);
  story.steps = steps_of(own, library);
  const Knowledge knowledge = load_knowledge(library);
  story.assumed = knowledge.factors;

  const Run run = library.run(options.run);
  try {
    if (!run.seq_len || !run.global_batch_sequences)
      throw BadInput("run " + run.id + ": seq_len and global_batch_sequences: expected both");
    const Run carried = here(run, story, training_dtype(run, story.rates));
    story.prediction = predicted_here(run, carried, story, knowledge, options.predict);
    say_whose_gpus(*story.prediction, story);
    const Prediction& p = *story.prediction;
    story.prediction_title = fmt::format("{} on this machine, {} device{}, GEMMs in {}", run.title,
                                         p.gpus, p.gpus == 1 ? "" : "s", p.precision);
    std::string left_out = left_out_on(story.machine, run);
    if (left_out.empty() && !printed_figures(run.published).empty())
      left_out = "the run in a layout of this machine: its published figures are left out";
    if (!left_out.empty()) story.prediction->assumptions.push_back(left_out);
    for (std::string& text : choices_left_out(run, carried))
      story.prediction->assumptions.push_back(std::move(text));
  } catch (const BadInput& error) {  // such as a record without memory bandwidth: the rest of the
                                     // story still holds
    story.why_no_prediction = error.what();
  }
  add_published_parts(story, library, options);
  return story;
}

}  // namespace trainmeter
