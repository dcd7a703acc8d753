// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The words of a record and the way numbers are shown.
#include "record/names.hpp"

#include "record/overlap.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <map>
#include <span>
#include <stdexcept>

namespace trainmeter {
namespace {

constexpr double kInDigits = 1e15;  // beyond it a count is shown as a power of ten

const std::map<std::string, double, std::less<>>& sizes() {
  static const std::map<std::string, double, std::less<>> kSizes = {
      {"fp64", 8}, {"fp32", 4}, {"tf32", 4}, {"fp16", 2},
      {"bf16", 2}, {"fp8", 1},  {"int8", 1}, {"fp8_e5m2", 1}};
  return kSizes;
}

struct Unit {
  double size;
  const char* name;
};

// Three significant digits in the largest unit that leaves a number >= 1.
std::string scaled(double value, std::span<const Unit> units) {
  if (!std::isfinite(value)) return "n/a";
  const Unit* chosen = &units.back();
  for (const Unit& unit : units) {
    if (std::abs(value) >= unit.size * 0.9995) {
      chosen = &unit;
      break;
    }
  }
  const double shown = value / chosen->size;
  const int decimals = std::abs(shown) >= 99.95 ? 0 : std::abs(shown) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", shown, decimals, chosen->name);
}

std::string grouped(const std::string& digits) {
  std::string out;
  const std::size_t start = digits.starts_with('-') ? 1 : 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > start && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

}  // namespace

const std::vector<std::string>& dtype_names() {
  static const std::vector<std::string> kNames = {"fp64", "fp32", "tf32",     "fp16",
                                                  "bf16", "fp8",  "fp8_e5m2", "int8"};
  return kNames;
}

const std::vector<std::string>& step_kernel_names() {
  static const std::vector<std::string> kNames = {"rmsnorm",
                                                  "swiglu",
                                                  "rope",
                                                  "cast_fp8",
                                                  "cast_fp8_transpose",
                                                  "cast_fp8_block",
                                                  "recast_fp8",
                                                  "permute",
                                                  "residual_add",
                                                  "layernorm",
                                                  "gelu",
                                                  "cross_entropy",
                                                  "adamw",
                                                  "rmsnorm_backward",
                                                  "swiglu_backward",
                                                  "layernorm_backward",
                                                  "gelu_backward",
                                                  "rope_backward",
                                                  "permute_backward",
                                                  "unpermute",
                                                  "unpermute_backward",
                                                  "topk_softmax",
                                                  "topk_softmax_backward",
                                                  "topk_sigmoid",
                                                  "topk_sigmoid_backward"};
  return kNames;
}

const std::vector<std::string>& collective_names() {
  static const std::vector<std::string> kNames = {
      "allreduce", "allgather", "reducescatter", "broadcast", "reduce",
      "alltoall",  "alltoallv", "sendrecv",      "dispatch",  "combine"};
  return kNames;
}

const std::vector<std::string>& eager_operation_names() {
  static const std::vector<std::string> kNames = {
      "eager_embedding", "eager_layernorm", "eager_split_heads", "eager_softmax",
      "eager_merge_heads", "eager_residual_add", "eager_gelu", "eager_cast", "eager_cross_entropy",
      "eager_adamw", "eager_attention",
      // As torch.compile fuses them.
      "compiled_layernorm", "compiled_residual_layernorm", "compiled_residual_add", "compiled_gelu",
      "compiled_cross_entropy"};
  return kNames;
}

const std::vector<std::string>& operation_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names = {"fma",
                                      "gemm",
                                      "grouped_gemm",
                                      "attention_forward",
                                      "attention_backward",
                                      "attention_decode",
                                      "layer_forward",
                                      "layer_backward",
                                      "copy",
                                      "read",
                                      "write",
                                      "triad",
                                      "l2_copy",
                                      "l2_read",
                                      "l2_write",
                                      "l2_triad",
                                      "host_to_device",
                                      "device_to_host",
                                      "peer_copy"};
    names.insert(names.end(), step_kernel_names().begin(), step_kernel_names().end());
    names.insert(names.end(), collective_names().begin(), collective_names().end());
    for (const std::string& name : co_runner_names()) {  // some of which are collectives
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    names.insert(names.end(), eager_operation_names().begin(), eager_operation_names().end());
    return names;
  }();
  return kNames;
}

const std::vector<std::string>& throttle_reason_names() {
  static const std::vector<std::string> kNames = {"applications_clocks_setting",
                                                  "sw_power_cap",
                                                  "hw_slowdown",
                                                  "sync_boost",
                                                  "sw_thermal_slowdown",
                                                  "hw_thermal_slowdown",
                                                  "hw_power_brake_slowdown",
                                                  "display_clock_setting",
                                                  "cgroup_quota",
                                                  "core_thermal"};
  return kNames;
}

double dtype_bytes(std::string_view dtype) {
  const auto found = sizes().find(dtype);
  if (found == sizes().end()) {
    throw std::invalid_argument("unknown dtype '" + std::string(dtype) + "'");
  }
  return found->second;
}

std::string format_seconds(double seconds) {
  static constexpr std::array<Unit, 7> kUnits = {{{86400 * 365.25, "years"},
                                                  {86400, "d"},
                                                  {3600, "h"},
                                                  {1, "s"},
                                                  {1e-3, "ms"},
                                                  {1e-6, "us"},
                                                  {1e-9, "ns"}}};
  return scaled(seconds, kUnits);
}

std::string format_bytes(double bytes) {
  static constexpr std::array<Unit, 5> kUnits = {{{1024.0 * 1024 * 1024 * 1024, "TiB"},
                                                  {1024.0 * 1024 * 1024, "GiB"},
                                                  {1024.0 * 1024, "MiB"},
                                                  {1024.0, "KiB"},
                                                  {1, "B"}}};
  if (bytes >= 1024) {
    for (const Unit& unit : kUnits) {  // a round size is shown round: 32 MiB, not 32.0 MiB
      if (bytes >= unit.size) {
        if (std::fmod(bytes, unit.size) == 0)
          return fmt::format("{:.0f} {}", bytes / unit.size, unit.name);
        break;
      }
    }
  } else if (bytes == std::floor(bytes)) {
    return fmt::format("{:.0f} B", bytes);
  }
  return scaled(bytes, kUnits);
}

std::string format_flops(double flops_per_s) {
  static constexpr std::array<Unit, 5> kUnits = {
      {{1e15, "PFLOP/s"}, {1e12, "TFLOP/s"}, {1e9, "GFLOP/s"}, {1e6, "MFLOP/s"}, {1, "FLOP/s"}}};
  return scaled(flops_per_s, kUnits);
}

std::string format_bandwidth(double bytes_per_s) {
  static constexpr std::array<Unit, 5> kUnits = {
      {{1e12, "TB/s"}, {1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "kB/s"}, {1, "B/s"}}};
  return scaled(bytes_per_s, kUnits);
}

std::string format_count(double count) {
  if (!std::isfinite(count)) return "n/a";
  if (std::abs(count) >= kInDigits) return fmt::format("{:.3g}", count);
  return grouped(fmt::format("{:.0f}", count));
}

std::string format_hours(double hours) {
  constexpr double kInWhole = 999.5;  // above it, three digits are whole hours
  return std::abs(hours) < kInWhole ? fmt::format("{:.3g}", hours) : format_count(hours);
}

std::string format_percent(double fraction) {
  if (!std::isfinite(fraction)) return "n/a";
  const double percent = fraction * 100;
  return fmt::format("{:.{}f} %", percent, std::abs(percent) >= 99.95 ? 0 : 1);
}

std::string format_usd(double usd) {
  if (!std::isfinite(usd)) return "n/a";
  const std::string sign = usd < 0 ? "-" : "";
  if (std::abs(usd) < 100) return fmt::format("{}${:.2f}", sign, std::abs(usd));
  if (std::abs(usd) >= kInDigits) return fmt::format("{}${:.3g}", sign, std::abs(usd));
  return sign + "$" + grouped(fmt::format("{:.0f}", std::abs(usd)));
}

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::time(nullptr)));
}

}  // namespace trainmeter
