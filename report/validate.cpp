// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Predicts every published run and scores.
#include "report/validate.hpp"

#include "record/statistics.hpp"
#include "report/in_parallel.hpp"
#include "report/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace trainmeter {
namespace {

constexpr double kAlpha = 0.10;  // the 90 % range

double interval_score(double low, double high, double published) {
  const double x = std::log(published);
  const double l = std::log(low);
  const double u = std::log(high);
  return u - l + 2 / kAlpha * (std::max(0.0, l - x) + std::max(0.0, x - u));
}

RateBook published_book(const Library& library, const System& system) {
  RateBook book;
  book.add_published(library, system);
  return book;
}

ValidatedRow validated(const ScoredRun& row, const Prediction& prediction) {
  const Estimate& e = prediction.estimates.step_time_s;
  return {.id = row.run.id,
          .family = row.run.family,
          .published_s = row.published_s,
          .predicted = e,
          .error_pct = (e.p50 / row.published_s - 1) * 100,
          .null_error_pct = (row.null_s / row.published_s - 1) * 100,
          .inside = e.p05 <= row.published_s && row.published_s <= e.p95,
          .interval_score = interval_score(e.p05, e.p95, row.published_s),
          .width = e.p95 / e.p05 - 1};
}

template <class Value>
double mean_of(const std::vector<ValidatedRow>& rows, Value value) {
  double sum = 0;
  for (const ValidatedRow& row : rows) sum += value(row);
  return sum / static_cast<double>(rows.size());
}

void score_families(Validation& out) {
  std::map<std::string, std::vector<ValidatedRow>> families;
  for (const ValidatedRow& row : out.rows) families[row.family].push_back(row);
  double h100 = 0;
  double h100_families = 0;
  for (const auto& [family, rows] : families) {
    std::vector<double> errors;
    for (const ValidatedRow& row : rows) errors.push_back(std::abs(row.error_pct));
    const FamilyScore score{
        .family = family,
        .rows = rows.size(),
        .mean_pct = mean(errors),
        .median_pct = median(errors),
        .max_pct = *std::ranges::max_element(errors),
        .null_mean_pct = mean_of(rows, [](const auto& r) { return std::abs(r.null_error_pct); }),
        .coverage = mean_of(rows, [](const auto& r) { return r.inside ? 1.0 : 0.0; }),
        .interval_score = mean_of(rows, [](const auto& r) { return r.interval_score; }),
        .width = mean_of(rows, [](const auto& r) { return r.width; })};
    const double share = 1.0 / static_cast<double>(families.size());
    out.mean_pct += share * score.mean_pct;
    out.null_mean_pct += share * score.null_mean_pct;
    out.coverage += share * score.coverage;
    out.width += share * score.width;
    out.interval_score += share * score.interval_score;
    constexpr std::size_t kEnoughRows = 3;
    constexpr double kGoodAnyway = 5;  // %
    const bool good = score.mean_pct < score.null_mean_pct || score.mean_pct < kGoodAnyway;
    if (rows.size() >= kEnoughRows && !good) out.worse_than_null.push_back(family);
    if (family.find("h100 bf16") != std::string::npos) {
      h100 += score.mean_pct;
      h100_families += 1;
    }
    out.families.push_back(score);
  }
  out.h100_bf16_mean_pct = h100 / h100_families;
}

// Family-weighted quantile of log(published / null).
double null_quantile(const Validation& out, const std::map<std::string, double>& rows_of,
                     double p) {
  std::vector<std::pair<double, double>> values;
  for (const ValidatedRow& row : out.rows) {
    values.emplace_back(-std::log1p(row.null_error_pct / 100), 1 / rows_of.at(row.family));
  }
  std::ranges::sort(values);
  double sum = 0;
  for (const auto& [value, weight] : values) {
    sum += weight;
    if (sum >= p * static_cast<double>(rows_of.size())) return value;
  }
  return values.back().first;
}

void score_null(Validation& out) {
  std::map<std::string, double> rows_of;
  for (const ValidatedRow& row : out.rows) rows_of[row.family] += 1;
  const double low = null_quantile(out, rows_of, kAlpha / 2);
  const double high = null_quantile(out, rows_of, 1 - kAlpha / 2);
  for (const ValidatedRow& row : out.rows) {
    const double null_s = row.published_s * (1 + row.null_error_pct / 100);
    out.null_interval_score +=
        interval_score(null_s * std::exp(low), null_s * std::exp(high), row.published_s) /
        rows_of.at(row.family) / static_cast<double>(rows_of.size());
  }
}

// DeepSeek-V3's step, apart: its slot against the trace's, and its step with the trace declared.
void add_special(Validation& out, const Library& library, const Rows& rows,
                 const Knowledge& knowledge, const ValidateOptions& options) {
  for (const ScoredRun& row : rows.scored) {
    if (!row.run.published.slot_time_s) continue;
    const RateBook book = published_book(library, *row.run.system);
    const Prediction p = predict(row.run, *row.run.system, book, knowledge,
                                 {.samples = options.samples, .seed = options.seed});
    const auto special = [&](const std::string& what, double published, const Estimate& e) {
      out.special.push_back({what, published, e, (e.p50 / published - 1) * 100});
    };
    special(row.run.id + ", step", row.published_s, p.estimates.step_time_s);
    special(row.run.id + ", slot (overlapped forward and backward)", *row.run.published.slot_time_s,
            *p.slot_time_s);
    for (const auto& entry : std::filesystem::directory_iterator(library.root() / "traces")) {
      const Trace trace = read_trace(entry.path());
      if (trace.run != row.run.id) continue;
      const Belief& belief = knowledge.calibration.for_family(row.run.family);
      const FactorValues factors = belief.medians();
      const double step =
          step_time(with_trace(weighed(row.ways, factors).front().bill, trace, factors), factors)
              .total_s;
      // The form of the model is what is left uncertain; the trace fixes the kernels.
      const double half = std::exp(kSigmasOf90Percent / 2 * belief.form_sigma);
      special(row.run.id + ", step, with the trace " + trace.id + " as input", row.published_s,
              {step / half, step, step * half});
    }
  }
}

// The causes of DeepSeek-V3's step, added one at a time. A factor is neutral where its cause isn't
// counted yet.
void add_ladder(Validation& out, const Library& library, const Knowledge& knowledge) {
  const Run run = library.run("deepseek-v3-step");
  const System& system = *run.system;
  const RateBook book = published_book(library, system);
  const FactorValues known = knowledge.calibration.for_family(run.family).medians();
  const double published = *published_step_time(run, system.peak_flops.at("bf16"));
  const Bill whole = candidates(run, system, book, known).front().bill;
  const auto rung = [&](const std::string& what, double step) {
    out.ladder.push_back({what, step, (step / published - 1) * 100});
  };
  const double flops = training_flops_per_token(*run.model, {.seq_len = *run.seq_len});
  rung("datasheet: all FLOPs at the dense fp8 peak, nothing else",
       flops * static_cast<double>(*run.seq_len * *run.global_batch_sequences) /
           (system.peak_flops.at("fp8") * static_cast<double>(run.gpus)));

  constexpr double kTiny = 1e-12;
  FactorValues f = known;
  constexpr std::array kOfGemms = {Factor::in_place_hopper, Factor::in_place_hopper_fp8,
                                   Factor::weight_pass, Factor::grouped_gemm};
  constexpr std::array kOfClock = {Factor::sustained_clock, Factor::sustained_clock_fp8};
  at(f, Factor::attention_fused) = 1;
  for (const Factor factor : kOfGemms) at(f, factor) = 1;
  for (const Factor factor : kOfClock) at(f, factor) = 1;
  for (const Factor factor : {Factor::traffic_fused, Factor::traffic_experts, Factor::hop_latency_s,
                              Factor::step_overhead_s, Factor::jitter, Factor::experts_host_s}) {
    at(f, factor) = kTiny;
  }
  for (const Factor factor : {Factor::node_links, Factor::network_links}) at(f, factor) = 1 / kTiny;
  Bill bill = whole;
  for (auto& [kind, layer] : bill.layers) {  // no fixed cost of collectives either
    for (SlotBill* slot : {&layer.forward, &layer.backward_input}) slot->comm.clear();
  }
  bill.optimizer_s = 0;
  bill.gradients = bill.weights = {};
  bill.sms = {};
  const auto busy = [&](const Bill& of, const FactorValues& factors) {  // no bubble
    double sum = 0;
    for (const auto& [name, seconds] : step_time(of, factors).breakdown_s) {
      if (name != "pipeline_bubble") sum += seconds;
    }
    return sum;
  };
  rung("kernels at their rates alone, all SMs, perfect overlap and balance", busy(bill, f));
  bill.sms = whole.sms;
  rung("+ 20 of 132 SMs communicate", busy(bill, f));
  for (const Factor factor : kOfClock) at(f, factor) = at(known, factor);
  rung("+ the clock that GEMMs sustain under the power cap", busy(bill, f));
  for (const Factor factor : kOfGemms) at(f, factor) = at(known, factor);
  rung("+ GEMMs in place: wgrad's layout, uneven groups, neighbours", busy(bill, f));
  at(f, Factor::attention_fused) = at(known, Factor::attention_fused);
  at(f, Factor::traffic_fused) = at(known, Factor::traffic_fused);
  at(f, Factor::traffic_experts) = at(known, Factor::traffic_experts);
  rung("+ attention in place, memory-bound kernels", busy(bill, f));
  rung("+ DualPipe with uneven stages (61 layers, head and MTP at the ends)",
       step_time(bill, f).total_s);
  const FactorValues without_jitter = [&] {
    FactorValues v = known;
    at(v, Factor::jitter) = kTiny;
    return v;
  }();
  rung("+ communication where nothing hides it, optimizer, overheads",
       step_time(whole, without_jitter).total_s);
  rung("+ the slowest of 256 nodes: the step with every input at its middle",
       step_time(whole, known).total_s);
}

}  // namespace

Validation validate(const Library& library, const ValidateOptions& options) {
  const Knowledge knowledge = load_knowledge(library);
  const Rows rows = published_rows(library);
  Validation out;
  out.unscored = rows.unscored;
  out.rows.resize(rows.scored.size());
  in_parallel(rows.scored.size(), options.threads, [&](std::size_t i) {
    const Run& run = rows.scored[i].run;
    const RateBook book = published_book(library, *run.system);
    out.rows[i] =
        validated(rows.scored[i], predict(run, *run.system, book, knowledge,
                                          {.samples = options.samples, .seed = options.seed}));
  });
  score_families(out);
  score_null(out);
  add_special(out, library, rows, knowledge, options);
  add_ladder(out, library, knowledge);
  return out;
}

Calibration fit_again(const Library& library) {
  const FactorTable factors = read_factors(library.root() / "factors.json");
  return calibrate(published_rows(library), factors);
}

}  // namespace trainmeter
