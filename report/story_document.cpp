// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Predictions, verdicts and whole stories as documents.
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "report/charts.hpp"
#include "report/in_turn.hpp"
#include "report/interference.hpp"
#include "report/layer_beside.hpp"
#include "report/story_device.hpp"
#include "report/story_parts.hpp"
#include "report/with_casts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

constexpr std::size_t kRatesShown = 5;
constexpr std::size_t kFactorsShown = 6;

std::string shown_shape(const RatePoint& point) {
  if (point.published && point.seq_len > 0)
    return fmt::format("{} tokens, width {}", point.seq_len, point.head_dim);
  if (is_step_kernel(point.operation) || point.operation.starts_with("attention_") ||
      point.operation.starts_with("layer_"))
    return sizes_in(point.name);
  if (point.m > 0) return shown_gemm(point);
  if (point.bytes > 0)
    return format_bytes(static_cast<double>(point.bytes)) +
           (point.ranks > 1 ? fmt::format(", {} ranks", point.ranks) : "");
  return point.operation == "fma" ? "registers" : "-";
}

std::string shown_spread(const Achieved& a) {  // half the interval, against the rate
  if (!a.interval) return "n/a";
  return fmt::format("+-{:.1f} %", (a.interval->high - a.interval->low) / 2 / a.point.value * 100);
}

std::string shown_per_joule(const Achieved& a) {
  return fmt::format("{:.3g} G{}/J", *a.per_joule / 1e9,
                     is_compute(a.point.operation) ? "FLOP" : "B");
}

template <class F>
std::vector<Text> row_of(const Prediction& p, const char* title, const std::string& name,
                         const Estimate& e, const Estimate& null_model, F show) {
  const std::string id = "predict/" + p.run_id + ":";
  return {title, numbered(show(e.p50), id + name), numbered(show(e.p05), id + name + ".p05"),
          numbered(show(e.p95), id + name + ".p95"),
          numbered(show(null_model.p50), id + "null_model." + name)};
}

void append(Document& to, Document from) {
  for (Block& block : from) to.push_back(std::move(block));
}

void add_machine(Document& out, const Story& story) {
  Table table{{"what", "value"}, {}};
  const Header* header = nullptr;
  for (const Record& record : story.records) {
    for (const Header& h : record.headers) {
      if (h.device.kind == story.machine.kind && header == nullptr) header = &h;
    }
  }
  for (const Record& record : story.records) {
    table.rows.push_back(
        {"record", fmt::format("{} ({} measurement{})", record.file.string(), record.lines.size(),
                               record.lines.size() == 1 ? "" : "s")});
  }
  if (header != nullptr) {
    table.rows.push_back(
        {"device",
         fmt::format(
             "{}{}{}{}", header->device.count > 1 ? fmt::format("{} x ", header->device.count) : "",
             header->device.name,
             header->device.sms > 0 ? fmt::format(", {} {}", header->device.sms,
                                                  story.machine.kind == "gpu" ? "SMs" : "cores")
                                    : "",
             header->device.memory_bytes > 0
                 ? ", " + format_bytes(static_cast<double>(header->device.memory_bytes))
                 : "")});
    table.rows.push_back(
        {"measured",
         imported(*header)
             ? fmt::format("by {} {} on {}", header->program, header->version, header->host)
             : fmt::format("{} on {}, trainmeter {} ({})", header->started_at, header->host,
                           header->version, header->git_revision)});
  }
  out.emplace_back(std::move(table));
}

constexpr double kCeilingNoise =
    0.05;  // of a measured ceiling, on a machine that does nothing else

// Why a rate may be above what is given as possible.
std::string why_beyond(const Achieved& a) {
  if (is_collective(a.point.operation))
    return "bus bandwidth counts what a ring would send. Where switches add up (NVLink SHARP, "
           "NCCL's NVLS), a GPU sends less, and its links are no bound";
  return std::string("its share means nothing. ") +
         (a.point.published
              ? "One of the two figures is of something else"
              : "Other programs may have held the cores: measure again when they are idle");
}

