// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "report/device_rates.hpp"

#include "record/error.hpp"
#include "report/gemm_curve.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// In place, where nothing of the kernel was measured or published for the device: FlashAttention
// class kernels reach this share of the best GEMM rate of their dtype (H100: 540 to 620 of 795
// TFLOP/s forward, 450 to 520 backward).
constexpr double kAttentionOfGemm = 0.65;

}  // namespace

std::optional<Rate> datasheet_memory(const System& system) {
  if (!system.memory_bytes_per_s) return std::nullopt;
  return Rate{.value = kMemoryShare * *system.memory_bytes_per_s,
              .noise = 0.05,
              .shape = 0,
              .origin = "system " + system.id,
              .how = "datasheet",
              .basis = Basis::datasheet,
              .figure = "",
              .key = "memory_bytes_per_s"};
}

DeviceRates::DeviceRates(const Run& run, const System& system, const RateBook& book,
                         std::function<void(std::string)> assume)
    : run_(run), system_(system), book_(book), assume_(std::move(assume)) {
  low_ = dtype_known(run.precision);
  high_ = run.precision == "fp8" ? dtype_known("bf16") : low_;
  auto memory = book.memory();
  if (!memory && system.kind == "gpu" && system.memory_bytes_per_s) {
    memory = datasheet_memory(system);
    assume_(fmt::format("memory bandwidth: {:.2f} of the datasheet's", kMemoryShare));
  }
  if (!memory) {
    throw BadInput(fmt::format(
        "run {}: no memory bandwidth is known for {}: give {}a record with --rates (memory_bench "
        "measures it)",
        run.id, system.id,
        system.kind == "gpu" ? "memory_bytes_per_s in the system's file, or " : ""));
  }
  memory_ = *memory;
}

std::string DeviceRates::dtype_known(const std::string& wanted) const {
  static const std::map<std::string, std::vector<std::string>> kStandIns = {
      {"fp8", {"fp8", "bf16", "fp16", "tf32", "fp32"}},
      {"bf16", {"bf16", "fp16", "tf32", "fp32"}},
      {"fp16", {"fp16", "bf16", "tf32", "fp32"}},
      {"fp32", {"fp32", "tf32"}}};
  // fp16 and bf16 are one datapath and the same bytes: either's rates are the other's.
  for (const auto& [one, other] : {std::pair("fp16", "bf16"), std::pair("bf16", "fp16")}) {
    if (wanted == one && !book_.best_gemm(one) && book_.best_gemm(other)) {
      assume_(
          fmt::format("no {} GEMM rate is known for {}: {}'s, as fast", one, system_.id, other));
      return other;
    }
  }
  if (!book_.best_gemm(wanted) && system_.kind == "gpu" && system_.peak_flops.contains(wanted)) {
    assume_(fmt::format("no {} GEMM rate is known for {}: {:.2f} of the datasheet's peak", wanted,
                        system_.id, kGemmOfPeak));
    return wanted;
  }
  for (const std::string& dtype : kStandIns.at(wanted)) {
    if (!book_.best_gemm(dtype)) continue;
    if (dtype != wanted) {
      assume_(fmt::format("no {} GEMM rate is known for this device: {} is used in its place",
                          wanted, dtype));
    }
    return dtype;
  }
  throw BadInput(
      fmt::format("run {}: no {} GEMM rate is known for {}: give a record with --rates "
                  "(gemm_bench measures it)",
                  run_.id, wanted, system_.id));
}

Rate DeviceRates::gemm(const std::string& dtype, std::string_view layout,
                       const GemmWork& work) const {
  // FSDP keeps a micro-batch's gradients in 16 bits until they are scattered; others add them up.
  const bool adds = run_.stack != TrainingStack::fsdp;
  if (const auto known = book_.gemm(dtype, layout, work.m, work.n, work.k, work.groups, adds)) {
    return *known;
  }
  const double peak = system_.peak_flops.at(dtype);
  return {.value = peak * kGemmOfPeak *
                   gemm_share(system_, dtype, work.m, work.n, work.k, work.groups, peak),
          .noise = 0.05,
          .shape = 0.1,
          .origin = "system " + system_.id,
          .how = "datasheet",
          .basis = Basis::datasheet,
          .figure = "",
          .key = "peak_flops." + dtype};
}

double DeviceRates::best_gemm(const std::string& dtype) const {
  if (const auto best = book_.best_gemm(dtype)) return best->value;
  return system_.peak_flops.at(dtype) * kGemmOfPeak;
}

// As the stack's own kernel; else as one that was measured here, which on a GPU is ours, and may
// be slower than what a stack has: there it stands only where it is no slower than what is
// assumed.
Rate DeviceRates::attention(bool forward, const std::string& backend, const Core& core) const {
  const std::string precision =
      run_.attention_precision.value_or(run_.precision == "fp8" ? "bf16" : run_.precision);
  const AttentionShape shape{.seq_len = core.seq_len,
                             .head_dim = core.head_dim,
                             .value_dim = core.value_dim,
                             .group = core.group};
  if (const auto known = book_.attention(forward, backend, precision, shape)) return *known;
  const auto measured = book_.measured_attention(forward, precision, shape);
  if (measured && system_.kind == "cpu") return *measured;
  const std::string dtype = dtype_known(precision);
  const double assumed = best_gemm(dtype) * kAttentionOfGemm;
  if (measured && measured->value >= assumed) return *measured;
  const auto point = book_.best_gemm(dtype);
  const bool projected = point && !point->projection.empty();
  assume_(
      fmt::format("no attention kernel in {} is known for this device: {:.2f} of the best {} GEMM "
                  "rate",
                  precision, kAttentionOfGemm, dtype));
  return Rate{.value = assumed,
              .noise = point ? point->noise : 0.05,
              .shape = 0.15,
              .origin = point ? point->origin : "system " + system_.id,
              .how = fmt::format("best {} GEMM x {:.2f}{}", dtype, kAttentionOfGemm,
                                 projected ? ", " + point->projection : ""),
              .basis = Basis::assumed,
              .figure = point && point->published ? point->name : "",
              .key = point ? "" : "peak_flops." + dtype};
}

double DeviceRates::unfused_attention_gemm() const {
  return best_gemm(dtype_known(run_.precision)) * kAttentionOfGemm;
}

}  // namespace trainmeter
