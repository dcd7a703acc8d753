// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How much GEMMs and the traffic beside them slow each other, from a record's overlaps
// (overlap_bench): what stands, where it was measured, for the interference that predictions
// assume. docs/extrapolation.md says which rows count.
#pragma once

#include "record/record.hpp"
#include "report/factors.hpp"
#include "workload/system.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// A GEMM beside traffic, as one overlap has them.
struct Slowdown {
  std::string dtype;
  std::string traffic;  // what was beside it: allreduce, memory_mover
  double share = 0;     // of the SMs (on a CPU: cores), that the traffic holds
  // Compute time lost per second of traffic under it. Of a GEMM that is told of the SMs that are
  // left and one that isn't; beside a mover also of one beside which the SMs are held but nothing
  // moves, since how much of a mover's traffic a collective has isn't known.
  double least = 0, most = 0;
  double sigma = 0;          // of their logarithms, by the samples
  double traffic_takes = 1;  // the traffic's time beside the GEMM / alone
  std::vector<std::string> origins;
};

// The same for traffic that holds `share`: of an all-reduce if there is one, else of the memory
// mover; at the nearest share, and in proportion to it.
struct Lost {
  double value = 0, sigma = 0;             // median, and the logarithm's standard deviation
  std::optional<double> collective_takes;  // time beside a GEMM / alone, of a real collective
  std::string how;
  std::vector<std::string> origins;  // FILE:LINE
};

class Slowdowns {
 public:
  void add(Slowdown one) { known_.push_back(std::move(one)); }
  // Of GEMMs in `dtype` (fp16 and bf16 are one); nothing where none was measured.
  [[nodiscard]] std::optional<Lost> of(std::string_view dtype, double share) const;
  [[nodiscard]] bool empty() const { return known_.empty(); }

 private:
  std::vector<Slowdown> known_;
};

Slowdowns measured_slowdowns(const std::vector<Record>& records);

// A factor that the records tell instead.
struct MeasuredFactor {
  Factor factor = Factor::node_interference;
  Lost is;
};

// Share of the SMs (cores) that a collective inside a node, and one between nodes, holds. 0 where
// it isn't known of how many.
double share_inside_a_node(const System& system);
double share_between_nodes(const System& system);

// What is known of the interference with GEMMs in `dtype` on `system`. Tensor-parallel traffic is
// cut up with its GEMMs, which no overlap measures.
std::vector<MeasuredFactor> measured_factors(const Slowdowns& slowdowns, std::string_view dtype,
                                             const System& system);

// The belief with these in their places.
Belief with_measured(Belief belief, const std::vector<MeasuredFactor>& measured);
// The same of a draw from `belief`, so that the draws of all other factors stay what they are.
FactorValues with_measured(FactorValues logs, const Belief& belief,
                           const std::vector<MeasuredFactor>& measured);

}  // namespace trainmeter
