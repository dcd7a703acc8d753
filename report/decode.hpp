// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How long an inference engine takes for one decode step, in which every running sequence gets its
// next token. docs/extrapolation.md explains the model.
#pragma once

#include "report/rates.hpp"
#include "workload/model.hpp"
#include "workload/system.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

// Constants of one draw.
struct DecodeFactors {
  double efficiency = 1;          // the sum of the parts / what a step takes
  double kernels_s = 0;           // a layer's kernels with nothing to do: launches, tails
  double exchange_s = 0;          // one dispatch, combine or all-reduce of next to no bytes
  double node_links = 1;          // share of NVLink's bandwidth
  double network_links = 1;       // share of the NIC's
  double verified_positions = 1;  // tokens per sequence that a step computes: 2 with one draft
};

// One copy of the weights over `gpus` GPUs. A mixture of experts spreads its routed experts over
// them, and each GPU has all other weights and sequences of its own (DeepSeek-V3 report, 3.4.2); a
// dense model divides every matrix.
struct DecodeLayout {
  std::int64_t gpus = 1;
  std::string dtype = "bf16";  // of weights, fp8 or wider; keys, values and head are at least bf16
};

class DecodeStep {
 public:
  // BadInput where the layout is illegal or a rate is missing. `most_sequences` per GPU.
  DecodeStep(const Model& model, const System& system, const RateBook& book, DecodeLayout layout,
             double most_sequences);

  // With `sequences` running on the mean GPU, each `context` tokens long. Fewer than one: the GPU
  // that still has one sets the pace.
  [[nodiscard]] double seconds(double sequences, double context, const DecodeFactors& f) const;

  [[nodiscard]] double weight_bytes() const { return weight_bytes_; }  // of one GPU
  // Sequences of `length` tokens per GPU that fit beside the weights, at least one on a GPU (on a
  // replica where it is dense); unlimited where the memory isn't known.
  [[nodiscard]] double room_for(double length) const;
  [[nodiscard]] double need_bytes(double length) const;  // of one GPU: weights and one sequence
  [[nodiscard]] bool fits(double length) const;
  [[nodiscard]] const DecodeLayout& layout() const { return layout_; }
  [[nodiscard]] const Rate& memory() const { return memory_; }

 private:
  // Seconds at powers of two of tokens, between which the logarithm is linear.
  struct Curve {
    std::vector<double> log_seconds;
    [[nodiscard]] double at(double tokens) const;
  };
  [[nodiscard]] double gemm_s(const RateBook& book, bool low_precision, std::int64_t m,
                              std::int64_t n, std::int64_t k, std::int64_t groups) const;
  [[nodiscard]] double common_gemms_s(const RateBook& book, std::int64_t tokens) const;
  [[nodiscard]] double expert_gemms_s(const RateBook& book, double tokens) const;
  [[nodiscard]] double exchange_s(double tokens, const DecodeFactors& f) const;

  const Model model_;
  const System system_;
  DecodeLayout layout_;
  Rate memory_;
  std::string high_;
  double core_rate_ = 0;  // FLOP/s of the attention core
  double weight_bytes_ = 0;
  double cache_bytes_ = 0;  // of one token of a GPU's mean sequence
  double core_flops_ = 0;   // the same, for one position that attends to it
  Curve common_;            // by tokens of one GPU (of the replica where it is dense)
  Curve experts_;           // by tokens of the replica
};

// Bytes that one token leaves in the cache, over all layers, in bf16: the latent and the rotary
// part (MLA), else keys and values.
double cache_bytes_per_token(const Model& model);

// Of `gpus` GPUs, those that engines of `each` use; the rest are idle.
inline std::int64_t used_gpus(std::int64_t gpus, std::int64_t each) {
  return gpus / each * each;
}

// Plausible layouts on `gpus` GPUs that generate `outputs` side by side: every power of two of GPUs
// that holds the weights with room for a sequence of `length` tokens, and divides a mixture's
// experts; of a dense model those within a node, else the fewest. No limit depends on the memory:
// more of it only adds to them. BadInput naming `place` where none fits.
std::vector<DecodeStep> decode_layouts(const Model& model, const System& system,
                                       const RateBook& book, std::int64_t gpus,
                                       const std::vector<std::string>& dtypes, double outputs,
                                       double length, const std::string& place);

}  // namespace trainmeter
