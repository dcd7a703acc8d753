// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A plan for people and for programs.
#include "record/names.hpp"
#include "report/plan.hpp"
#include "report/story.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace trainmeter {
namespace {

constexpr double kHoursOfDay = 24;

double wall_days(const Prediction& p, double gpu_hours) {
  return gpu_hours / static_cast<double>(p.gpus) / kHoursOfDay;
}

// A layout's fields, each with what it is where there is nothing to say of it.
struct Field {
  const char *column, *plain;
  std::string (*shown)(const Parallel& parallel);
};

const std::vector<Field>& fields() {
  static const std::vector<Field> kFields = {
      {">tp", "1", [](const Parallel& p) { return fmt::to_string(p.tp); }},
      {">cp", "1", [](const Parallel& p) { return fmt::to_string(p.cp); }},
      {">pp", "1", [](const Parallel& p) { return fmt::to_string(p.pp); }},
      {">virtual", "1", [](const Parallel& p) { return fmt::to_string(p.vpp.value_or(1)); }},
      {">dp", "", [](const Parallel& p) { return fmt::to_string(p.dp.value_or(1)); }},
      {">ep", "1", [](const Parallel& p) { return fmt::to_string(p.ep); }},
      {">ZeRO", "1", [](const Parallel& p) { return fmt::to_string(p.zero.value_or(0)); }},
      {">micro-batch", "",
       [](const Parallel& p) { return fmt::to_string(p.microbatch_sequences.value_or(1)); }},
      {"schedule", "-",
       [](const Parallel& p) { return std::string(p.schedule ? to_string(*p.schedule) : "-"); }},
      {"recompute", "none",
       [](const Parallel& p) { return std::string(p.recompute ? to_string(*p.recompute) : "-"); }}};
  return kFields;
}

// Those of which a layout has something to say.
std::vector<Field> fields_of(const std::vector<const PlannedLayout*>& layouts) {
  std::vector<Field> out = fields();
  std::erase_if(out, [&](const Field& field) {
    return std::ranges::all_of(layouts, [&](const PlannedLayout* planned) {
      return field.shown(planned->layout.parallel) == field.plain;
    });
  });
  return out;
}

// What every layout is predicted to take: columns, and a layout's cells.
struct Columns {
  bool memory, hours, cost;

  explicit Columns(const Prediction& p)
      : memory(p.memory.has_value()),
        hours(p.estimates.gpu_hours.has_value()),
        cost(p.estimates.cost_usd.has_value()) {}

  void add_titles(std::vector<std::string>& to) const {
    if (memory) to.emplace_back(">memory");
    for (const char* column : {">step", ">5 %", ">95 %", ">MFU"}) to.emplace_back(column);
    if (hours) to.emplace_back(">days");
    if (cost) to.emplace_back(">cost");
  }

