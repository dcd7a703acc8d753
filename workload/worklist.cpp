// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Counts the work of a layer on one GPU. docs/flops.md derives every count.
#include "workload/worklist.hpp"

#include "record/formulas.hpp"
#include "record/real.hpp"
#include "record/wire_bytes.hpp"

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kBf16 = 2;                      // bytes
constexpr double kFp8Block = 1 + 4.0 / 128;      // an fp8 element with its share of a 1x128 scale
constexpr double kCast = kBf16 + 2 * kFp8Block;  // read bf16, write fp8 and its transpose

// Ranks of a group of `size`, `stride` apart, that share a node.
std::int64_t on_node(std::int64_t size, std::int64_t stride, std::int64_t gpus_per_node) {
  return std::clamp<std::int64_t>(gpus_per_node / stride, 1, size);
}

class Builder {
 public:
  Builder(const Model& model, LayerKind kind, const Layout& layout, const WorkOptions& options)
      : m_(model), layout_(layout), options_(options), tokens_(real(layout.tokens())) {
    work_.kind = kind;
  }

  LayerWork build() {
    const bool has_attention = work_.kind != LayerKind::embedding && work_.kind != LayerKind::head;
    const bool has_head = work_.kind == LayerKind::head || work_.kind == LayerKind::mtp;
    if (work_.kind != LayerKind::embedding) {
      work_.gemms =
          layer_gemms(m_, gemm_group(), layout_.tokens(), layout_.tp, layout_.ep, layout_.etp);
    }
    if (has_attention) attention();
    if (has_attention && experts()) moe();
    if (has_attention && !experts()) ffn();
    if (work_.kind == LayerKind::embedding) traffic("embedding", 2 * h(), 2 * h(), tokens_);
    if (has_head) head();
    if (options_.precision == "fp8") casts();
    if (gathers_by_layer(layout_, options_.stack)) sharded_weights();
    return work_;
  }

 private:
  [[nodiscard]] double h() const { return real(m_.hidden); }
  [[nodiscard]] double tp() const { return real(layout_.tp); }
  [[nodiscard]] bool experts() const {
    return work_.kind == LayerKind::moe || (work_.kind == LayerKind::mtp && m_.moe);
  }
  // Tokens between a tensor-parallel layer's matrices: divided with sequence parallelism.
  [[nodiscard]] double outer_tokens() const { return layout_.sp ? tokens_ / tp() : tokens_; }

  [[nodiscard]] GemmGroup gemm_group() const {
    switch (work_.kind) {
      case LayerKind::moe:
        return GemmGroup::moe;
      case LayerKind::head:
        return GemmGroup::head;
      case LayerKind::mtp:
        return GemmGroup::mtp;
      default:
        return GemmGroup::dense;
    }
  }

  // Bytes of what lies between kernels: bf16, or fp32 where the run is.
  [[nodiscard]] double element_bytes() const {
    return trainmeter::element_bytes(options_.precision);
  }

  // Elements per token, forward and backward.
  void traffic(const char* name, double forward, double backward, double tokens) {
    work_.traffic.push_back({name, Half::forward, forward * tokens * element_bytes()});
    work_.traffic.push_back({name, Half::backward, backward * tokens * element_bytes()});
  }

  // `c` but for its ranks and where they are; left out where there is nothing to exchange.
  void collective(Collective c) {
    if (c.group == Group::dp || c.group == Group::expert_dp) {
      const bool routed = c.group == Group::expert_dp;
      c.ranks = replicas(layout_, routed);
      c.ranks_on_node = replicas_on_node(layout_, routed, options_.gpus_per_node);
    } else {
      if (c.group == Group::tp) c.ranks = layout_.tp;
      if (c.group == Group::cp) c.ranks = layout_.cp;
      if (c.group == Group::ep) c.ranks = layout_.ep;
      if (c.group == Group::etp) c.ranks = layout_.etp;
      const std::int64_t stride = c.group == Group::cp   ? layout_.tp
                                  : c.group == Group::ep ? layout_.etp
                                                         : 1;
      c.ranks_on_node = on_node(c.ranks, stride, options_.gpus_per_node);
    }
    if (c.ranks < 2 || !(c.payload_bytes > 0) || !(c.count > 0)) return;
    place_bytes(c);
    work_.collectives.push_back(std::move(c));
  }

