// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How long one step takes: the work list at known rates makes a bill (seconds of each class of work
// with every factor at 1), the factors price it, the schedule puts the slots in order.
// docs/extrapolation.md explains the model.
#pragma once

#include "report/communication_sms.hpp"
#include "report/factors.hpp"
#include "report/rates.hpp"
#include "report/stack.hpp"
#include "report/used_inputs.hpp"
#include "workload/layout.hpp"
#include "workload/run.hpp"
#include "workload/schedule.hpp"
#include "workload/worklist.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Classes of compute time in a slot; each has its factors.
enum class Work : std::size_t { gemm, gemm_high, grouped, attention, traffic, expert_traffic };
inline constexpr std::array kWorks = {Work::gemm,      Work::gemm_high, Work::grouped,
                                      Work::attention, Work::traffic,   Work::expert_traffic};

// Seconds of each class.
class WorkSeconds {
 public:
  [[nodiscard]] double operator[](Work w) const { return seconds_[static_cast<std::size_t>(w)]; }
  double& operator[](Work w) { return seconds_[static_cast<std::size_t>(w)]; }

 private:
  std::array<double, kWorks.size()> seconds_{};
};

struct CommBill {  // one collective of a layer, all its calls
  std::string name;
  double node_s = 0, network_s = 0;  // at nominal bandwidth
  double hops = 0;                   // steps of the ring between nodes
  double fixed_s = 0;                // start of the collective, inside a node
  double channels = 1;               // share of NCCL's usual channels, and so of SMs, that it holds
  bool hidden = false;
  Factor interference = Factor::node_interference;  // of its part inside a node
};

struct SlotBill {
  WorkSeconds work;
  // Of a weight gradient's work: at rates of other passes, to which weight_pass is what it loses.
  WorkSeconds at_other_passes;
  std::vector<CommBill> comm;
  double host = 0;  // MoE layers' passes that the host must launch: x experts_host_s
};

struct LayerBill {
  SlotBill forward, backward_input, weight;
};

// What one use of a rate contributes, for the list of sources.
struct UsedRate {
  std::string what;  // "qkv fprop 4096x2304x768 bf16"
  Rate rate;
  double share = 0;  // of the step
  std::string part;  // of the breakdown that it is in
};

// Which factors stand between a GEMM alone and in a step; none where the in-place ratio of its
// dtype was measured, which the bill holds then, with the clock of a layer among its neighbours.
struct GemmFactors {
  std::optional<Factor> in_place = Factor::in_place_other;
  std::optional<Factor> sustained;  // nor where the device isn't held back by its power cap
  std::string dtype = "";
};

// A measured ratio, by which the bill's rates of one kind of operations were multiplied: over the
// step, time alone / time in place.
struct MeasuredInPlace {
  std::string what;  // "bf16 GEMMs fprop", "bf16 operations"
  InPlace in_place;
  bool as_alone = false;  // a ratio is known, but isn't used (report/step_in_place.hpp)
};

struct Bill {
  Layout layout;
  std::map<LayerKind, LayerBill> layers;
  std::vector<StageContent> stages;
  CommBill gradients, weights;  // over dp, once a step (not ZeRO-3)
  CommBill send;                // of an activation or its gradient to the next stage
  double optimizer_s = 0;       // at traffic 1
  double operations_s = 0;      // of the run's own list, a step; GEMMs among them apart
  double operation_gemms_s = 0;
  std::optional<double> host_s;  // to launch a step: instead of step_overhead_s where it is known
  double doublings = 0;          // of the nodes
  Stack stack;
  CommunicationSms sms;         // what the stack's communication takes of them
  GemmFactors gemm, gemm_high;  // of the run's precision; of what stays in 16 bits
  std::vector<MeasuredInPlace> in_place;
  std::vector<UsedRate> rates;  // shares are seconds of the step here
  // Bandwidths and starts of collectives, and the factors of `sms`.
  std::vector<UsedInput> links;
  double gemm_noise = 0, gemm_shape = 0, memory_noise = 0;  // log standard deviations, weighted
  std::vector<std::string> assumptions;
};

// The bill of one layout. BadInput where a rate is missing, naming what to measure.
Bill make_bill(const Run& run, const System& system, const RateBook& book, const Layout& layout,
               const Stack& stack);

struct StepTime {
  double total_s = 0;
  std::vector<std::pair<std::string, double>> breakdown_s;  // adds up to total_s
  double slot_s = 0;  // one micro-batch's forward and backward in the median stage (overlapped
                      // where the schedule overlaps)
};

// Extra multipliers for one draw: spread of the rates.
struct Spread {
  double gemm = 1, memory = 1;
};

StepTime step_time(const Bill& bill, const FactorValues& factors, const Spread& spread = {});

// Seconds of each class of work in one layer, forward and backward.
WorkSeconds layer_work_s(const Bill& bill, LayerKind kind, const FactorValues& factors);

// The step time for many draws: the pipeline's longest path is found at a few points and priced
// again at the others. The step is the longest of those paths, so at most a little too short where
// another one is longer.
class StepSampler {
 public:
  StepSampler(const Bill& bill, const FactorValues& centre);
  void learn(const FactorValues& point);  // finds the longest path at `point` too
  [[nodiscard]] double operator()(const FactorValues& factors, const Spread& spread) const;

 private:
  struct Path {
    std::vector<CriticalWork> work;
    double sends = 0;
  };
  const Bill& bill_;
  std::vector<Path> paths_;
};

}  // namespace trainmeter
