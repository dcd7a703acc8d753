// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The table and chart of overlaps.
#include "report/interference.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/chart_parts.hpp"
#include "report/rates.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

// One overlap in numbers. All shares are of the speed alone on all SMs.
struct Row {
  std::string operation;  // with its type and backend, and its size where there are several
  std::string size;       // of a GEMM, a cast or a layer
  std::string beside;
  std::int64_t sms = 0;
  std::string alone;      // its rate
  std::string clock;      // of the device meanwhile
  double by_sms = 0;      // left by fewer SMs
  double by_traffic = 0;  // of that, left by the traffic
  double keeps = 0;       // of all
  std::optional<double> untold;
  double moves = 0;     // bytes per second beside the operation
  double co_keeps = 0;  // of what the co-runner moves alone
  double lost = 0;
  bool best = false;  // no other share of the same operation keeps more and moves as much
};

// Of a collective its bus bandwidth.
double work_rate(const Measurement& m) {
  const double work = is_compute(m.operation) ? m.flops : m.bytes;
  return rate(work, median_time(m).median) *
         (is_collective(m.operation) ? bus_factor(m.operation, m.ranks) : 1);
}

std::string size_of(const Measurement& m, const std::string& co_runner) {
  if (m.operation.starts_with("layer_")) return sizes_in(own_name(m.name, co_runner));
  if (m.shape.contains("cols"))
    return fmt::format("{} x {}", m.shape.at("rows"), m.shape.at("cols"));
  if (!m.shape.contains("m")) return "";
  std::string out = fmt::format("{} x {} x {}", m.shape.at("m"), m.shape.at("n"), m.shape.at("k"));
  if (const auto groups = m.shape.find("groups"); groups != m.shape.end())
    out += fmt::format(" in {} groups", groups->second);
  return out;
}

Row row_of(const Interference& one) {
  const Measurement& m = *one.alone;
  const double alone = work_rate(m);
  Row out{
      .operation = fmt::format("{} {} {}", m.operation, m.dtype, m.backend),
      .size = size_of(m, one.co_alone->operation),
      .beside = one.together->beside,
      .sms = m.shape.at(kCoSms),
      .alone = is_compute(m.operation) ? format_flops(alone) : format_bandwidth(alone),
      .clock = m.sm_clock_hz.empty() ? "-" : fmt::format("{:.2f} GHz", median(m.sm_clock_hz) / 1e9),
      .by_sms = 1 / one.sms.median,
      .by_traffic = 1 / one.traffic.median,
      .keeps = 1 / one.both.median,
      .untold = {},
      .moves = work_rate(*one.co_together),
      .co_keeps = 1 / one.co_traffic.median,
      .lost = lost_share(one.both.median)};
  if (one.untold) out.untold = 1 / one.untold->median;
  return out;
}

// By operation, co-runner and SMs; the shares of one operation and co-runner on their Pareto front
// marked.
std::vector<Row> rows_of(const std::vector<Record>& records) {
  std::vector<Row> rows;
  for (const Record& record : records) {
    for (const Interference& one : interferences(record)) rows.push_back(row_of(one));
  }
  std::map<std::string, std::set<std::string>> sizes;  // by operation
  for (const Row& row : rows) sizes[row.operation].insert(row.size);
  for (Row& row : rows)
    if (sizes.at(row.operation).size() > 1) row.operation += " " + row.size;
  std::ranges::stable_sort(rows, {},
                           [](const Row& r) { return std::tuple(r.operation, r.beside, r.sms); });
  for (Row& row : rows) {
    row.best = std::ranges::none_of(rows, [&](const Row& other) {
      return other.operation == row.operation && other.beside == row.beside &&
             other.keeps >= row.keeps && other.moves >= row.moves &&
             (other.keeps > row.keeps || other.moves > row.moves);
    });
  }
  return rows;
}

bool polls(const Row& row) {
  return row.beside == "poller";
}

}  // namespace