  // A region: from a column-parallel to a row-parallel matrix.
  void tensor_parallel(double regions) {
    const double payload = tokens_ * h() * element_bytes();
    const auto add = [&](const char* name, const char* operation, Half half, double count) {
      collective({.name = name,
                  .operation = operation,
                  .group = Group::tp,
                  .half = half,
                  .payload_bytes = payload,
                  .count = count,
                  .hidden = layout_.overlap_tp});
    };
    if (layout_.sp) {
      add("tp_all_gather", "allgather", Half::forward, regions);
      add("tp_reduce_scatter", "reducescatter", Half::forward, regions);
      // Backward: the mirror, and the inputs once more for the weights' gradient.
      add("tp_all_gather", "allgather", Half::backward, 2 * regions);
      add("tp_reduce_scatter", "reducescatter", Half::backward, regions);
    } else {
      add("tp_all_reduce", "allreduce", Half::forward, regions);
      add("tp_all_reduce", "allreduce", Half::backward, regions);
    }
  }

  void attention() {
    const double heads = real(m_.heads) / tp();
    const double seq_len = real(layout_.seq_len);
    const AttentionSize core = {.batch = tokens_ / seq_len,
                                .heads = heads,
                                .queries = seq_len,
                                .keys = seq_len,
                                .head_dim = real(query_key_dim(m_)),
                                .value_dim = real(value_dim(m_))};
    work_.core.forward_flops = attention_flops(core, false);
    work_.core.backward_flops = attention_flops(core, true);
    work_.core.seq_len = layout_.seq_len;
    work_.core.head_dim = query_key_dim(m_);
    work_.core.value_dim = value_dim(m_);
    work_.core.group = m_.mla ? 1 : m_.heads / m_.kv_heads;
    traffic("residual_and_norm", 8 * h(), 8 * h(), outer_tokens());
    if (m_.mla) {  // between the projections down, whose tokens are divided, and up
      const double latent = real(m_.mla->q_lora_rank + m_.mla->kv_lora_rank);
      traffic("latent_norm", 2 * latent, 3 * latent, tokens_ / tp());
    }
    if (m_.ffn_kind == FfnKind::swiglu) {  // models with a gate have rotary embeddings
      // MLA rotates one key that all heads share.
      const double rotated = m_.mla ? (real(m_.heads) / tp() + 1) * real(m_.mla->qk_rope_head_dim)
                                    : real(m_.heads + m_.kv_heads) / tp() * real(m_.head_dim);
      traffic("rotary", 2 * rotated, 2 * rotated, tokens_);
    }
    tensor_parallel(1);
    if (layout_.cp > 1) {
      const double kv = m_.mla ? heads * real(query_key_dim(m_) + value_dim(m_))
                               : 2 * std::max(1.0, real(m_.kv_heads) / tp()) * real(m_.head_dim);
      const double payload = tokens_ * kv * element_bytes();
      for (const Half half : {Half::forward, Half::backward}) {
        collective({.name = "cp_keys_values",
                    .operation = "sendrecv",
                    .group = Group::cp,
                    .half = half,
                    .payload_bytes = half == Half::forward ? payload : 2 * payload,
                    .count = real(layout_.cp - 1),
                    .hidden = true});
      }
    }
  }

  void activation(double width, double tokens) {
    const bool gate = m_.ffn_kind == FfnKind::swiglu;
    traffic("activation", (gate ? 3 : 2) * width, (gate ? 5 : 3) * width, tokens);
  }

  void ffn() {
    activation(real(m_.ffn) / tp(), tokens_);
    tensor_parallel(1);
  }

  void moe() {
    const Moe& e = *m_.moe;
    const double routed_tokens = tokens_ / tp();
    const double copies = real(e.experts_per_token);
    if (e.shared_experts > 0) {
      activation(real(e.shared_experts * e.expert_ffn) / tp(), tokens_);
      tensor_parallel(1);
    }
    activation(copies * real(e.expert_ffn), routed_tokens);
    traffic("expert_permute", 2 * (copies + 1) * h(), 2 * (copies + 1) * h(), routed_tokens);
    traffic("router", 4 * real(e.experts), 4 * real(e.experts), routed_tokens);
    const bool deepseek = options_.stack == TrainingStack::deepseek;
    const bool low = deepseek && options_.precision == "fp8";
    const double dispatched = low ? kFp8Block : element_bytes();
    for (const Half half : {Half::forward, Half::backward}) {
      all_to_all("ep_dispatch", half, routed_tokens, dispatched);
      all_to_all("ep_combine", half, routed_tokens, element_bytes());
      // Ranks that share an expert's width each get the tokens of all of them, and add up what
      // they made of them; backward the mirror.
      const double all = copies * routed_tokens * real(layout_.etp) * h();
      within_experts("etp_all_gather", "allgather", half, all * dispatched);
      within_experts("etp_reduce_scatter", "reducescatter", half, all * element_bytes());
    }
  }