  void add_cells(std::vector<Text>& to, const PlannedLayout& planned) const {
    const RunEstimates& e = planned.prediction.estimates;
    if (memory) to.emplace_back(fmt::format("{:.1f} GB", planned.layout.held_bytes / 1e9));
    for (const double seconds : {e.step_time_s.p50, e.step_time_s.p05, e.step_time_s.p95})
      to.emplace_back(format_seconds(seconds));
    to.emplace_back(format_percent(e.mfu.p50));
    if (hours) to.emplace_back(format_hours(wall_days(planned.prediction, e.gpu_hours->p50)));
    if (cost) to.emplace_back(format_usd(e.cost_usd->p50));
  }
};

Table table_of(const LayoutPlan& plan) {
  std::vector<const PlannedLayout*> layouts;
  for (const PlannedLayout& planned : plan.best) layouts.push_back(&planned);
  const std::vector<Field> told = fields_of(layouts);
  const Columns columns(plan.best.front().prediction);
  Table out{{}, {}};
  for (const Field& field : told) out.columns.emplace_back(field.column);
  columns.add_titles(out.columns);
  const bool drawn = plan.best.front().chance_fastest.has_value();
  out.columns.emplace_back(">/ first");
  if (drawn) {
    for (const char* column : {">5 %", ">95 %", ">fastest in"}) out.columns.emplace_back(column);
  }
  for (const PlannedLayout& planned : plan.best) {
    std::vector<Text> row;
    for (const Field& field : told) row.emplace_back(field.shown(planned.layout.parallel));
    columns.add_cells(row, planned);
    row.emplace_back(fmt::format("{:.2f}", planned.over_first.p50));
    if (drawn) {
      row.emplace_back(fmt::format("{:.2f}", planned.over_first.p05));
      row.emplace_back(fmt::format("{:.2f}", planned.over_first.p95));
      row.emplace_back(format_percent(*planned.chance_fastest));
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::string lead(const LayoutPlan& plan) {
  const PlannedLayout& first = plan.best.front();
  const RunEstimates& e = first.prediction.estimates;
  std::string out =
      fmt::format("{}: {} a step ({} to {}), {} MFU.", shown(first.layout.parallel),
                  format_seconds(e.step_time_s.p50), format_seconds(e.step_time_s.p05),
                  format_seconds(e.step_time_s.p95), format_percent(e.mfu.p50));
  if (e.gpu_hours) {
    out += fmt::format(" All of it: {} device-hours ({} to {})", format_hours(e.gpu_hours->p50),
                       format_hours(e.gpu_hours->p05), format_hours(e.gpu_hours->p95));
    out += fmt::format(", {} days", format_hours(wall_days(first.prediction, e.gpu_hours->p50)));
    if (e.cost_usd)
      out += fmt::format(", {} ({} to {})", format_usd(e.cost_usd->p50),
                         format_usd(e.cost_usd->p05), format_usd(e.cost_usd->p95));
    out += ".";
  }
  return out;
}

// Whether the draws tell the first layout from another: all but 5 % of them say the other is
// slower.
bool told_apart(const PlannedLayout& planned) {
  return planned.over_first.p05 > 1;
}

std::string own_layout_text(const LayoutPlan& plan) {
  const OwnLayout& own = *plan.own;
  if (!own.why_not.empty())
    return fmt::format("The run's own layout ({}) gives no step here: {}", shown(own.parallel),
                       own.why_not);
  return fmt::format(
      "The run's own layout ({}): {} a step with every input at its middle, {:.2f} times the "
      "fastest; {} of {} sizes have a faster one.",
      shown(own.parallel), format_seconds(own.step_time_s), own.over_best, own.faster, plan.sizes);
}

}  // namespace

Document to_document(const LayoutPlan& plan) {
  const PlannedLayout& first = plan.best.front();
  Document out;
  out.emplace_back(
      Heading{2, fmt::format("{}: layouts on {}", plan.run.title, devices_of(first.prediction))});
  out.emplace_back(Lead{{lead(plan)}});
  out.emplace_back(Paragraph{fmt::format(
      "{} sequences of {} tokens a step. Of {} legal layouts {} fit; each line is the fastest of "
      "one size (tp, cp, pp, ep, ZeRO), of {}.",
      format_count(static_cast<double>(*plan.run.global_batch_sequences)),
      format_count(static_cast<double>(*plan.run.seq_len)),
      format_count(static_cast<double>(plan.legal)),
      format_count(static_cast<double>(plan.fitting)),
      format_count(static_cast<double>(plan.sizes)))});
  out.emplace_back(table_of(plan));
  if (first.chance_fastest && plan.best.size() > 1) {
    const auto alike = std::count_if(plan.best.begin() + 1, plan.best.end(),
                                     [](const auto& planned) { return !told_apart(planned); });
    out.emplace_back(Paragraph{fmt::format(
        "\"/ first\": step time over the first line's, draw by draw; \"fastest in\": the share of "
        "draws. {} of the {} others can't be told from the first with 95 % confidence{}.",
        alike, plan.best.size() - 1, alike > 0 ? ": try them" : "")});
  }
  if (plan.own) out.emplace_back(Paragraph{own_layout_text(plan)});
  std::vector<Text> notes;
  for (const std::string& note : plan.notes) notes.emplace_back(note);
  for (const std::string& note : first.prediction.assumptions) notes.emplace_back(note);
  if (!notes.empty()) {
    out.emplace_back(Heading{3, "Assumed"});
    out.emplace_back(Bullets{std::move(notes)});
  }
  return out;
}

Document to_document(const std::vector<PlanOfGpus>& plans) {
  std::vector<const PlannedLayout*> fastest;
  for (const PlanOfGpus& one : plans)
    if (one.plan) fastest.push_back(&one.plan->best.front());
  const std::vector<Field> told = fields_of(fastest);
  const Columns columns(fastest.front()->prediction);
  Table table{{">GPUs"}, {}};
  for (const Field& field : told) table.columns.emplace_back(field.column);
  columns.add_titles(table.columns);
  std::vector<Text> notes;
  std::map<std::string, std::vector<std::int64_t>> said;  // a note, and of which numbers
  std::string title;
  for (const PlanOfGpus& one : plans) {
    std::vector<Text> row{format_count(static_cast<double>(one.gpus))};
    if (one.plan) {
      const PlannedLayout& planned = one.plan->best.front();
      for (const Field& field : told) row.emplace_back(field.shown(planned.layout.parallel));
      columns.add_cells(row, planned);
      if (title.empty()) {
        title = one.plan->run.title + " on " + one.plan->system_id;
      }
      for (const std::string& note : one.plan->notes) said[note].push_back(one.gpus);
    } else {
      row.resize(table.columns.size(), Text("-"));
      notes.emplace_back(one.why_not);
    }
    table.rows.push_back(std::move(row));
  }
  for (const auto& [note, of] : said) {
    notes.emplace_back(
        of.size() == fastest.size() ? note : fmt::format("{} GPUs: {}", fmt::join(of, ", "), note));
  }
  Document out;
  out.emplace_back(Heading{2, title + ": the fastest layout by number of GPUs"});
  out.emplace_back(std::move(table));
  out.emplace_back(Paragraph{
      "A line is the fastest layout of its number of GPUs; `--gpus` with that number alone lists "
      "others and what is assumed."});
  if (!notes.empty()) out.emplace_back(Bullets{std::move(notes)});
  return out;
}

nlohmann::ordered_json to_json(const Parallel& p) {
  nlohmann::ordered_json json = {{"tp", p.tp}, {"pp", p.pp}};
  if (p.vpp) json["vpp"] = *p.vpp;
  json["cp"] = p.cp;
  if (p.dp) json["dp"] = *p.dp;
  json["ep"] = p.ep;
  json["etp"] = p.etp;
  if (p.sp) json["sp"] = *p.sp;
  if (p.zero) json["zero"] = *p.zero;
  if (p.schedule) json["schedule"] = to_string(*p.schedule);
  if (p.microbatch_sequences) json["microbatch_sequences"] = *p.microbatch_sequences;
  if (p.recompute) json["recompute"] = to_string(*p.recompute);
  if (p.overlap) json["overlap"] = *p.overlap;
  return json;
}

nlohmann::ordered_json to_json(const LayoutPlan& plan) {
  nlohmann::ordered_json json = {
      {"run_id", plan.run.id},
      {"model_id", plan.run.model->id},
      {"system_id", plan.system_id},
      {"gpus", plan.run.gpus},
      {"seq_len", *plan.run.seq_len},
      {"global_batch_sequences", *plan.run.global_batch_sequences},
      {"precision", plan.best.front().prediction.precision},
      {"stack", to_string(plan.run.stack)},
      {"searched", {{"legal", plan.legal}, {"fitting", plan.fitting}, {"sizes", plan.sizes}}}};
  json["layouts"] = nlohmann::ordered_json::array();
  for (const PlannedLayout& planned : plan.best) {
    const nlohmann::ordered_json prediction = to_json(planned.prediction);
    json["layouts"].push_back({{"parallel", to_json(planned.layout.parallel)},
                               {"memory_bytes", planned.layout.held_bytes},
                               {"estimates", prediction["estimates"]},
                               {"breakdown_s", prediction["breakdown_s"]},
                               {"over_first", to_json(planned.over_first)},
                               {"chance_fastest", nullptr}});
    if (planned.chance_fastest) json["layouts"].back()["chance_fastest"] = *planned.chance_fastest;
  }
  json["own_layout"] = nullptr;
  if (plan.own) {
    nlohmann::ordered_json own = {{"parallel", to_json(plan.own->parallel)}};
    if (plan.own->why_not.empty()) {
      own["step_time_s"] = plan.own->step_time_s;
      own["over_best"] = plan.own->over_best;
      own["faster_sizes"] = plan.own->faster;
    } else {
      own["why_not"] = plan.own->why_not;
    }
    json["own_layout"] = std::move(own);
  }
  const Prediction& first = plan.best.front().prediction;
  json["price_usd_per_gpu_hour"] = first.price_usd_per_gpu_hour
                                       ? nlohmann::ordered_json(*first.price_usd_per_gpu_hour)
                                       : nullptr;
  json["price_how"] = first.price_how;
  json["assumptions"] = plan.notes;
  for (const std::string& note : first.assumptions) json["assumptions"].push_back(note);
  return json;
}

nlohmann::ordered_json to_json(const std::vector<PlanOfGpus>& plans) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const PlanOfGpus& one : plans) {
    json.push_back(one.plan ? to_json(*one.plan)
                            : nlohmann::ordered_json{{"gpus", one.gpus}, {"why_not", one.why_not}});
  }
  return json;
}

}  // namespace trainmeter
