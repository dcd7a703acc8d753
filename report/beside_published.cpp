// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Matches measured shapes with published ones, and says what else differs.
#include "report/beside_published.hpp"

#include "record/names.hpp"
#include "report/rate_lines.hpp"
#include "report/story.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

namespace trainmeter {
namespace {

std::int64_t size_in(const std::map<std::string, std::int64_t>& shape, const char* key) {
  const auto found = shape.find(key);
  return found == shape.end() ? 0 : found->second;
}

// Type, scales, m, n, k, groups. Published groups have m rows each, a grouped_gemm's m is of all.
using Key =
    std::tuple<std::string, std::string, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

Key key_of(const MicroFigure& f) {
  const std::int64_t groups = std::max<std::int64_t>(size_in(f.shape, "groups"), 1);
  return {f.dtype,
          f.scaling,
          groups * size_in(f.shape, "m"),
          size_in(f.shape, "n"),
          size_in(f.shape, "k"),
          groups};
}

std::optional<Key> key_of(const Measurement& m) {
  if (m.operation != "gemm" && m.operation != "grouped_gemm") return std::nullopt;
  const std::int64_t groups = std::max<std::int64_t>(size_in(m.shape, "groups"), 1);
  const bool products_side_by_side = m.operation == "gemm" && groups > 1;
  const auto skew = m.notes.find("skew");
  const bool skewed = skew != m.notes.end() && skew->second != "balanced";
  if (products_side_by_side || skewed || m.layout != "nt" || m.shape.contains("accumulate") ||
      m.shape.contains("fp32_out"))
    return std::nullopt;
  return Key{
      m.dtype, m.scaling, size_in(m.shape, "m"), size_in(m.shape, "n"), size_in(m.shape, "k"),
      groups};
}

// The highest figure of each shape, of GPUs with the same chip, and the system it is of.
std::map<Key, std::pair<MicroFigure, std::string>> published_gemms(const System& machine,
                                                                   const Library& library) {
  std::map<Key, std::pair<MicroFigure, std::string>> best;
  for (const std::string& id : library.ids("micro")) {
    const Micro& micro = library.micro(id);
    const System& system = library.system(micro.system);
    for (const MicroFigure& figure : micro.figures) {
      if (figure.operation != "gemm" || !figure.flops_per_s || size_in(figure.shape, "m") < 1 ||
          nearness(system, machine, figure.operation, figure.dtype) > Nearness::same_chip)
        continue;
      const auto [at, fresh] = best.try_emplace(key_of(figure), figure, micro.system);
      if (!fresh && *at->second.first.flops_per_s < *figure.flops_per_s)
        at->second = {figure, micro.system};
    }
  }
  return best;
}

std::string shown_method(const std::string& method) {
  return method.empty() ? "as usual" : method;
}

// Of one backend, type, method and publisher: how many shapes, the mean and the lowest ratio.
std::vector<Text> summaries(const std::vector<BesidePublished>& rows) {
  std::map<std::tuple<std::string, std::string, std::string, std::string>,
           std::vector<const BesidePublished*>>
      groups;
  for (const BesidePublished& row : rows)
    groups[{row.point.backend, row.point.dtype, row.method, row.figure.backend}].push_back(&row);
  std::vector<Text> out;
  for (const auto& [key, members] : groups) {
    const auto& [backend, dtype, method, publisher] = key;
    double logs = 0;
    for (const BesidePublished* row : members) logs += std::log(row->ratio());
    const BesidePublished* lowest =
        *std::ranges::min_element(members, {}, [](const auto* row) { return row->ratio(); });
    out.emplace_back(fmt::format(
        "{} {}, {}: {:.3f} of {}'s in geometric mean over {} shape{}, the lowest {:.3f} ({})",
        backend, dtype, shown_method(method), std::exp(logs / static_cast<double>(members.size())),
        publisher, members.size(), members.size() == 1 ? "" : "s", lowest->ratio(),
        shown_gemm(lowest->point)));
  }
  return out;
}

}  // namespace

std::vector<BesidePublished> beside_published(const std::vector<Record>& records,
                                              const System& machine, const Library& library) {
  std::vector<BesidePublished> rows;
  if (machine.kind != "gpu") return rows;
  const auto published = published_gemms(machine, library);
  std::map<std::pair<std::string, std::string>, std::size_t> seen;  // by name and method
  std::vector<RateLine> lines;
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      if (gives_rate(line.measurement, record.header_of(line))) lines.push_back({&record, &line});
    }
  }
  for (const RateLine& of : one_a_case(lines)) {
    const std::optional<Key> key = key_of(of.line->measurement);
    if (!key) continue;
    const auto found = published.find(*key);
    if (found == published.end()) continue;
    BesidePublished row{.point = point_of(*of.record, *of.line),
                        .method = of.record->header_of(*of.line).discipline.regime,
                        .figure = found->second.first,
                        .system = found->second.second};
    const auto [at, fresh] = seen.try_emplace({row.point.name, row.method}, rows.size());
    if (fresh) {
      rows.push_back(std::move(row));
    } else if (rows[at->second].point.value < row.point.value) {
      rows[at->second] = std::move(row);
    }
  }
  return rows;
}

Document to_document(const std::vector<BesidePublished>& rows) {
  Document out;
  if (rows.empty()) return out;
  out.emplace_back(Heading{2, "Beside what others published of the same shapes"});
  Table table{{"m x n x k", "dtype", "backend", "method", ">clock", ">power", ">measured",
               ">published", "of", ">measured / published"},
              {}};
  for (const BesidePublished& row : rows) {
    const RatePoint& p = row.point;
    table.rows.push_back({shown_gemm(p), p.dtype, p.backend, shown_method(row.method),
                          p.clock_hz > 0 ? fmt::format("{:.2f} GHz", p.clock_hz / 1e9) : "-",
                          p.power_w > 0 ? fmt::format("{:.0f} W", p.power_w) : "n/a",
                          format_flops(p.value), format_flops(*row.figure.flops_per_s),
                          fmt::format("{}, {}", row.figure.backend, row.system),
                          fmt::format("{:.3f}", row.ratio())});
  }
  out.emplace_back(std::move(table));
  std::vector<Text> notes = summaries(rows);
  notes.emplace_back(
      "the published ones are the highest of each shape, on a GPU with the same chip, whatever "
      "its memory and links; clock, power and rests between runs are printed by few sources: a "
      "burst is a few runs after a rest, sustained is after half a minute of work; power where its "
      "readings had settled, or the energy counter tells");
  out.emplace_back(Bullets{std::move(notes)});
  return out;
}

nlohmann::ordered_json to_json(const BesidePublished& row) {
  return {{"name", row.point.name},
          {"method", shown_method(row.method)},
          {"flops_per_s", row.point.value},
          {"sm_clock_hz", row.point.clock_hz},
          {"power_w", row.point.power_w > 0 ? nlohmann::ordered_json(row.point.power_w) : nullptr},
          {"origin", row.point.origin},
          {"figure", row.figure.id},
          {"system", row.system},
          {"published_flops_per_s", *row.figure.flops_per_s},
          {"ratio", row.ratio()}};
}

}  // namespace trainmeter
