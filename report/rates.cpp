// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From samples and publications to rates.
#include "report/rates.hpp"

#include "record/formulas.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/rate_lines.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace trainmeter {
namespace {

constexpr double kPublishedNoise = 0.03;  // published figures print no spread: 3 % assumed

std::int64_t shape_or_zero(const std::map<std::string, std::int64_t>& shape, const char* key) {
  const auto found = shape.find(key);
  return found == shape.end() ? 0 : found->second;
}

std::string how_of(const RatePoint& point, const std::string& fit) {
  return point.transferred.empty() ? fit : fmt::format("{}, {}", fit, point.projection);
}

}  // namespace

Rate rate_at(const RatePoint& point, double shape, const std::string& fit) {
  return {.value = point.value,
          .noise = point.noise,
          .shape = shape,
          .origin = point.origin,
          .how = how_of(point, fit),
          .basis = point.published             ? Basis::published
                   : point.transferred.empty() ? Basis::measured
                                               : Basis::projected,
          .figure = point.published ? point.name : "",
          .key = "",
          .of_weight_gradients = point.of_weight_gradients(),
          .sustained = point.regime == "sustained" || point.power_capped};
}

std::string_view to_string(Basis basis) {
  switch (basis) {
    case Basis::measured:
      return "measured";
    case Basis::projected:
      return "projected";
    case Basis::published:
      return "published";
    case Basis::datasheet:
      return "datasheet";
    case Basis::assumed:
      return "assumed";
  }
  return "";
}

// The shape's part of a point, the same for what we measured and what others published.
RatePoint shaped(const std::map<std::string, std::int64_t>& shape) {
  RatePoint out;
  out.m = shape_or_zero(shape, "m");
  out.n = shape_or_zero(shape, "n");
  out.k = shape_or_zero(shape, "k");
  out.bytes = shape_or_zero(shape, "bytes");
  out.groups = std::max<std::int64_t>(1, shape_or_zero(shape, "groups"));
  out.seq_len = shape_or_zero(shape, "seq_len");
  out.head_dim = shape_or_zero(shape, "head_dim");
  out.value_dim = shape_or_zero(shape, "value_dim");
  if (const auto kv_heads = shape_or_zero(shape, "kv_heads"); kv_heads > 0)
    out.group = shape_or_zero(shape, "heads") / kv_heads;
  out.queries = shape_or_zero(shape, "queries");
  out.causal = !shape.contains("causal") || shape.at("causal") == 1;
  return out;
}

RatePoint point_of(const Record& record, const Line& line) {
  const Measurement& m = line.measurement;
  RatePoint out = shaped(m.shape);
  out.operation = m.operation;
  out.dtype = m.dtype;
  out.backend = m.backend;
  out.layout = m.layout;
  out.pass_layout = pass_layout(m);
  out.adds = m.shape.contains("accumulate");
  const auto skew = m.notes.find("skew");
  out.uneven = skew != m.notes.end() && skew->second != "balanced";
  out.ranks = m.ranks;
  out.work_bytes = m.bytes;
  out.value = rate_of(m, record.header_of(line));
  out.noise = noise_of(m);
  out.name = m.name;
  out.origin = fmt::format("{}:{}", record.file.string(), line.line);
  out.power_w = settled_power_w(m).value_or(0);
  out.clock_hz = m.sm_clock_hz.empty() ? 0 : median(m.sm_clock_hz);
  out.regime = record.header_of(line).discipline.regime;
  out.power_capped = std::ranges::any_of(m.throttle_reasons, [](const std::string& reason) {
    return reason == "sw_power_cap" || reason == "hw_power_brake_slowdown";
  });
  return out;
}

void RateBook::add(const std::vector<Record>& records) {
  for (const RateLine& of : one_a_case(rate_lines(records))) add(point_of(*of.record, *of.line));
}

void RateBook::set_measured_in_steps(const std::vector<Record>& records) {
  set_in_place(measured_in_place(records));
  set_slowdowns(measured_slowdowns(records));
  set_layers_beside(layers_beside_communication(records));
}

void RateBook::add(const Record& record) {
  for (const RateLine& of : one_a_case(rate_lines(std::vector<const Record*>{&record})))
    add(point_of(record, *of.line));
}

