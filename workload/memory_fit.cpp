// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Bytes of weights, states and activations per pipeline rank. Assumptions: memory_fit.hpp.
#include "workload/memory_fit.hpp"

#include "record/error.hpp"
#include "record/real.hpp"
#include "workload/memory_layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// What a process holds before it allocates a tensor, on an H100 or an A100: CUDA's context with
// PyTorch's kernels; NCCL's channels (4 MiB a connection, up to 32 channels, some four
// communicators); workspaces of cuBLAS (32 MiB a handle and stream) and attention.
constexpr double kCudaContextBytes = 0.5e9;
constexpr double kNcclBytes = 1.0e9;
constexpr double kWorkspaceBytes = 0.2e9;

constexpr double kPrefetchedLayers = 2;  // the one in use and the next one

void check(const Layout& l, const MemoryOptions& options) {
  const std::array precisions = {"bf16", "fp8", "fp16", "fp32"};
  if (std::ranges::find(precisions, options.precision) == precisions.end()) {
    throw BadInput(fmt::format("memory: precision: unknown word '{}'", options.precision));
  }
  for (const std::int64_t size : {l.gpus, l.tp, l.pp, l.vpp, l.cp, l.dp, l.ep, l.etp,
                                  l.microbatch_sequences, l.microbatches, l.seq_len}) {
    if (size < 1)
      throw BadInput(fmt::format("memory: expected sizes of at least 1, found {}", size));
  }
}

// A stage of the pipeline on a rank, and how many micro-batches' activations it holds at most.
struct Held {
  std::int64_t stage;
  double in_flight;
};

std::vector<Held> held(const Layout& l, std::int64_t rank) {
  const std::int64_t m = l.microbatches;
  if (l.schedule == Schedule::interleaved) {
    const std::int64_t warm_up = (l.vpp - 1) * l.pp + 2 * (l.pp - rank - 1) + 1;
    const double in_flight = real(std::min(m * l.vpp, warm_up)) / real(l.vpp);
    std::vector<Held> out;
    for (std::int64_t chunk = 0; chunk < l.vpp; ++chunk) {
      out.push_back({chunk * l.pp + rank, in_flight});
    }
    return out;
  }
  if (l.schedule == Schedule::dualpipe && l.pp > 1) {
    const double in_flight = std::max(1.0, real(std::min(m, l.pp + 1)) / 2);
    return {{rank, in_flight}, {l.pp - 1 - rank, in_flight}};
  }
  return {{rank, real(std::min(m, l.pp - rank))}};
}

// Bytes of one weight, whole.
struct StateBytes {
  double weights, gradients, optimizer, compute;  // compute: as the matrices take it
};

StateBytes state_bytes(const MemoryOptions& options) {
  if (options.precision == "fp32") return {4, 4, 8, 4};
  if (options.stack == TrainingStack::fsdp) return {4, 4, 8, 2};
  if (options.stack == TrainingStack::deepseek) return {2, 4, 8, 2};
  return {2, 4, 12, 2};
}

class RankNeed {
 public:
  RankNeed(const Model& model, const Layout& layout, const MemoryOptions& options)
      : m_(model),
        l_(layout),
        options_(options),
        bytes_(kept_formats(options)),
        stages_(layers_of_stages(model.layers, layout)) {
    dense_ = layer_memory(m_, l_, options_, false);
    if (m_.moe) moe_ = layer_memory(m_, l_, options_, true);
  }

  MemoryNeed operator()(std::int64_t rank) {
    need_ = {};
    weights_ = expert_weights_ = layers_ = recomputed_ = 0;
    largest_ = {};
    bool first = false, last = false;
    for (const Held& h : held(l_, rank)) {
      stage(h);
      first = first || h.stage == 0;
      last = last || h.stage + 1 == static_cast<std::int64_t>(stages_.size());
    }
    need_.activations += recomputed_;
    const double table = real(m_.vocab) * real(m_.hidden) / real(l_.tp);
    tables_ = table * tables(first, last);
    if (last) head();
    states();
    buffers();
    return need_;
  }