void add_achieved(Document& out, const Story& story) {
  out.emplace_back(Heading{2, "Achieved, beside what is possible"});
  Table table{{"operation", "dtype", "backend", "best at", ">achieved", ">possible", ">share",
               ">95 %", ">samples"},
              {}};
  const bool energy = std::ranges::any_of(
      story.achieved, [](const Achieved& a) { return a.per_joule.has_value(); });
  if (energy) table.columns.emplace_back(">per joule");
  for (const Achieved& a : story.achieved) {
    table.rows.push_back({a.point.operation, a.point.dtype,
                          a.point.backend + (a.imported ? ", imported" : ""), shown_shape(a.point),
                          numbered(shown_rate(a.point, a.point.value), a.point.name + ":rate"),
                          a.possible ? shown_rate(a.point, *a.possible) : "-",
                          a.possible ? format_percent(a.point.value / *a.possible) : "-",
                          shown_spread(a), std::to_string(a.samples)});
    if (energy) table.rows.back().push_back(a.per_joule ? shown_per_joule(a) : "n/a");
  }
  out.emplace_back(std::move(table));
  std::vector<Text> notes(story.notes.begin(), story.notes.end());
  if (!story.machine.memory_bytes_per_s)
    notes.emplace_back("no peak is known for this machine's memory");
  if (story.records.empty()) {
    notes.emplace_back(
        "as their sources print them: explain, or a click on the number, says which");
  } else if (!std::ranges::all_of(story.achieved, &Achieved::imported)) {
    notes.emplace_back(
        "95 %: interval of the median, by batches of ten autocorrelation times; n/a: fewer than 50 "
        "samples, a drift, or samples too alike in time; all-reduce as bus bandwidth, "
        "kernels of a step as the bytes they must move; every case was verified before it was "
        "timed");
    if (std::ranges::any_of(story.achieved, [](const Achieved& a) { return a.point.power_capped; }))
      notes.emplace_back(
          "the power cap held the clock of some of these, GEMMs above all: a few runs after a rest "
          "(--regime=burst) can be faster");
  }
  if (std::ranges::any_of(story.achieved, &Achieved::imported))
    notes.emplace_back(
        "imported: another program's figure, with data and caches that it doesn't tell; no "
        "prediction takes it");
  for (const Achieved& a : story.achieved) {
    if (a.possible && a.point.value > (1 + kCeilingNoise) * *a.possible)
      notes.push_back(fmt::format("{} {} {} exceeds what is given as possible ({}): {}",
                                  a.point.operation, a.point.dtype, a.point.backend, a.possible_how,
                                  why_beyond(a)));
  }
  out.emplace_back(Bullets{std::move(notes)});

  if (!story.failures.empty()) {
    out.emplace_back(Heading{2, "Failed, and counted nowhere"});
    out.emplace_back(Bullets{{story.failures.begin(), story.failures.end()}});
  }
  if (!story.unverified.empty()) {
    out.emplace_back(Heading{2, "Not verified, and counted nowhere"});
    out.emplace_back(Bullets{{story.unverified.begin(), story.unverified.end()}});
  }
}

}  // namespace

std::string devices_of(const Prediction& p) {
  return fmt::format("{} x {}, GEMMs in {}", format_count(static_cast<double>(p.gpus)), p.system_id,
                     p.precision);
}

