// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From samples and publications to rates.
#include "report/rates.hpp"

#include "record/formulas.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/gemm_curve.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace trainmeter {
namespace {

constexpr double kPublishedNoise = 0.03;  // published figures print no spread: 3 % assumed

std::int64_t shape_or_zero(const std::map<std::string, std::int64_t>& shape, const char* key) {
  const auto found = shape.find(key);
  return found == shape.end() ? 0 : found->second;
}

bool of_weight_gradients(const RatePoint& p) {
  return p.pass_layout == "tn";
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
          .of_weight_gradients = of_weight_gradients(point),
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

std::vector<RateLine> rate_lines(const std::vector<const Record*>& records) {
  std::vector<RateLine> lines;
  std::set<std::string> with_blocks;  // devices
  for (const Record* record : records) {
    for (const Line& line : record->lines) {
      const Measurement& m = line.measurement;
      if (!gives_rate(m, record->header_of(line)) || m.notes.contains("hosts")) continue;
      lines.push_back({record, &line});
      if (m.scaling == "block128") with_blocks.insert(record->header_of(line).device.name);
    }
  }
  std::erase_if(lines, [&](const RateLine& of) {
    return of.line->measurement.scaling == "tensor" &&
           with_blocks.contains(of.record->header_of(*of.line).device.name);
  });
  return lines;
}

std::vector<RateLine> rate_lines(const std::vector<Record>& records) {
  std::vector<const Record*> all;
  for (const Record& record : records) all.push_back(&record);
  return rate_lines(all);
}

void RateBook::add(const std::vector<Record>& records) {
  for (const RateLine& of : rate_lines(records)) add(point_of(*of.record, *of.line));
}

void RateBook::add(const Record& record) {
  for (const RateLine& of : rate_lines(std::vector<const Record*>{&record}))
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

struct RateBook::Known {
  const RatePoint* point = nullptr;
  GemmSize size = {};  // of one group
  double log_m = 0, log_n = 0, log_k = 0;
  double residual = 0;  // log of rate / share of the curve
  double distance = 0;  // to the shape asked for
};

namespace {

constexpr double kReach = 1.0;        // in log of a dimension: how far a shape speaks for others
constexpr double kOtherLayout = 0.1;  // added to the distance of another layout
constexpr double kOutside = 0.05;     // weight of all shapes together where none is near

double log_of(std::int64_t value) {
  return std::log(static_cast<double>(value));
}

bool serves(const RatePoint& p, std::string_view layout) {
  return p.pass_layout == "none" || p.pass_layout == layout_that_serves(p.dtype, layout);
}

// Of one group. A grouped GEMM's rows, in a weight gradient its k, are those of all.
GemmSize size_of(const RatePoint& p) {
  if (p.operation != "grouped_gemm") return {p.m, p.n, p.k, p.groups};
  return of_weight_gradients(p) ? GemmSize{p.m, p.n, p.k / p.groups, p.groups}
                                : GemmSize{p.m / p.groups, p.n, p.k, p.groups};
}

double distance(const GemmSize& a, const GemmSize& b) {
  return std::hypot(log_of(a[0] * a[3]) - log_of(b[0] * b[3]), log_of(a[1]) - log_of(b[1]),
                    log_of(a[2]) - log_of(b[2]));
}

}  // namespace

// One for each shape: the best backend, in the layout asked for where both were measured. Weight
// gradients are kernels of their own: only theirs, where one near by was measured; and all others
// by all others.
std::vector<RateBook::Known> RateBook::known_shapes(const std::string& dtype,
                                                    std::string_view layout,
                                                    const GemmSize& near) const {
  std::vector<const RatePoint*> all;
  for (const RatePoint& p : points_) {
    const bool gemm = p.operation == "gemm" || (p.operation == "grouped_gemm" && !p.uneven);
    if (gemm && p.dtype == dtype && p.m > 0 && p.n > 0 && p.k > 0) all.push_back(&p);
  }
  const auto keep = [&](bool weight_gradients) {
    std::vector<const RatePoint*> out;
    std::ranges::copy_if(all, std::back_inserter(out), [&](const RatePoint* p) {
      return of_weight_gradients(*p) == weight_gradients;
    });
    return out;
  };
  std::vector<const RatePoint*> those = keep(false);
  if (layout == "tn") {
    std::vector<const RatePoint*> own = keep(true);
    const auto is_near = [&](const RatePoint* p) { return distance(size_of(*p), near) < kReach; };
    if (std::ranges::any_of(own, is_near)) those = std::move(own);
  }
  if (those.empty()) those = std::move(all);

  const auto peak = device_.peak_flops.find(dtype);
  const double peak_flops = peak == device_.peak_flops.end() ? 0 : peak->second;
  std::vector<Known> out;
  for (const RatePoint* p : those) {
    const GemmSize size = size_of(*p);
    const auto same = std::ranges::find(out, size, &Known::size);
    const auto [m, n, k, groups] = size;
    const double share = gemm_share(device_, dtype, m, n, k, groups, peak_flops);
    const Known known{.point = p,
                      .size = size,
                      .log_m = log_of(m * groups),
                      .log_n = log_of(n),
                      .log_k = log_of(k),
                      .residual = std::log(p->value / share)};
    if (same == out.end()) {
      out.push_back(known);
    } else if (serves(*p, layout) != serves(*same->point, layout) ? serves(*p, layout)
                                                                  : p->value > same->point->value) {
      *same = known;
    }
  }
  return out;
}

// Weighted mean of the residuals, by a Gaussian of the distance; far from everything, of all.
// `distance` is that of the nearest.
RateBook::Known RateBook::interpolated(const std::vector<Known>& known, double m, double n,
                                       double k, const RatePoint* left_out) {
  Known out;
  out.distance = std::numeric_limits<double>::infinity();
  double sum = 0;
  double weights = 0;
  double nearest_weight = 0;
  for (const Known& other : known) {
    if (other.point == left_out) continue;
    const double distance = std::hypot(other.log_m - m, other.log_n - n, other.log_k - k);
    const double near = std::exp(-0.5 * distance * distance / (kReach * kReach));
    const double weight = near + kOutside / static_cast<double>(known.size());
    sum += weight * other.residual;
    weights += weight;
    nearest_weight = std::max(nearest_weight, near);
    if (distance < out.distance) {
      out.distance = distance;
      out.point = other.point;
    }
  }
  out.residual = sum / weights;
  return out;
}

// How wrong the curve is where a shape wasn't measured, learnt by leaving each out: root mean
// square of the log ratio.
double RateBook::shape_error(const std::vector<Known>& known) {
  if (known.size() < 3) return kLeastShapeError;
  double sum = 0;
  for (const Known& k : known) {
    const double guess = interpolated(known, k.log_m, k.log_n, k.log_k, k.point).residual;
    sum += (guess - k.residual) * (guess - k.residual);
  }
  return std::max(kLeastShapeError, std::sqrt(sum / static_cast<double>(known.size())));
}

std::optional<Rate> RateBook::gemm(const std::string& dtype, std::string_view layout,
                                   std::int64_t m, std::int64_t n, std::int64_t k,
                                   std::int64_t groups) const {
  const GemmSize wanted = {m, n, k, groups};
  const std::vector<Known> known = known_shapes(dtype, layout, wanted);
  if (known.empty()) {  // only figures without a shape: better than nothing, and said so
    const auto any = best_gemm(dtype);
    if (!any) return std::nullopt;
    return rate_at(*any, 4 * kLeastShapeError, "shape not printed");
  }
  for (const Known& one : known) {
    if (serves(*one.point, layout) && one.size == wanted)
      return rate_at(*one.point, 0, "exact shape");
  }
  const auto peak = device_.peak_flops.find(dtype);
  const double share = gemm_share(device_, dtype, m, n, k, groups,
                                  peak == device_.peak_flops.end() ? 0 : peak->second);
  const Known at = interpolated(known, log_of(m * groups), log_of(n), log_of(k), nullptr);
  // The uncertainty grows with the distance to the nearest known shape, up to twice the error
  // there.
  const bool same = at.point->pass_layout == layout_that_serves(dtype, layout);
  const double apart = at.distance + (same ? 0 : kOtherLayout);
  const double far = 1 - std::exp(-0.5 * apart * apart / (kReach * kReach));
  const auto [near_m, near_n, near_k, near_groups] = size_of(*at.point);
  Rate rate = rate_at(*at.point, shape_error(known) * (0.5 + 1.5 * far),
                      fmt::format("between shapes, nearest {}{}x{}x{}",
                                  near_groups > 1 ? fmt::format("{} x ", near_groups) : "", near_m,
                                  near_n, near_k));
  rate.value = share * std::exp(at.residual);
  return rate;
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
