// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The formulas of record/formulas.hpp, and nothing else.
#include "record/formulas.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace trainmeter {

double gemm_flops(std::int64_t m, std::int64_t n, std::int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

double gemm_bytes(std::int64_t m, std::int64_t n, std::int64_t k, double input_bytes,
                  double output_bytes) {
  const auto rows = static_cast<double>(m);
  const auto columns = static_cast<double>(n);
  const auto depth = static_cast<double>(k);
  return (rows * depth + depth * columns) * input_bytes + rows * columns * output_bytes;
}

double stream_bytes(std::string_view kernel, double array_bytes) {
  if (kernel == "copy") return 2 * array_bytes;
  if (kernel == "read" || kernel == "write") return array_bytes;
  if (kernel == "triad") return 3 * array_bytes;
  throw std::invalid_argument("stream_bytes: unknown kernel '" + std::string(kernel) + "'");
}

double bus_factor(std::string_view collective, std::int64_t ranks) {
  if (ranks < 1) throw std::invalid_argument("bus_factor: ranks must be at least 1");
  const auto n = static_cast<double>(ranks);
  if (collective == "allreduce") return 2 * (n - 1) / n;
  if (collective == "allgather" || collective == "reducescatter" || collective == "alltoall") {
    return (n - 1) / n;
  }
  if (collective == "broadcast" || collective == "reduce" || collective == "sendrecv") {
    return ranks > 1 ? 1 : 0;
  }
  throw std::invalid_argument("bus_factor: unknown collective '" + std::string(collective) + "'");
}

double rate(double work, double seconds) {
  return seconds > 0 ? work / seconds : std::numeric_limits<double>::quiet_NaN();
}

double mfu(double tokens_per_s, double flops_per_token, double gpus, double peak_flops) {
  return rate(tokens_per_s * flops_per_token, gpus * peak_flops);
}

double gpu_hours(double gpus, double wall_s) {
  return gpus * wall_s / 3600;
}

double cost_usd(double gpu_hours, double price_usd_per_gpu_hour) {
  return gpu_hours * price_usd_per_gpu_hour;
}

double printed_unit(double printed) {
  if (!(printed > 0) || !std::isfinite(printed)) {
    throw std::invalid_argument("printed_unit: expected a positive number");
  }
  double unit = 1;
  if (printed == std::floor(printed)) {
    while (std::fmod(printed, unit * 10) == 0) unit *= 10;
    return unit;
  }
  // Up to six decimals; doubles hold no more of a printed figure faithfully.
  for (int digits = 1; digits <= 6; ++digits) {
    unit /= 10;
    const double scaled = printed / unit;
    if (std::abs(scaled - std::round(scaled)) < 1e-6 * scaled) return unit;
  }
  return unit;
}

bool agrees_within_rounding(double computed, double printed, double unit) {
  return std::abs(computed - printed) <= unit / 2 * (1 + 1e-9);
}

}  // namespace trainmeter