Document to_document(const Prediction& p, const std::string& title) {
  Document out;
  out.emplace_back(Heading{2, title});
  Table table{{"estimate", ">median", ">5 %", ">95 %", ">null model"}, {}};
  const RunEstimates& e = p.estimates;
  const RunEstimates& n = p.null_model;
  table.rows.push_back(
      row_of(p, "step time", "step_time_s", e.step_time_s, n.step_time_s, format_seconds));
  table.rows.push_back(row_of(p, "MFU", "mfu", e.mfu, n.mfu, format_percent));
  table.rows.push_back(row_of(p, "model FLOP/s per device", "tflops_per_gpu", e.tflops_per_gpu,
                              n.tflops_per_gpu, [](double t) { return format_flops(t * 1e12); }));
  if (e.gpu_hours) {
    table.rows.push_back({"goodput", format_percent(p.goodput), "-", "-", "-"});
  }
  if (e.gpu_hours)
    table.rows.push_back(
        row_of(p, "device-hours", "gpu_hours", *e.gpu_hours, *n.gpu_hours, format_hours));
  if (e.cost_usd)
    table.rows.push_back(row_of(p, "cost", "cost_usd", *e.cost_usd, *n.cost_usd, format_usd));
  out.emplace_back(std::move(table));
  out.emplace_back(
      Paragraph{fmt::format("MFU against {}{}. Null model: {:.0f} % of that for everything.",
                            format_flops(p.mfu_peak_flops),
                            p.price_usd_per_gpu_hour && e.cost_usd
                                ? fmt::format("; cost at {} per device-hour ({})",
                                              format_usd(*p.price_usd_per_gpu_hour), p.price_how)
                                : "",
                            n.mfu.p50 * 100)});
  if (p.memory) {
    out.emplace_back(
        Paragraph{fmt::format("Memory by our count: {:.1f} GB of a device's {:.1f} GB.",
                              p.memory->need / 1e9, p.memory->of / 1e9)});
  }
  if (p.published_step_time_s) {
    out.emplace_back(
        Paragraph{fmt::format("Published: {} a step; the prediction is {:+.1f} % off.",
                              format_seconds(*p.published_step_time_s), *p.error_pct)});
  }
  out.emplace_back(breakdown_chart(p));
  out.emplace_back(basis_chart(p));
  if (!p.in_place.empty()) {
    Table in_place{{"in place: rate in the step / rate alone", ">ratio", ">5 %", ">95 %", "from"},
                   {}};
    for (const InPlaceLink& link : p.in_place) {
      in_place.rows.push_back(
          {link.what, numbered(fmt::format("{:.3g}", link.ratio), number_id(p, link)),
           fmt::format("{:.3g}", link.low), fmt::format("{:.3g}", link.high), link.basis});
    }
    out.emplace_back(std::move(in_place));
  }
  if (!p.factors.empty()) {
    Table factors{{"kernel alone to step", ">median", ">5 %", ">95 %", ">1 % of it moves", "from"},
                  {}};
    for (std::size_t i = 0; i < std::min(kFactorsShown, p.factors.size()); ++i) {
      const UsedFactor& f = p.factors[i];
      const std::string name(to_string(f.factor));
      factors.rows.push_back({name,
                              numbered(fmt::format("{:.3g}", f.middle),
                                       fmt::format("predict/{}:factors.{}.middle", p.run_id, name)),
                              fmt::format("{:.3g}", f.low), fmt::format("{:.3g}", f.high),
                              fmt::format("{:+.2f} %", f.elasticity), basis_of(f)});
    }
    out.emplace_back(std::move(factors));
    out.emplace_back(tornado_chart(p));
  }
  std::vector<Text> notes;
  for (std::size_t i = 0; i < std::min(kRatesShown, p.rates.size()); ++i) {
    const UsedRate& used = p.rates[i];
    std::string word = used.what;
    std::ranges::replace(word, ' ', '_');
    notes.push_back(numbered(fmt::format("{}: {} ({}; {})", used.what, shown_rate(used),
                                         used.rate.how, used.rate.origin),
                             fmt::format("predict/{}:rates.{}.value", p.run_id, word)));
  }
  if (p.rates.size() > kRatesShown)
    notes.push_back(fmt::format("... and {} more rates (--format json lists them)",
                                p.rates.size() - kRatesShown));
  if (!p.moves_most.empty()) {
    std::string inputs;
    for (std::size_t i = 0; i < std::min<std::size_t>(3, p.moves_most.size()); ++i) {
      inputs += fmt::format("{}{} ({:.0f} %)", i > 0 ? ", " : "", p.moves_most[i].first,
                            p.moves_most[i].second * 100);
    }
    notes.push_back("moves the result most, by share of the variance: " + inputs);
  }
  for (const std::string& text : p.assumptions) notes.push_back("assumed: " + text);
  out.emplace_back(Bullets{std::move(notes)});
  return out;
}

Document to_document(const Story& story, Claims claims) {
  Document out;
  out.emplace_back(Heading{1, "trainmeter: " + story.title});
  out.emplace_back(answer(story));
  out.emplace_back(ladder_chart(story));
  if (!story.records.empty()) add_machine(out, story);
  if (!story.warnings.empty())
    out.emplace_back(Bullets{{story.warnings.begin(), story.warnings.end()}});
  if (story.records.size() > 1) append(out, side_by_side(story));
  add_achieved(out, story);
  append(out, in_turn(story.records));
  append(out, with_casts(story.records));
  append(out, to_document(story.beside_published));
  append(out, to_document(story.steps));
  out.emplace_back(Heading{2, "Rates by shape, size and regime"});
  for (const auto& chart : {roofline_chart, shape_chart, payload_chart, regime_chart})
    out.emplace_back(chart(story));
  append(out, interference(story.records, story.assumed));
  append(out, layers_beside(story.records));
  if (story.prediction) {
    append(out, to_document(*story.prediction, story.prediction_title));
  } else {
    out.emplace_back(Heading{2, "Training on this machine"});
    out.emplace_back(Paragraph{"No prediction: " + story.why_no_prediction});
  }
  if (story.validation) {
    out.emplace_back(Heading{2, "How well such predictions hold"});
    out.emplace_back(validation_chart(*story.validation));
  }
  if (claims == Claims::in_full) {
    append(out, to_document(story.verdicts));
  } else {
    append(out, claims_table(story.verdicts));
    out.emplace_back(Paragraph{
        "One of them in full, with its arithmetic and its source: trainmeter claims ID."});
  }
  append(out, method(story));
  return out;
}

}  // namespace trainmeter