  void within_experts(const char* name, const char* operation, Half half, double payload) {
    collective({.name = name,
                .operation = operation,
                .group = Group::etp,
                .half = half,
                .payload_bytes = payload,
                .hidden = layout_.overlap_ep});
  }

  // Tokens to their experts or back. Where a token may reach `group_limit` nodes only, it crosses
  // the network once for each of them and is copied on inside the node (DeepSeek-V3 report, 3.2.2).
  void all_to_all(const char* name, Half half, double tokens, double element) {
    const double copies = real(m_.moe->experts_per_token);
    const double payload = tokens * copies * h() * element;
    const std::size_t before = work_.collectives.size();
    collective({.name = name,
                .operation = "alltoall",
                .group = Group::ep,
                .half = half,
                .payload_bytes = payload,
                .hidden = layout_.overlap_ep});
    if (work_.collectives.size() == before || options_.stack != TrainingStack::deepseek ||
        !m_.moe->group_limit) {
      return;
    }
    Collective& c = work_.collectives.back();
    const double nodes = real(c.ranks) / real(c.ranks_on_node);
    const double reached = std::min({real(*m_.moe->group_limit), nodes, copies});
    c.network_bytes = tokens * h() * element * reached * (1 - 1 / nodes);
    c.node_bytes = payload * (1 - 1 / real(c.ranks_on_node));
  }

  void head() {
    traffic("loss", 1.5 * real(m_.vocab) / tp(), 1.5 * real(m_.vocab) / tp(), tokens_);
    traffic("final_norm", 2 * h(), 3 * h(), outer_tokens());
    if (layout_.tp > 1) {
      const double payload = tokens_ * h() * element_bytes();
      collective({.name = "tp_all_gather",
                  .operation = "allgather",
                  .group = Group::tp,
                  .half = Half::forward,
                  .payload_bytes = payload});
      collective({.name = "tp_reduce_scatter",
                  .operation = "reducescatter",
                  .group = Group::tp,
                  .half = Half::backward,
                  .payload_bytes = payload});
    }
  }

  // Every fp8 GEMM's input, and in the backward pass its output's gradient, is cast, and once more
  // in the other orientation for the weights' gradient.
  void casts() {
    double forward = 0;
    double backward = 0;
    for (const GemmWork& g : work_.gemms) {
      if (!g.low_precision || g.pass != Pass::fprop) continue;
      const double rows = real(g.m) * real(g.groups) * g.count;
      forward += rows * real(g.k) * kCast;
      backward += rows * real(g.n) * kCast;
    }
    if (!(forward > 0)) return;
    work_.traffic.push_back({"fp8_cast", Half::forward, forward});
    work_.traffic.push_back({"fp8_cast", Half::backward, backward});
  }

  // ZeRO-3: weights are gathered for every use and gradients scattered after it (FSDP; zero 2 keeps
  // the gathered weights from the forward to the backward pass).
  void sharded_weights() {
    StageContent one;
    one.dense = work_.kind == LayerKind::dense ? 1 : 0;
    one.moe = work_.kind == LayerKind::moe ? 1 : 0;
    one.embedding = work_.kind == LayerKind::embedding && !m_.tied_embeddings;
    one.head = work_.kind == LayerKind::head;
    one.mtp = work_.kind == LayerKind::mtp ? 1 : 0;
    const StageWeights weights = stage_weights(m_, layout_, one);
    for (const auto& [group, held] :
         {std::pair{Group::dp, weights.common}, std::pair{Group::expert_dp, weights.routed}}) {
      Collective gather{.name = kGatheredWeights,
                        .operation = "allgather",
                        .group = group,
                        .half = Half::forward,
                        .payload_bytes = held * element_bytes(),
                        .hidden = layout_.overlap_dp};
      Collective scatter = gather;
      collective(gather);
      gather.half = Half::backward;
      if (layout_.zero == 3) collective(gather);
      scatter.name = "dp_reduce_scatter";
      scatter.operation = "reducescatter";
      scatter.half = Half::backward;
      scatter.payload_bytes = held * options_.gradient_bytes;
      collective(scatter);
    }
  }