 private:
  void stage(const Held& h) {
    const auto index = static_cast<std::size_t>(h.stage);
    std::int64_t start = 0;
    for (std::size_t i = 0; i < index; ++i) start += stages_[i];
    const std::int64_t end = start + stages_[index];
    const std::int64_t dense_end = m_.moe ? m_.moe->dense_layers : m_.layers;
    const std::int64_t dense = std::clamp(dense_end, start, end) - start;
    add(dense_, real(dense), h.in_flight);
    add(moe_, real(end - start - dense), h.in_flight);
    if (index + 1 == stages_.size() && m_.mtp_depth > 0) {
      // Each depth: two norms, a projection of both results to one, a layer of the last kind
      // (DeepSeek-V3 report, 2.2).
      const double depth = real(m_.mtp_depth), hidden = real(m_.hidden);
      add(m_.moe && m_.moe->dense_layers < m_.layers ? moe_ : dense_, depth, h.in_flight);
      weights_ += depth * (2 * hidden * hidden / real(l_.tp) + 2 * hidden);
      need_.activations += h.in_flight * depth * 4 * hidden_state();
    }
  }

  void add(const LayerMemory& layer, double count, double in_flight) {
    if (count <= 0) return;
    layers_ += count;
    weights_ += count * layer.weights;
    expert_weights_ += count * layer.expert_weights;
    if (layer.all_weights() > largest_.all_weights()) largest_ = layer;
    const double kept = layer.kept(l_.recompute);
    need_.activations += count * in_flight * kept;
    recomputed_ = std::max(recomputed_, layer.kept_none - kept);
  }

  // Of one micro-batch, on this rank.
  [[nodiscard]] double hidden_state() const {
    return bytes_.element * real(l_.tokens()) * real(m_.hidden) / (l_.sp ? real(l_.tp) : 1);
  }

  // Embedding tables on a rank: for the input, for the head, for MTP's input.
  [[nodiscard]] double tables(bool first, bool last) const {
    if (m_.tied_embeddings) return first || last ? 1 : 0;
    const bool input = first || (last && m_.mtp_depth > 0);
    return (input ? 1 : 0) + (last ? 1 : 0);
  }

  void head() {
    weights_ += real(m_.hidden);              // the last norm
    need_.activations += 2 * hidden_state();  // its input and the head's
    const double softmax_bytes = bytes_.element + 4;
    need_.logits =
        real(1 + m_.mtp_depth) * real(l_.tokens()) * real(m_.vocab) / real(l_.tp) * softmax_bytes;
  }

  // Ranks that hold the same weights, hence may share their states.
  [[nodiscard]] double replicas() const { return real(l_.dp * l_.cp); }
  [[nodiscard]] double expert_replicas() const {
    return std::max(1.0, replicas() * real(l_.tp) / real(l_.ep * l_.etp));
  }

  void states() {
    const StateBytes b = state_bytes(options_);
    const double shared = weights_ + tables_;
    const double whole = shared + expert_weights_;
    const double sharded = shared / replicas() + expert_weights_ / expert_replicas();
    need_.weights = b.weights * (l_.zero >= 3 ? sharded : whole);
    need_.gradients = b.gradients * (l_.zero >= 2 ? sharded : whole);
    need_.optimizer = b.optimizer * (l_.zero >= 1 ? sharded : whole);
    if (options_.stack != TrainingStack::fsdp) return;
    // Beside the fp32 weights those of the matrices, unless they are gathered layer by layer; and
    // gradients before they are scattered.
    const double gathered = sharded_of(shared, expert_weights_);
    if (l_.zero == 2) need_.weights = b.weights * sharded;
    if (l_.zero < 3 && b.compute < b.weights) need_.weights += b.compute * whole;
    if (l_.zero == 3 && whole_for_a_step(l_, options_.stack)) need_.weights += b.compute * gathered;
    if (l_.zero >= 2 && whole_for_a_step(l_, options_.stack))
      need_.gradients += b.gradients * gathered;
  }

