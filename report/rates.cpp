// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From samples and publications to rates.
#include "report/rates.hpp"

#include "record/formulas.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainmeter {
namespace {

constexpr double kPublishedNoise = 0.03;  // published figures print no spread: 3 % assumed
constexpr double kLeastShapeError =
    0.05;  // where fewer than three shapes are known to learn it from
constexpr double kTransferNoise =
    0.05;  // another card of the same die: clocks under its own power cap

bool is_memory_kernel(std::string_view operation) {
  return operation == "copy" || operation == "read" || operation == "write" || operation == "triad";
}

bool is_compute(std::string_view operation) {
  return operation == "gemm" || operation == "fma";
}

std::int64_t shape_or_zero(const std::map<std::string, std::int64_t>& shape, const char* key) {
  const auto found = shape.find(key);
  return found == shape.end() ? 0 : found->second;
}

double distance(const RatePoint& point, std::int64_t m, std::int64_t n, std::int64_t k) {
  if (point.m <= 0 || point.n <= 0 || point.k <= 0) return std::numeric_limits<double>::infinity();
  const auto ratio = [](std::int64_t a, std::int64_t b) {
    return std::abs(std::log(static_cast<double>(a) / static_cast<double>(b)));
  };
  return ratio(point.m, m) + ratio(point.n, n) + ratio(point.k, k);
}

std::string how_of(const RatePoint& point, const std::string& fit) {
  return point.transferred.empty() ? fit
                                   : fmt::format("{}, transferred from {}", fit, point.transferred);
}

Rate rate_at(const RatePoint& point, double shape, const std::string& fit) {
  return {.value = point.value,
          .noise = point.noise,
          .shape = shape,
          .origin = point.origin,
          .how = how_of(point, fit)};
}

}  // namespace

double noise_of(const Measurement& m) {
  return 1.4826 * median_absolute_deviation(m.time_s) / median(m.time_s);
}

double rate_of(const Measurement& m, const Header& header) {
  const double seconds = median(m.time_s);
  if (is_compute(m.operation)) {
    return rate(m.flops, seconds) /
           static_cast<double>(std::max<std::int64_t>(1, header.device.count));
  }
  if (is_memory_kernel(m.operation)) return rate(m.bytes, seconds);
  return rate(m.bytes, seconds) * bus_factor(m.operation, m.ranks);
}

void RateBook::add(const Record& record) {
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    if (!m.usable() || m.beside != "none") continue;
    points_.push_back({.operation = m.operation,
                       .dtype = m.dtype,
                       .backend = m.backend,
                       .layout = m.layout,
                       .m = shape_or_zero(m.shape, "m"),
                       .n = shape_or_zero(m.shape, "n"),
                       .k = shape_or_zero(m.shape, "k"),
                       .bytes = shape_or_zero(m.shape, "bytes"),
                       .ranks = m.ranks,
                       .value = rate_of(m, record.header_of(line)),
                       .noise = noise_of(m),
                       .name = m.name,
                       .origin = fmt::format("{}:{}", record.file.string(), line.line),
                       .transferred = ""});
  }
}

void RateBook::add_published(const Library& library, const System& system) {
  const auto add_from = [&](const Micro& micro, const System& from) {
    const bool same = from.id == system.id;
    for (const MicroFigure& figure : micro.figures) {
      const bool compute = figure.flops_per_s.has_value();
      if (!same) {
        // Compute carries over between the same SMs at the same tensor rate; memory scales with its
        // bandwidth; links don't carry over.
        const auto peak = [&](const System& s) {
          const auto found = s.peak_flops.find(figure.dtype);
          return found == s.peak_flops.end() ? 0.0 : found->second;
        };
        if (compute && !(from.sms == system.sms && peak(from) > 0 && peak(from) == peak(system)))
          continue;
        if (figure.bus_bytes_per_s) continue;
        if (figure.bytes_per_s &&
            !(from.memory_bytes_per_s && system.memory_bytes_per_s && from.sms == system.sms))
          continue;
        const bool known_here = std::ranges::any_of(points_, [&](const RatePoint& p) {
          return p.transferred.empty() &&
                 (compute ? p.operation == figure.operation && p.dtype == figure.dtype
                          : is_memory_kernel(p.operation));
        });
        if (known_here) continue;
      }
      double value = figure.flops_per_s.value_or(
          figure.bytes_per_s.value_or(figure.bus_bytes_per_s.value_or(0)));
      if (!same && figure.bytes_per_s)
        value *= *system.memory_bytes_per_s / *from.memory_bytes_per_s;
      points_.push_back(
          {.operation = figure.operation,
           .dtype = figure.dtype,
           .backend = figure.backend,
           .layout = "none",
           .m = shape_or_zero(figure.shape, "m"),
           .n = shape_or_zero(figure.shape, "n"),
           .k = shape_or_zero(figure.shape, "k"),
           .bytes = shape_or_zero(figure.shape, "bytes"),
           .ranks = figure.ranks,
           .value = value,
           .noise = same ? kPublishedNoise : std::hypot(kPublishedNoise, kTransferNoise),
           .name = figure.id,
           .origin = fmt::format("published: {}, {}", figure.source.title, figure.source.locator),
           .transferred = same ? "" : from.id});
    }
  };
  const std::vector<std::string> ids = library.ids("micro");
  // Its own first, so that a transfer is used only where there is nothing better.
  for (const bool own : {true, false}) {
    for (const std::string& id : ids) {
      const Micro micro = library.micro(id);
      if ((micro.system == system.id) == own)
        add_from(micro, own ? system : library.system(micro.system));
    }
  }
}

