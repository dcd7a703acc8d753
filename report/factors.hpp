// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The named factors between a kernel measured alone and the same kernel in a training step, and the
// other constants that no kernel measurement gives. Each has a median, a 90 % range and the reason
// for both (results/published/factors.json); what published steps of other families say about them
// is in results/published/calibration.json (report/calibrate.hpp).
#pragma once

#include "record/key_places.hpp"

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

enum class Factor : std::size_t {
  in_place_hopper,      // a GEMM's rate in a step / alone, same pass and clock; Hopper and later
  in_place_hopper_fp8,  // the same in fp8
  in_place_ampere,      // the same on Ampere
  in_place_other,       // the same on any other device
  sustained_clock,      // a GEMM's rate for minutes / in a burst, under Hopper's power cap; 16 bits
  sustained_clock_fp8,  // the same in fp8
  weight_pass,          // a wgrad GEMM's rate / that of the same FLOPs in fprop's layout
  grouped_gemm,         // a grouped GEMM's rate / that of one GEMM of the same work, on top
  attention_fused,      // rate in place / published rate of the kernel: the stack's own fused one
  attention_flash2,     // the same of FlashAttention-2 or what an FSDP stack had before it
  traffic_fused,        // bytes that memory-bound kernels move / least bytes; fused kernels
  traffic_eager,        // the same, a kernel an operation
  traffic_experts,      // the same of permutation and routing
  node_links,           // bandwidth of collectives inside a node / nominal, one way
  network_links,        // the same between nodes
  hop_latency_s,        // of a ring's step between two GPUs
  node_interference,    // compute time lost per second of communication over NVLink under it
  network_interference,  // the same over NICs
  tensor_interference,   // the same of tensor-parallel traffic interleaved with its GEMMs
  experts_host_s,        // host time of one MoE layer, forward and backward
  step_overhead_s,       // once a step: optimizer launches, logging, data
  jitter,                // share that a step grows by with every doubling of the nodes
};
inline constexpr std::size_t kFactors = static_cast<std::size_t>(Factor::jitter) + 1;

std::string_view to_string(Factor factor);

using FactorValues = std::array<double, kFactors>;
inline double& at(FactorValues& values, Factor f) {
  return values[static_cast<std::size_t>(f)];
}
inline double at(const FactorValues& values, Factor f) {
  return values[static_cast<std::size_t>(f)];
}

inline constexpr double kSigmasOf90Percent = 3.2897;  // between a normal's 5 % and 95 % quantiles

// Log-normal: `low` and `high` hold 90 % of it.
struct FactorPrior {
  double median = 1, low = 1, high = 1;
  std::string why;
  KeyPlace place = {};
  [[nodiscard]] double log_sigma() const;
};

struct FactorTable {
  std::array<FactorPrior, kFactors> priors;
  [[nodiscard]] FactorValues medians() const;
};

// Reads factors.json: every factor must be there, low < median < high. BadInput otherwise.
FactorTable read_factors(const std::filesystem::path& file);

// A joint log-normal belief about all factors: mean and covariance of their logarithms, and the
// standard deviation of what the model's form leaves unexplained in log step time.
struct Belief {
  FactorValues log_mean{};
  std::vector<double> log_covariance;  // kFactors x kFactors, row by row
  double form_sigma = 0;
  KeyPlace place;
  [[nodiscard]] FactorValues medians() const;
};

Belief prior_belief(const FactorTable& table);

// A factor's belief without the one family that it was learnt from.
struct OneFamily {
  std::string name;
  double low = 0, middle = 0, high = 0;  // 5 %, 50 % and 95 % without it
};

// What each family's exclusion leaves: `all`, and one belief without each family.
struct Calibration {
  Belief all;
  std::vector<std::pair<std::string, Belief>> without;
  // The belief that `family` had no part in.
  [[nodiscard]] const Belief& for_family(const std::string& family) const;
  // The family without which a factor's median moves by more than twice its spread: all other rows
  // know nothing of it, and its narrow range is that family's alone. None where they agree.
  [[nodiscard]] std::optional<OneFamily> learnt_from_one(Factor factor) const;
};

Calibration read_calibration(const std::filesystem::path& file);
std::string to_json_text(const Calibration& calibration);

}  // namespace trainmeter