  void buffers() {
    need_.buffers = kCudaContextBytes + kWorkspaceBytes + (l_.gpus > 1 ? kNcclBytes : 0);
    const double tokens = bytes_.element * real(l_.tokens()) * real(m_.hidden);
    if (l_.tp > 1 && l_.sp && layers_ > 0) need_.buffers += tokens;  // gathered for a matrix
    if (l_.ep > 1 && m_.moe) {                                       // sent and received
      need_.buffers += 2 * tokens * real(m_.moe->experts_per_token) / real(l_.tp);
    }
    if (l_.zero < 2 || whole_for_a_step(l_, options_.stack)) return;
    // Whole layers for a moment: gradients until they are scattered, weights while they are used.
    // Embedding and head have no layer; they stay gathered (PyTorch's FSDP: the root's parameters).
    const double compute = state_bytes(options_).compute;
    const double layer = sharded_of(largest_.weights, largest_.expert_weights);
    need_.buffers += compute * layer;
    if (l_.zero >= 3) {
      const double all = sharded_of(weights_, expert_weights_);
      need_.buffers += compute * std::min(kPrefetchedLayers * layer, all);
      need_.buffers += 2 * compute * sharded_of(tables_, 0);
    }
  }

  // Of these weights the ones that other ranks hold too, hence that ZeRO divides.
  [[nodiscard]] double sharded_of(double weights, double expert_weights) const {
    return (replicas() > 1 ? weights : 0) + (expert_replicas() > 1 ? expert_weights : 0);
  }

  const Model& m_;
  const Layout& l_;
  const MemoryOptions& options_;
  KeptFormats bytes_;
  std::vector<std::int64_t> stages_;
  LayerMemory dense_, moe_;

  // Of the rank at hand.
  MemoryNeed need_;
  double weights_ = 0, expert_weights_ = 0, tables_ = 0;  // counts, not bytes
  double layers_ = 0;
  double recomputed_ = 0;  // bytes of one layer that its recomputation brings back
  LayerMemory largest_;
};

std::array<std::pair<const char*, double>, 6> parts(const MemoryNeed& n) {
  return {{{"weights", n.weights},
           {"gradients", n.gradients},
           {"optimizer", n.optimizer},
           {"activations", n.activations},
           {"logits", n.logits},
           {"buffers", n.buffers}}};
}

std::pair<const char*, double> largest_part(const MemoryNeed& need) {
  const auto all = parts(need);
  return *std::ranges::max_element(all, {}, &std::pair<const char*, double>::second);
}

}  // namespace

double MemoryNeed::total() const {
  return weights + gradients + optimizer + activations + logits + buffers;
}

const char* MemoryNeed::largest() const {
  return largest_part(*this).first;
}

MemoryNeed memory_need(const Model& model, const Layout& layout, const MemoryOptions& options) {
  check(layout, options);
  RankNeed of_rank(model, layout, options);
  MemoryNeed fullest;
  for (std::int64_t rank = 0; rank < layout.pp; ++rank) {
    const MemoryNeed need = of_rank(rank);
    if (need.total() > fullest.total()) fullest = need;
  }
  return fullest;
}

double held(const MemoryNeed& need) {
  return need.total() / (1 - kFragmentation);
}

bool fits(const MemoryNeed& need, double memory_bytes) {
  return held(need) <= memory_bytes;
}

std::string refusal(const MemoryNeed& need, double memory_bytes) {
  const auto [name, bytes] = largest_part(need);
  std::string list;
  for (const auto& [part, size] : parts(need)) {
    list += fmt::format("{}{} {:.1f}", list.empty() ? "" : ", ", part, size / 1e9);
  }
  return fmt::format(
      "needs {:.1f} GB of {:.1f} GB, {:.0f} % of it for fragmentation; the largest part is {} "
      "({:.1f} GB): {}",
      held(need) / 1e9, memory_bytes / 1e9, 100 * kFragmentation, name, bytes / 1e9, list);
}

}  // namespace trainmeter
