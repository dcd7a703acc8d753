// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Verdicts as JSON and as text.
#include "record/names.hpp"
#include "report/claims.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json arithmetic_json(const std::vector<Arithmetic>& lines) {
  Json out = Json::array();
  for (const Arithmetic& a : lines) {
    out.push_back({{"what", a.what},
                   {"computed", a.computed},
                   {"printed", a.printed},
                   {"unit", a.unit},
                   {"agrees", a.agrees}});
  }
  return out;
}

Json implied_json(const std::vector<Implied>& stages) {
  Json out = Json::array();
  for (const Implied& i : stages) {
    Json one = {{"stage", i.stage},
                {"operation", i.operation},
                {"precision", i.precision},
                {"bf16_share", i.bf16_share}};
    if (i.bus_bytes_per_s > 0) {
      one["bus_bytes_per_s"] = i.bus_bytes_per_s;
    } else {
      one["flops_per_s_per_gpu"] = i.flops_per_s_per_gpu;
    }
    one["upper_bound"] = i.upper_bound;
    one["how"] = i.how;
    one["rates"] = Json::array();
    for (const ImpliedRate& r : i.rates) {
      one["rates"].push_back({{"figure", r.figure},
                              {"flops_per_s_per_gpu", r.flops_per_s_per_gpu},
                              {"whole_run", r.whole_run},
                              {"how", r.how}});
    }
    one["whole_run_share"] = or_null(i.whole_run_share);
    one["mfu"] = Json::array();
    for (const Convention& way : i.conventions) {
      one["mfu"].push_back(
          {{"convention", way.name}, {"flops_per_token", way.flops_per_token}, {"mfu", way.mfu}});
    }
    out.push_back(std::move(one));
  }
  return out;
}

Json ceiling_json(const std::vector<Ceiling>& ceilings) {
  Json out = Json::array();
  for (const Ceiling& c : ceilings) {
    Json one = {{"operation", c.operation}, {"dtype", c.dtype}};
    if (c.bus_bytes_per_s > 0) {
      one["bus_bytes_per_s"] = c.bus_bytes_per_s;
    } else {
      one["flops_per_s"] = c.flops_per_s;
    }
    one["how"] = c.how;
    one["origin"] = c.origin;
    one["own"] = c.own;
    out.push_back(std::move(one));
  }
  return out;
}

Json predicted_json(const std::vector<ClaimPrediction>& predictions) {
  Json out = Json::array();
  for (const ClaimPrediction& p : predictions) {
    const RunEstimates& e = p.prediction.estimates;
    const auto estimate = [](const std::optional<Estimate>& x) {
      return x ? to_json(*x) : Json(nullptr);
    };
    const auto& flat = p.prediction.null_model.gpu_hours;
    out.push_back({{"run", p.run},
                   {"gpu_hours", estimate(e.gpu_hours)},
                   {"cost_usd", estimate(e.cost_usd)},
                   {"tflops_per_gpu", to_json(e.tflops_per_gpu)},
                   {"mfu", to_json(e.mfu)},
                   {"null_model_gpu_hours", flat ? Json(flat->p50) : Json(nullptr)},
                   {"claimed_gpu_hours", or_null(p.claimed_gpu_hours)},
                   {"claimed_is", or_null(p.place())}});
  }
  return out;
}

std::string printed_text(const Arithmetic& a) {
  if (a.unit == "USD") return format_usd(a.printed);
  if (a.unit == "GPU-hours") return format_count(a.printed) + " GPU-hours";
  return fmt::format("{:.6g} {}", a.printed, a.unit);
}

std::string rate_text(double flops, double bus) {
  return bus > 0 ? format_bandwidth(bus) : format_flops(flops);
}

// A line for each figure that is printed.
void add_rates(std::vector<std::string>& notes, const Implied& i, bool by_rounding) {
  if (i.rates.empty()) {
    notes.push_back(fmt::format("{} implies {}{} per GPU: {}", i.stage,
                                i.upper_bound ? "at most " : "",
                                rate_text(i.flops_per_s_per_gpu, i.bus_bytes_per_s), i.how));
  }
  for (const ImpliedRate& r : i.rates) {
    notes.push_back(fmt::format("{} implies {} per GPU: {}", i.stage,
                                format_flops(r.flops_per_s_per_gpu), r.how));
    if (!r.whole_run || !i.whole_run_share) continue;
    const double share = *i.whole_run_share;
    notes.back() += fmt::format("; {} of its steady rate{}", format_percent(share),
                                share > 1 && by_rounding ? ", the same within rounding" : "");
  }
}