namespace {

RatePoint point_of(const MicroFigure& figure) {
  RatePoint out = shaped(figure.shape);
  out.operation = figure.operation;
  out.dtype = figure.dtype;
  out.backend = figure.backend;
  out.layout = out.pass_layout = "none";
  out.ranks = figure.ranks;
  out.value =
      figure.flops_per_s.value_or(figure.bytes_per_s.value_or(figure.bus_bytes_per_s.value_or(0)));
  out.noise = kPublishedNoise;
  out.name = figure.id;
  out.origin = fmt::format("published: {}, {}", figure.source.title, figure.source.locator);
  out.published = true;
  out.place = figure.place;
  return out;
}

}  // namespace

void RateBook::add_published(const Library& library, const System& system) {
  describe(system);
  const std::vector<std::string> ids = library.ids("micro");
  // Its own first, so that a transfer is used only where there is nothing better.
  for (const bool own : {true, false}) {
    for (const std::string& id : ids) {
      const Micro& micro = library.micro(id);
      if ((micro.system == system.id) != own) continue;
      const System measured_on = library.system(micro.system);
      std::vector<RatePoint> points, later;
      for (const MicroFigure& figure : micro.figures) {
        // What a stack's collectives make of other links is a factor of the model.
        if (figure.refuted || (!own && figure.bus_bytes_per_s)) continue;
        RatePoint point = point_of(figure);
        point.one_node = point.ranks <= measured_on.gpus_per_node;
        (figure.predicts ? points : later).push_back(std::move(point));
      }
      // Published figures print no power: who uses them applies the cap. The factors were
      // calibrated with GEMMs as they are.
      const System& from = own ? system : measured_on;
      const TransferOptions options{.farthest = Nearness::same_chip,
                                    .power = false,
                                    .gemm_shapes = false,
                                    .exponent = {},
                                    .known = &points_};
      const Projection beyond = project(later, from, system, options);
      const Projection projection = project(points, from, system, options);
      later_.insert(later_.end(), beyond.points.begin(), beyond.points.end());
      points_.insert(points_.end(), projection.points.begin(), projection.points.end());
    }
  }
}

double RateBook::cap_held(const std::string& dtype) const {
  const auto best = best_gemm(dtype);
  if (best && best->published && !best->transferred.empty()) return 0;
  if (!best || best->published) return device_.power_w.value_or(0);
  return best->cap_w > 0 ? best->cap_w : device_.power_w.value_or(0);
}

std::optional<Rate> RateBook::kernel(std::string_view operation, std::string_view dtype,
                                     double bytes) const {
  const RatePoint* best = nullptr;
  double nearest = std::numeric_limits<double>::infinity();
  for (const RatePoint& p : points_) {
    if (p.operation != operation || p.dtype != dtype || !(p.work_bytes > 0)) continue;
    const double distance = std::abs(std::log(p.work_bytes / bytes));
    if (distance < nearest) {
      best = &p;
      nearest = distance;
    }
  }
  if (best == nullptr) return std::nullopt;
  constexpr double kSame = 1e-6;
  return nearest < kSame ? rate_at(*best, 0, "exact size")
                         : rate_at(*best, kLeastShapeError * (1 + nearest), "nearest size");
}

std::optional<Rate> RateBook::memory() const {
  for (const bool transferred : {false, true}) {
    for (const char* kernel : {"triad", "copy", "read"}) {
      const RatePoint* best = nullptr;
      for (const RatePoint& point : points_) {
        if (point.operation != kernel || point.transferred.empty() == transferred) continue;
        if (best == nullptr || point.value > best->value) best = &point;
      }
      if (best != nullptr) return rate_at(*best, 0, kernel);
    }
  }
  return std::nullopt;
}

std::optional<Rate> RateBook::register_peak(const std::string& dtype) const {
  const RatePoint* best = nullptr;
  for (const RatePoint& point : points_) {
    if (point.operation == "fma" && point.dtype == dtype &&
        (best == nullptr || point.value > best->value))
      best = &point;
  }
  if (best == nullptr) return std::nullopt;
  return rate_at(*best, 0, "register loop");
}

namespace {

void raise_to_best_gemm(std::optional<RatePoint>& best, const std::vector<RatePoint>& points,
                        const std::string& dtype) {
  for (const RatePoint& point : points) {
    if (point.operation == "gemm" && point.dtype == dtype && (!best || point.value > best->value))
      best = point;
  }
}

}  // namespace

std::optional<RatePoint> RateBook::best_gemm(const std::string& dtype) const {
  std::optional<RatePoint> best;
  raise_to_best_gemm(best, points_, dtype);
  return best;
}

std::optional<RatePoint> RateBook::best_known_gemm(const std::string& dtype) const {
  std::optional<RatePoint> best = best_gemm(dtype);
  raise_to_best_gemm(best, later_, dtype);
  return best;
}

}  // namespace trainmeter