Document interference(const std::vector<Record>& records, const FactorTable& assumed) {
  const std::vector<Row> rows = rows_of(records);
  if (rows.empty()) return {};
  Table table{{"operation", "beside", ">on SMs", ">alone", ">clock", ">by fewer SMs", ">by traffic",
               ">keeps", ">untold", ">it moves", ">of alone", ">lost", "best"},
              {}};
  auto values = Json::array();
  for (const Row& row : rows) {
    const std::string moves = polls(row) ? "-" : format_bandwidth(row.moves);
    table.rows.push_back({row.operation, row.beside, std::to_string(row.sms), row.alone, row.clock,
                          format_percent(row.by_sms), format_percent(row.by_traffic),
                          format_percent(row.keeps), row.untold ? format_percent(*row.untold) : "-",
                          moves, format_percent(row.co_keeps), fmt::format("{:.2f}", row.lost),
                          row.best && !polls(row) ? "*" : ""});
    if (polls(row)) continue;
    values.push_back({{"series", row.operation + " beside " + row.beside},
                      {"case", fmt::format("{} SMs", row.sms)},
                      {"moves", row.moves},
                      {"keeps", row.keeps},
                      {"shown", fmt::format("{}, {}", format_percent(row.keeps), moves)}});
  }
  Json spec = plot(std::move(values));
  spec["mark"] = {{"type", "line"}, {"point", true}};
  spec["encoding"] = {{"x",
                       {{"field", "moves"},
                        {"type", "quantitative"},
                        {"title", "moved beside it, bytes/s"},
                        {"axis", {{"format", ".2~s"}}}}},
                      {"y",
                       {{"field", "keeps"},
                        {"type", "quantitative"},
                        {"title", "share of its speed that the operation keeps"},
                        {"axis", {{"format", ".0%"}}}}},
                      {"order", {{"field", "moves"}, {"type", "quantitative"}}},
                      {"color", series_colour()},
                      {"tooltip", tooltip({"series", "case", "shown"})}};
  Document out;
  out.emplace_back(Heading{2, "What traffic beside an operation costs it"});
  out.emplace_back(chart_of("interference",
                            "What an operation keeps against what is moved beside it",
                            std::move(spec), std::move(table)));
  const auto prior = [&](Factor factor) {
    const FactorPrior& p = assumed.priors[static_cast<std::size_t>(factor)];
    return fmt::format("{} {:.2f} ({:.2f} to {:.2f})", to_string(factor), p.median, p.low, p.high);
  };
  out.emplace_back(Bullets{
      {"alone: in turn with the other rows, in many of which the GPU idles or moves bytes, hence "
       "cooler and at a higher clock (one for all rows of a case) than back to back: it may be "
       "above the best rate of such a GEMM without pauses",
       "by fewer SMs: what is left of its speed while a co-runner holds SMs (on a CPU: cores) and "
       "does nothing; by traffic: what is left of that while it moves bytes or polls; keeps: both; "
       "untold: beside it with the grid of all SMs",
       "of alone: what the co-runner keeps of its own; best: no other number of SMs keeps more and "
       "moves as much",
       fmt::format("lost: compute time lost per second of traffic under it, SMs included. "
                   "Predictions assume {}, {}; of a run with such traffic they take these rows' of "
                   "GEMMs in its type instead, beside an all-reduce, else beside memory_mover "
                   "(docs/extrapolation.md)",
                   prior(Factor::node_interference), prior(Factor::network_interference))}});
  return out;
}

nlohmann::ordered_json interference_json(const std::vector<Record>& records) {
  auto out = Json::array();
  for (const Row& row : rows_of(records)) {
    out.push_back({{"operation", row.operation},
                   {"beside", row.beside},
                   {"co_sms", row.sms},
                   {"kept_by_fewer_sms", row.by_sms},
                   {"kept_by_traffic", row.by_traffic},
                   {"keeps", row.keeps},
                   {"keeps_untold", row.untold ? Json(*row.untold) : Json(nullptr)},
                   {"moves_bytes_per_s", row.moves},
                   {"co_runner_keeps", row.co_keeps},
                   {"lost_per_second", row.lost},
                   {"best", row.best}});
  }
  return out;
}

}  // namespace trainmeter
