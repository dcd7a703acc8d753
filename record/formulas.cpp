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

double step_kernel_bytes(std::string_view kernel, const std::map<std::string, std::int64_t>& shape,
                         double element_bytes) {
  const auto size = [&](const char* key) { return static_cast<double>(shape.at(key)); };
  const auto blocks = [&](const char* key) { return std::ceil(size(key) / 128); };
  if (kernel == "adamw") return size("weights") * adamw_bytes(element_bytes);
  const double rows = size("rows");
  if (kernel == "rope" || kernel == "rope_backward") {
    return rows * size("head_dim") * (2 * size("heads") * element_bytes + 4);
  }
  if (kernel == "topk_softmax")
    return rows * size("experts") * element_bytes + 8 * rows * size("top_k");
  if (kernel == "topk_sigmoid")
    return (rows * element_bytes + 4) * size("experts") + 12 * rows * size("top_k");
  if (kernel == "topk_softmax_backward" || kernel == "topk_sigmoid_backward")
    return rows * size("experts") * element_bytes + 12 * rows * size("top_k");
  const double cols = size("cols");
  const double matrix = rows * cols;
  if (kernel == "rmsnorm") return (2 * matrix + cols) * element_bytes;
  if (kernel == "swiglu" || kernel == "residual_add") return 3 * matrix * element_bytes;
  if (kernel == "rmsnorm_backward") return (3 * matrix + cols) * element_bytes + 4 * cols;
  if (kernel == "layernorm") return 2 * (matrix + cols) * element_bytes;
  if (kernel == "layernorm_backward") return (3 * matrix + cols) * element_bytes + 8 * cols;
  if (kernel == "gelu") return 2 * matrix * element_bytes;
  if (kernel == "gelu_backward") return 3 * matrix * element_bytes;
  if (kernel == "swiglu_backward") return 5 * matrix * element_bytes;
  const double scales = 4 * rows * blocks("cols");
  if (kernel == "cast_fp8") return matrix * (element_bytes + 1) + scales;
  if (kernel == "cast_fp8_transpose") {
    return matrix * (element_bytes + 2) + scales + 4 * cols * blocks("rows");
  }
  if (kernel == "cast_fp8_block")
    return matrix * (element_bytes + 1) + 4 * blocks("rows") * blocks("cols");
  if (kernel == "recast_fp8") return matrix * 2 + scales + 4 * cols * blocks("rows");
  if (kernel == "permute" || kernel == "permute_backward") {
    return matrix * element_bytes * (1 + size("top_k")) + 4 * rows * size("top_k");
  }
  if (kernel == "unpermute")
    return matrix * element_bytes * (1 + size("top_k")) + 8 * rows * size("top_k");
  if (kernel == "unpermute_backward")
    return matrix * element_bytes * (1 + 2 * size("top_k")) + 12 * rows * size("top_k");
  if (kernel == "cross_entropy") return 2 * matrix * element_bytes + 8 * rows;
  throw std::invalid_argument("step_kernel_bytes: unknown kernel '" + std::string(kernel) + "'");
}

double attention_flops(const AttentionSize& a, bool backward) {
  const double seen = a.causal ? a.keys - a.queries / 2 : a.keys;
  const double forward = 2 * a.batch * a.heads * a.queries * seen * (a.head_dim + a.value_dim);
  return backward ? 2.5 * forward : forward;
}

double attention_bytes(const AttentionSize& a, bool backward, double element_bytes) {
  const double rows = a.batch * a.heads * a.queries;
  const double kv_rows = a.batch * a.kv_heads * a.keys;
  const double once = (rows + kv_rows) * (a.head_dim + a.value_dim) * element_bytes;
  return (backward ? 2 : 1) * once + 4 * rows;
}

double adamw_bytes(double element_bytes) {
  constexpr double kFp32 = 4;
  return 7 * kFp32 + (element_bytes < kFp32 ? element_bytes : 0);
}

double bus_factor(std::string_view collective, std::int64_t ranks) {
  if (ranks < 1) throw std::invalid_argument("bus_factor: ranks must be at least 1");
  const auto n = static_cast<double>(ranks);
  if (collective == "allreduce") return 2 * (n - 1) / n;
  if (collective == "allgather" || collective == "reducescatter" || collective == "alltoall" ||
      collective == "alltoallv") {
    return (n - 1) / n;
  }
  if (collective == "broadcast" || collective == "reduce" || collective == "sendrecv" ||
      collective == "dispatch" || collective == "combine") {
    return ranks > 1 ? 1 : 0;
  }
  throw std::invalid_argument("bus_factor: unknown collective '" + std::string(collective) + "'");
}

double rate(double work, double seconds) {
  return seconds > 0 ? work / seconds : std::numeric_limits<double>::quiet_NaN();
}

double lost_share(double slowdown) {
  return 1 - 1 / slowdown;
}

double flops_per_cycle(double flops, double seconds, double clock_hz, double sms) {
  return rate(flops, seconds * clock_hz * sms);
}

double work_per_joule(double work, double runs, double joules) {
  return rate(work * runs, joules);
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