  const Model& m_;
  const Layout& layout_;
  const WorkOptions& options_;
  double tokens_;
  LayerWork work_;
};

}  // namespace

double element_bytes(std::string_view precision) {
  return precision == "fp32" ? 4 : kBf16;
}

// Wire bytes of one GPU. Over the network an all-reduce takes the better of NCCL's ring and tree:
// between two nodes the tree, between more the ring.
void place_bytes(Collective& c) {
  const auto between = [&](std::string_view algorithm) {
    return c.payload_bytes * between_factor(c.operation, algorithm, c.ranks, c.ranks_on_node);
  };
  if (c.operation == "sendrecv") {
    c.network_bytes = between("direct");
    if (c.ranks_on_node >= c.ranks) c.node_bytes = c.payload_bytes;
    return;
  }
  const double wire = c.payload_bytes * bus_factor(c.operation, c.ranks);
  if (c.operation == "alltoall") {
    c.network_bytes = between("direct");
    c.node_bytes = wire - c.network_bytes;
    return;
  }
  if (c.ranks_on_node > 1) c.node_bytes = wire;
  c.network_bytes = between("ring");
  if (c.operation == "allreduce") c.network_bytes = std::min(c.network_bytes, between("tree"));
}

std::string_view to_string(LayerKind kind) {
  switch (kind) {
    case LayerKind::embedding:
      return "embedding";
    case LayerKind::dense:
      return "dense";
    case LayerKind::moe:
      return "moe";
    case LayerKind::head:
      return "head";
    case LayerKind::mtp:
      return "mtp";
  }
  return "";
}

LayerWork layer_work(const Model& model, LayerKind kind, const Layout& layout,
                     const WorkOptions& options) {
  return Builder(model, kind, layout, options).build();
}

std::vector<StageContent> stage_contents(const Model& model, const Layout& layout) {
  std::vector<StageContent> out;
  std::int64_t first = 0;
  for (const std::int64_t layers : layers_of_stages(model.layers, layout)) {
    StageContent content;
    content.dense = std::clamp<std::int64_t>(dense_layers(model) - first, 0, layers);
    content.moe = layers - content.dense;
    first += layers;
    out.push_back(content);
  }
  out.front().embedding = true;
  out.back().head = true;
  out.back().mtp = model.mtp_depth;
  return out;
}

StageWeights stage_weights(const Model& m, const Layout& layout, const StageContent& content) {
  const double tp = real(layout.tp);
  const double h = real(m.hidden);
  const double attention = attention_weights(m) / tp + 2 * h;  // and two norms
  StageWeights out;
  double common_moe = 0;
  if (m.moe) {
    common_moe =
        attention + h * real(m.moe->experts) + real(m.moe->shared_experts) * expert_weights(m) / tp;
    out.routed = real(content.moe + content.mtp) * real(m.moe->experts) * expert_weights(m) /
                 real(layout.ep * layout.etp);
  }
  const double dense = attention + ffn_matrices(m) * h * real(m.ffn) / tp;
  const double table = real(m.vocab) * h / tp;
  out.common = real(content.dense) * dense + real(content.moe) * common_moe +
               real(content.mtp) * ((m.moe ? common_moe : dense) + 2 * h * h / tp) +
               (content.embedding ? table : 0) + (content.head ? table + h : 0);
  if (content.embedding && content.head && m.tied_embeddings) out.common -= table;
  return out;
}

std::int64_t replicas(const Layout& layout, bool routed) {
  const std::int64_t ranks = layout.dp * layout.cp;
  return routed ? std::max<std::int64_t>(1, ranks * layout.tp / (layout.ep * layout.etp)) : ranks;
}

std::int64_t replicas_on_node(const Layout& layout, bool routed, std::int64_t gpus_per_node) {
  return on_node(replicas(layout, routed), routed ? layout.ep * layout.etp : layout.tp,
                 gpus_per_node);
}

}  // namespace trainmeter