// How wrong the nearest other shape's rate is, learnt by leaving each shape out: root mean square
// of the log ratio.
double RateBook::shape_error(const std::string& dtype) const {
  double sum = 0;
  int count = 0;
  for (const RatePoint& left_out : points_) {
    if (left_out.operation != "gemm" || left_out.dtype != dtype || left_out.m == 0) continue;
    const RatePoint* nearest_other = nullptr;
    double best = std::numeric_limits<double>::infinity();
    for (const RatePoint& other : points_) {
      if (other.operation != "gemm" || other.dtype != dtype || other.backend != left_out.backend)
        continue;
      const double d = distance(other, left_out.m, left_out.n, left_out.k);
      if (d > 0 && d < best) {
        best = d;
        nearest_other = &other;
      }
    }
    if (nearest_other == nullptr) continue;
    const double error = std::log(nearest_other->value / left_out.value);
    sum += error * error;
    ++count;
  }
  return count < 3 ? kLeastShapeError : std::max(kLeastShapeError, std::sqrt(sum / count));
}

std::optional<Rate> RateBook::gemm(const std::string& dtype, std::string_view layout,
                                   std::int64_t m, std::int64_t n, std::int64_t k) const {
  constexpr double kOtherLayout = 0.1;  // tie-break: the layout asked for, where both were measured
  const RatePoint* best = nullptr;
  double best_distance = std::numeric_limits<double>::infinity();
  for (const RatePoint& point : points_) {
    if (point.operation != "gemm" || point.dtype != dtype) continue;
    const double other_layout = point.layout == layout || point.layout == "none" ? 0 : kOtherLayout;
    const double d = distance(point, m, n, k) + other_layout;
    const bool nearer = d < best_distance - 1e-9;
    const bool as_near_and_faster =
        d < best_distance + 1e-9 && best != nullptr && point.value > best->value;
    if (nearer || as_near_and_faster) {
      best = &point;
      best_distance = d;
    }
  }
  if (best == nullptr) {  // only figures without a shape: better than nothing, and said so
    const auto any = best_gemm(dtype);
    if (!any) return std::nullopt;
    return rate_at(*any, 2 * shape_error(dtype), "shape not printed");
  }
  if (best_distance == 0) return rate_at(*best, 0, "exact shape");
  return rate_at(*best, shape_error(dtype),
                 fmt::format("nearest shape {}x{}x{}", best->m, best->n, best->k));
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

std::optional<Rate> RateBook::bus(std::string_view collective, double bytes) const {
  const RatePoint* best = nullptr;
  double best_distance = std::numeric_limits<double>::infinity();
  for (const RatePoint& point : points_) {
    if (point.operation != collective || point.ranks < 2) continue;
    const double d =
        point.bytes > 0 ? std::abs(std::log(static_cast<double>(point.bytes) / bytes)) : 1e3;
    if (d < best_distance) {
      best = &point;
      best_distance = d;
    }
  }
  if (best == nullptr) return std::nullopt;
  return rate_at(*best, best_distance < 0.7 ? 0 : kLeastShapeError, "nearest payload");
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

std::optional<RatePoint> RateBook::best_gemm(const std::string& dtype) const {
  std::optional<RatePoint> best;
  for (const RatePoint& point : points_) {
    if (point.operation == "gemm" && point.dtype == dtype && (!best || point.value > best->value))
      best = point;
  }
  return best;
}

}  // namespace trainmeter
