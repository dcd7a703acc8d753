// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The work list of a training step: what one GPU does for one micro-batch in one layer (GEMMs by
// shape, attention core, memory-bound kernels, collectives with bytes and placement), and once a
// step (gradients, optimizer). Counts and bytes, no times. docs/flops.md derives them.
#pragma once

#include "workload/layout.hpp"
#include "workload/step.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

// The embedding comes before the layers; the head (final norm, LM head, loss) and the MTP depths
// after them.
enum class LayerKind { embedding, dense, moe, head, mtp };
std::string_view to_string(LayerKind kind);

enum class Half { forward, backward };

struct Core {  // the attention core of one layer, causal
  double forward_flops = 0;
  double backward_flops = 0;  // 2.5 x forward: scores are computed again (FlashAttention, 5
                              // products for 2)
  std::int64_t seq_len = 0, head_dim = 0;  // of scores
  std::int64_t value_dim = 0;
  std::int64_t group = 1;  // query heads that share a head of keys and values
};

struct Traffic {  // least bytes of one memory-bound kernel, neighbours fused
  std::string name;
  Half half = Half::forward;
  double bytes = 0;
};

// Whose collective it is: tensor, context and expert parallelism, that within each expert, data
// parallelism of the common and of the routed weights, and the pipeline.
enum class Group { tp, cp, ep, etp, dp, expert_dp, pp };

// A collective over `ranks` GPUs, of which `ranks_on_node` share a node; the node's links carry
// what passes between those, the network the rest.
struct Collective {
  std::string name;       // tp_all_gather, ep_dispatch, ...
  std::string operation;  // allreduce allgather reducescatter alltoall sendrecv
  Group group = Group::dp;
  Half half = Half::forward;
  double payload_bytes = 0;  // as nccl-tests counts it: the full vector
  double count = 1;
  std::int64_t ranks = 1, ranks_on_node = 1;
  double node_bytes = 0;     // wire bytes of one GPU over NVLink, one way
  double network_bytes = 0;  // and over its NIC
  bool hidden = false;       // runs under compute
};

// FSDP's gathering of a layer's weights, for each micro-batch.
inline constexpr const char* kGatheredWeights = "dp_all_gather";

// Fills in node_bytes and network_bytes from operation, payload, ranks and ranks_on_node.
void place_bytes(Collective& collective);

struct LayerWork {
  LayerKind kind = LayerKind::dense;
  std::vector<GemmWork> gemms;  // all passes, of one layer
  Core core;                    // flops 0 where there is none
  std::vector<Traffic> traffic;
  std::vector<Collective> collectives;
};

// Of an activation or a weight as it is computed with and sent: 4 in fp32, else 2 (fp8 is of GEMMs'
// operands alone).
double element_bytes(std::string_view precision);

struct WorkOptions {
  std::string precision = "bf16";
  TrainingStack stack = TrainingStack::megatron;
  std::int64_t gpus_per_node = 8;
  double gradient_bytes = 4;  // of one weight's, where replicas reduce them
};

LayerWork layer_work(const Model& model, LayerKind kind, const Layout& layout,
                     const WorkOptions& options);

// Layers of each kind in virtual stage `stage` of `stages`, which holds `layers` from number
// `first` on: embedding in the first, head and MTP in the last.
struct StageContent {
  std::int64_t dense = 0, moe = 0;
  bool embedding = false, head = false;
  std::int64_t mtp = 0;
  bool operator==(const StageContent&) const = default;
};
std::vector<StageContent> stage_contents(const Model& model, const Layout& layout);

// Weights that one GPU holds of a stage (before any sharding over dp): routed experts apart, since
// other GPUs hold their copies.
struct StageWeights {
  double common = 0, routed = 0;
};
StageWeights stage_weights(const Model& model, const Layout& layout, const StageContent& content);

// GPUs that hold the same common or routed weights, and how many of them share a node, ranks being
// laid out tp first, then cp, dp, pp.
std::int64_t replicas(const Layout& layout, bool routed);
std::int64_t replicas_on_node(const Layout& layout, bool routed, std::int64_t gpus_per_node);

}  // namespace trainmeter
