// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Does a training layout fit a GPU's memory, and if not, which part is largest: bytes on the
// fullest pipeline rank, at the moment when the most activations are alive.
//
// What is assumed, beside what `Layout` says ("report": DeepSeek-V3's, arXiv 2412.19437):
//
// Weights. Layers lie on stages as layers_of_stages() has it; embedding on the first stage, head
//   and MTP on the last. A table that both ends need (tied embeddings, MTP's embedding) is copied,
//   as in Megatron-LM; DualPipe has both ends on one rank, and holds every stage twice, on ranks r
//   and pp - 1 - r. Tensor parallelism divides every matrix but routers, MLA's projections down,
//   and keys and values where there are fewer of their heads than ranks. Routed experts are divided
//   by ep x etp, nothing else by ep.
// Bytes per weight: weights + gradients + optimizer. Megatron-LM, and stack `other`: 2 + 4 + 12
//   (fp32 accumulation, master weights, Adam's moments). FSDP: 4 + 4 + 8, the sharded weights being
//   the master; in bf16 they are gathered (zero 3) or held besides. DeepSeek: 2 + 4 + 8, moments in
//   bf16 (report, 3.3.3). fp32: 4 + 4 + 8. With fp8, weights stay 2: fp8 in both orientations, or
//   bf16.
// ZeRO. Optimizer states (>= 1), gradients (>= 2), weights (3) are divided by dp x cp; those of
//   routed experts by the dp x cp x tp / (ep x etp) ranks that hold the same experts, at least 1.
//   DualPipe's two copies share no states. Under a pipeline FSDP gathers weights and scatters
//   gradients once a step (torchtitan), so both are whole meanwhile.
// Activations. Korthikanti et al. 2022 (arXiv 2205.05198), 4.1, tensor by tensor, without dropout
//   and with flash attention, which keeps a softmax statistic per head and token in place of the
//   scores: 32 bytes x hidden per token of a GPT layer in bf16; less for fewer key and value heads,
//   more for SwiGLU (gate, up, product). Tensor parallelism divides what lies between its matrices,
//   and only with sequence parallelism (`sp`) the inputs of norms and matrices (8 bytes x hidden).
//   Experts get k x tokens / tp tokens each rank, evenly, and keep the dispatched copies. In fp8
//   Megatron keeps the inputs of matrices in 1 byte; DeepSeek also SwiGLU's, and the attention's
//   result in E5M6 (report, 3.3.3).
// Recomputation. `selective` redoes what is cheap: norms, activation functions, MLA's projections
//   up, softmax statistics (report, 3.2.3; Megatron-Core's recompute modules layernorm, moe_act,
//   mla_up_proj, core_attn); with FSDP every other matrix but not the attention, as torchtitan's
//   selective op policy. Megatron's first selective recomputation, of the attention core alone, is
//   `none` here: flash attention does as much. `full` keeps each layer's input. Either needs one
//   layer's tensors in full while that layer is redone.
// In flight. 1F1B and ZB-H1: min(m, pp - r) micro-batches on rank r. Interleaved: Megatron-LM's
//   warm-up, (vpp - 1) pp + 2 (pp - r - 1) + 1 chunks of a micro-batch's vpp; on rank 0 that is
//   pp (1 + (pp - 1) / (pp vpp)) micro-batches, as Korthikanti et al. 4.2.3 has it. DualPipe:
//   pp + 1 over its two stages (report, table 2).
// Logits. In bf16, and their softmax in fp32 in place of a copy; of one micro-batch, for the head
//   and each MTP depth. A loss in plain PyTorch seems to need twice that (torchtitan's measured
//   memory), a chunked one next to nothing.
// Left out: positions, biases, dropout, uneven experts, offloading, what the optimizer's step takes
//   (activations are gone by then), gradients of activations (logits are gone by then).
#pragma once

#include "workload/layout.hpp"
#include "workload/model.hpp"

#include <string>

namespace trainmeter {

// Bytes on the fullest GPU.
struct MemoryNeed {
  double weights = 0, gradients = 0, optimizer = 0, activations = 0, logits = 0;
  double buffers = 0;  // gathered weights and tokens, NCCL, workspaces, CUDA context

  [[nodiscard]] double total() const;
  [[nodiscard]] const char* largest() const;  // name of the largest part
};

struct MemoryOptions {
  std::string precision = "bf16";  // bf16 fp8 fp16 fp32
  TrainingStack stack = TrainingStack::megatron;
};

// Of the fullest pipeline rank. BadInput where a word is unknown or a size isn't positive.
MemoryNeed memory_need(const Model& model, const Layout& layout, const MemoryOptions& options);

// Share of a GPU's memory that PyTorch's caching allocator can't hand out. Small, since every step
// asks for the same sizes: micro-batches that llm-foundry chose to fill a card (scripts/train/
// benchmarking/README.md) come to 97 % of it here, and ran.
constexpr double kFragmentation = 0.02;

// `memory_bytes` as the driver has it: an "80 GB" H100 is 81,559 MiB or 85.5e9 bytes, so that 80e9
// refuses a few layouts that ran.
double held(const MemoryNeed& need);  // of the device, fragmentation included
bool fits(const MemoryNeed& need, double memory_bytes);

// One line: how much is needed of how much, fragmentation included, and every part.
std::string refusal(const MemoryNeed& need, double memory_bytes);

}  // namespace trainmeter