void add_work_lines(std::vector<std::string>& notes, const Verdict& v) {
  const bool by_rounding = std::ranges::find(v.arithmetic, "faster_than_steady",
                                             &Arithmetic::rule) == v.arithmetic.end();
  for (const Implied& i : v.implied) {
    add_rates(notes, i, by_rounding);
    std::vector<std::string> ways;
    for (const Convention& way : i.conventions)
      ways.push_back(fmt::format("{} ({})", format_percent(way.mfu), way.name));
    if (!ways.empty())
      notes.push_back(
          fmt::format("{}: MFU of the dense bf16 peak {}", i.stage, fmt::join(ways, ", ")));
  }
  for (const Ceiling& c : v.ceilings) {
    notes.push_back(fmt::format("best {} {}: {} ({}{}; {})", c.dtype,
                                c.operation == "gemm" ? "GEMM" : c.operation,
                                rate_text(c.flops_per_s, c.bus_bytes_per_s), c.how,
                                c.own ? fmt::format(", by {} itself", v.who) : "", c.origin));
  }
  for (const ClaimPrediction& p : v.predicted) {
    const RunEstimates& e = p.prediction.estimates;
    if (!e.gpu_hours) {
      notes.push_back(fmt::format("{} predicted: {:.0f} TFLOP/s per GPU, {:.0f} to {:.0f}", p.run,
                                  e.tflops_per_gpu.p50, e.tflops_per_gpu.p05,
                                  e.tflops_per_gpu.p95));
      continue;
    }
    const Estimate& h = *e.gpu_hours;
    const std::string place = p.place();
    notes.push_back(fmt::format("{} predicted: {} GPU-hours, {} to {} (null model {}){}", p.run,
                                format_count(h.p50), format_count(h.p05), format_count(h.p95),
                                format_count(p.prediction.null_model.gpu_hours->p50),
                                place.empty()
                                    ? ""
                                    : fmt::format("; claimed: {}, {} that range",
                                                  format_count(*p.claimed_gpu_hours), place)));
  }
  for (const std::string& stage : v.not_predicted) notes.push_back("not predicted: " + stage);
}

std::vector<std::string> notes_of(const Verdict& v) {
  std::vector<std::string> notes;
  if (v.constructed) notes.emplace_back("constructed to show a mistake: nobody said this");
  if (!v.sentence.empty())
    notes.push_back(fmt::format("\"{}\"{}{}", v.sentence, v.who.empty() ? "" : ", " + v.who,
                                v.said_on.empty() ? "" : ", " + v.said_on));
  for (const Arithmetic& a : v.arithmetic) {
    notes.push_back(fmt::format("{}; {} {}: {}", a.what,
                                a.rule == "wrong_denominator" ? "the dense peak is" : "printed",
                                printed_text(a), a.agrees ? "agrees" : "DISAGREES"));
  }
  add_work_lines(notes, v);
  if (!v.counts.empty()) notes.push_back(fmt::format("counts: {}", fmt::join(v.counts, "; ")));
  if (!v.leaves_out.empty())
    notes.push_back(fmt::format("leaves out: {}", fmt::join(v.leaves_out, "; ")));
  if (v.cost) {
    for (const std::string& line : lines_of(*v.cost)) notes.push_back(line);
  }
  notes.push_back("would change it: " + v.would_change);
  if (v.source)
    notes.push_back(
        fmt::format("source: {}, {} ({})", v.source->title, v.source->locator, v.source->url));
  return notes;
}

}  // namespace

nlohmann::ordered_json to_json(const Verdict& v) {
  Json json = {{"id", v.id},
               {"title", v.title},
               {"sentence", or_null(v.sentence)},
               {"who", or_null(v.who)},
               {"said_on", or_null(v.said_on)},
               {"constructed", v.constructed},
               {"verdict", v.verdict},
               {"rule", v.rule},
               {"reason", v.reason},
               {"plainly", or_null(v.plainly)},
               {"would_change", v.would_change},
               {"counts", v.counts},
               {"leaves_out", v.leaves_out}};
  json["arithmetic"] = arithmetic_json(v.arithmetic);
  json["implied"] = implied_json(v.implied);
  json["ceiling"] = ceiling_json(v.ceilings);
  json["predicted"] = predicted_json(v.predicted);
  json["not_predicted"] = v.not_predicted;
  json["gpu_hours"] = or_null(v.gpu_hours);
  json["cost_usd"] = or_null(v.cost_usd);
  json["cost"] = v.cost ? to_json(*v.cost) : Json(nullptr);
  if (v.source)
    json["source"] = {{"title", v.source->title},
                      {"locator", v.source->locator},
                      {"url", v.source->url},
                      {"read_on", v.source->read_on}};
  return json;
}

namespace {

// Where the claimed hours lie in the ranges predicted for them, of all stages: within, below,
// above.
std::string places_of(const Verdict& v) {
  std::set<std::string> places;
  for (const ClaimPrediction& p : v.predicted) {
    if (const std::string place = p.place(); !place.empty()) places.insert(place);
  }
  return places.empty() ? "-" : fmt::format("{}", fmt::join(places, ", "));
}

}  // namespace

Document claims_table(const std::vector<Verdict>& verdicts) {
  Document out;
  out.emplace_back(Heading{2, "Published claims"});
  Table table{{"claim", ">GPU-hours", ">cost", "verdict", "predicted range", "id"}, {}};
  for (const Verdict& v : verdicts) {
    table.rows.push_back(
        {v.title,
         v.gpu_hours ? numbered(format_count(*v.gpu_hours), v.id + ":gpu_hours") : Text("-"),
         v.cost_usd ? numbered(format_usd(*v.cost_usd), v.id + ":cost_usd") : Text("-"), v.verdict,
         places_of(v), v.id});
  }
  out.emplace_back(std::move(table));
  return out;
}

Document to_document(const std::vector<Verdict>& verdicts) {
  Document out = claims_table(verdicts);
  for (const Verdict& v : verdicts) {
    out.emplace_back(Heading{3, v.id + ": " + v.verdict});
    if (!v.plainly.empty()) out.emplace_back(Paragraph{v.plainly});
    out.emplace_back(Paragraph{v.reason + "."});
    const std::vector<std::string> notes = notes_of(v);
    out.emplace_back(Bullets{{notes.begin(), notes.end()}});
  }
  return out;
}

}  // namespace trainmeter
