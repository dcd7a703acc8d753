// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The parts of a step, from the model's work, the layout and the rates.
#include "report/step_model.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

// In a running step a GEMM gets less than alone: lower end from the DeepSeek training trace against
// DeepGEMM's table (0.65).
constexpr double kInPlaceLow = 0.65;
constexpr double kInPlaceHigh = 1.0;
// Attention cores run below the GEMM rate: FlashAttention-3 forward and backward against bf16 GEMM,
// 0.5 to 0.8.
constexpr double kAttentionLow = 0.5;
constexpr double kAttentionHigh = 0.8;
constexpr double kLinkEfficiency = 0.8;  // of a link's datasheet bandwidth, where no collective was
                                         // measured (H800 NVLink: 160 of 200)

double middle(double low, double high) {
  return std::sqrt(low * high);
}

// What the layout makes of one step on one GPU.
struct Shares {
  Parallel layout;
  std::int64_t microbatches = 1;           // per replica and step
  std::int64_t tokens_per_microbatch = 0;  // on one GPU (context-parallel share)
};

Shares shares_of(const Run& run) {
  Shares s;
  if (run.parallel) s.layout = *run.parallel;
  Parallel& p = s.layout;
  const std::int64_t model_gpus = p.tp * p.pp * p.cp;
  if (!run.parallel || p.dp * model_gpus != run.gpus) {
    if (run.gpus % model_gpus != 0) {
      throw BadInput(fmt::format("run {}: gpus: expected a multiple of tp x pp x cp = {}, found {}",
                                 run.id, model_gpus, run.gpus));
    }
    p.dp = run.gpus / model_gpus;
  }
  const std::int64_t per_replica = *run.global_batch_sequences / p.dp;
  if (per_replica < 1) {
    throw BadInput(
        fmt::format("run {}: global_batch_sequences: expected at least dp = {}, found {}", run.id,
                    p.dp, *run.global_batch_sequences));
  }
  p.microbatch_sequences = std::min(p.microbatch_sequences, per_replica);
  s.microbatches = std::max<std::int64_t>(1, per_replica / p.microbatch_sequences);
  s.tokens_per_microbatch = std::max<std::int64_t>(1, p.microbatch_sequences * *run.seq_len / p.cp);
  return s;
}

class Builder {
 public:
  Builder(const Run& run, const System& system, const RateBook& book, Prediction& out)
      : run_(run),
        model_(*run.model),
        system_(system),
        book_(book),
        out_(out),
        shares_(shares_of(run)) {}

  std::vector<Part> parts() {
    gemm_part();
    attention_part();
    memory_parts();
    recompute_part();
    communication_parts();
    bubble_part();
    std::erase_if(parts_, [](const Part& part) { return part.middle_s <= 0; });
    return parts_;
  }

 private:
  [[nodiscard]] double per_stage() const {
    return static_cast<double>(shares_.microbatches) / static_cast<double>(shares_.layout.pp);
  }

  // The dtype that stands in for one nobody measured here, the nearest in width first.
  std::string dtype_known(const std::string& wanted) {
    static const std::vector<std::string> kOrder = {"fp8", "bf16", "fp16", "tf32", "fp32"};
    auto place = std::ranges::find(kOrder, wanted);
    if (place == kOrder.end()) place = kOrder.begin();
    for (; place != kOrder.end(); ++place) {
      if (!book_.best_gemm(*place)) continue;
      if (*place != wanted) {
        assume(fmt::format("no {} GEMM rate is known for this device: {} is used in its place",
                           wanted, *place));
      }
      return *place;
    }
    throw BadInput(
        fmt::format("run {}: no {} GEMM rate is known for {}: give a record with --rates", run_.id,
                    wanted, system_.id));
  }

  void assume(const std::string& text) {
    if (std::ranges::find(out_.assumptions, text) == out_.assumptions.end())
      out_.assumptions.push_back(text);
  }

  void use(const std::string& what, const Rate& rate, double seconds) {
    out_.rates.push_back({what, rate, seconds});  // seconds for now; shares when the step is known
  }

  void gemm_part() {
    const std::string low = dtype_known(run_.precision);
    const std::string high = run_.precision == "fp8" ? dtype_known("bf16") : low;
    Part part{.name = "gemm", .in_place = true};
    double noise = 0;
    double shape = 0;
    for (const GemmWork& work :
         step_gemms(model_, shares_.tokens_per_microbatch, shares_.layout.tp, shares_.layout.ep)) {
      const std::string& dtype = work.low_precision ? low : high;
      const char* layout = work.pass == Pass::fprop ? "nt" : work.pass == Pass::dgrad ? "nn" : "tn";
      const Rate rate = *book_.gemm(dtype, layout, work.m, work.n, work.k);
      const double seconds = work.count * static_cast<double>(work.groups) * per_stage() *
                             gemm_flops(work.m, work.n, work.k) / rate.value;
      part.middle_s += seconds;
      noise += seconds * rate.noise;
      shape += seconds * rate.shape;
      use(fmt::format("{} {} {}x{}x{} {}", work.name, to_string(work.pass), work.m, work.n, work.k,
                      dtype),
          rate, seconds);
    }
    part.gemm_noise = noise / part.middle_s;
    part.gemm_shape = shape / part.middle_s;
    part.middle_s /= middle(kInPlaceLow, kInPlaceHigh);
    gemm_ = part;
    parts_.push_back(part);
    assume(
        fmt::format("inside a step a GEMM reaches {:.2f} to {:.2f} of its rate alone (lower end: "
                    "DeepSeek's training trace "
                    "against DeepGEMM's table)",
                    kInPlaceLow, kInPlaceHigh));
  }

  void attention_part() {
    double flops = 0;
    for (const Component& c :
         components(model_, {.seq_len = *run_.seq_len, .attention = AttentionFlops::causal})) {
      if (c.name == "attention_core") flops = c.training_flops_per_token;
    }
    const std::string dtype = dtype_known(run_.attention_precision == "fp8" ? "fp8"
                                          : run_.precision == "fp8"         ? "bf16"
                                                                            : run_.precision);
    const RatePoint best = *book_.best_gemm(dtype);
    const double work = flops * static_cast<double>(shares_.tokens_per_microbatch) * per_stage() /
                        static_cast<double>(shares_.layout.tp);
    attention_ = {.name = "attention_core",
                  .middle_s = work / (best.value * middle(kAttentionLow, kAttentionHigh)),
                  .gemm_noise = best.noise,
                  .attention = true};
    parts_.push_back(attention_);
    const Rate rate{.value = best.value,
                    .noise = best.noise,
                    .shape = 0,
                    .origin = best.origin,
                    .how = fmt::format("best {} GEMM x {:.1f} to {:.1f}", dtype, kAttentionLow,
                                       kAttentionHigh)};
    use("attention core " + dtype, rate, attention_.middle_s);
    assume(
        fmt::format("the attention core (causal) runs at {:.1f} to {:.1f} of the best {} GEMM "
                    "rate: it has no measurement yet",
                    kAttentionLow, kAttentionHigh, dtype));
  }

  void memory_parts() {
    const auto bandwidth = book_.memory();
    if (!bandwidth)
      throw BadInput(
          fmt::format("run {}: no memory bandwidth is known for {}: give a record with --rates",
                      run_.id, system_.id));
    const double element = dtype_bytes(run_.precision == "fp32" ? "fp32" : "bf16");
    double bytes = 0;
    for (const MemoryWork& work :
         step_memory(model_, shares_.tokens_per_microbatch, *run_.seq_len, element))
      bytes += work.bytes;
    bytes *= per_stage() / static_cast<double>(shares_.layout.tp);
    double weights =
        parameters(model_) / static_cast<double>(shares_.layout.tp * shares_.layout.pp);
    if (model_.moe) {  // experts are spread over ep GPUs, the rest over tp
      const double routed =
          static_cast<double>(model_.layers - model_.moe->dense_layers) * 3 *
          static_cast<double>(model_.moe->experts * model_.hidden * model_.moe->expert_ffn) /
          static_cast<double>(shares_.layout.pp);
      weights = weights - routed / static_cast<double>(shares_.layout.tp) +
                routed / static_cast<double>(shares_.layout.ep);
    }
    gradient_weights_ = weights;
    const double optimizer =
        optimizer_bytes(weights) /
        (shares_.layout.zero >= 1 ? static_cast<double>(shares_.layout.dp) : 1);
    for (const auto& [name, moved] :
         {std::pair{"memory_bound", bytes}, std::pair{"optimizer", optimizer}}) {
      const double seconds = moved / bandwidth->value;
      parts_.push_back({.name = name, .middle_s = seconds, .memory = bandwidth->noise});
      use(std::string(name) + ", memory bandwidth", *bandwidth, seconds);
    }
    assume(
        "memory-bound operations move their least bytes at the measured bandwidth, none of them "
        "hidden under compute");
  }

  void recompute_part() {
    const std::string& kind = shares_.layout.recompute;
    if (kind == "none") return;
    // A second forward: a third of forward + backward.
    Part part = kind == "full" ? gemm_ : attention_;
    part.name = "recompute";
    part.middle_s /= 3;
    if (kind == "full") part.middle_s += attention_.middle_s / 3;
    parts_.push_back(part);
    assume(fmt::format("{} recomputation repeats the forward pass of {}", kind,
                       kind == "full" ? "every layer" : "the attention core"));
  }

  // Bus bandwidth of a collective over `ranks` GPUs: measured or published, else the datasheet's
  // link.
  std::optional<Rate> link(const char* collective, double bytes, std::int64_t ranks) {
    const bool inside = ranks <= system_.gpus_per_node;
    if (inside) {
      if (const auto known = book_.bus(collective, bytes)) return known;
    }
    const auto sheet = inside ? system_.nvlink_bytes_per_s : system_.nic_bytes_per_s;
    if (!sheet) return std::nullopt;
    assume(fmt::format("{} between {}: {:.0f} % of the datasheet's {}", collective,
                       inside ? "GPUs of a node" : "nodes", kLinkEfficiency * 100,
                       format_bandwidth(*sheet)));
    return Rate{.value = *sheet * kLinkEfficiency,
                .noise = 0.15,
                .shape = 0,
                .origin = "system " + system_.id,
                .how = "datasheet"};
  }

  void communicate(const std::string& name, const char* collective, double bytes, double times,
                   std::int64_t ranks, const char* overlap_key, double hideable_s) {
    if (ranks < 2 || !(bytes > 0)) return;
    const auto bandwidth = link(collective, bytes, ranks);
    if (!bandwidth) {
      assume(fmt::format("{} is left out: no bandwidth is known for it", name));
      return;
    }
    double seconds = times * bytes * bus_factor(collective, ranks) / bandwidth->value;
    use(name, *bandwidth, seconds);
    const auto& overlap = shares_.layout.overlap;
    if (std::ranges::find(overlap, overlap_key) != overlap.end()) {
      seconds = std::max(0.0, seconds - hideable_s);
      assume(fmt::format("{} runs under compute; only what exceeds it counts", name));
    }
    parts_.push_back({.name = name, .middle_s = seconds, .links = bandwidth->noise});
  }

  void communication_parts() {
    const Parallel& p = shares_.layout;
    const double compute = gemm_.middle_s + attention_.middle_s;
    const auto tokens = static_cast<double>(shares_.tokens_per_microbatch);
    const auto hidden = static_cast<double>(model_.hidden);
    const double layer_passes = static_cast<double>(model_.layers) * per_stage();
    // Megatron: two all-reduces forward and two backward per layer, of tokens x hidden in bf16.
    communicate("tp_all_reduce", "allreduce", tokens * hidden * 2, 4 * layer_passes, p.tp, "tp",
                compute);
    // fp32 gradients once a step.
    communicate("dp_all_reduce", "allreduce", gradient_weights_ * 4, 1, p.dp, "dp",
                compute * 2 / 3);
    if (model_.moe && p.ep > 1) {
      // Each token goes to at most group_limit nodes once (else to each expert): dispatch in the
      // run's precision and combine in bf16 forward, and the reverse backward in bf16.
      const auto copies = static_cast<double>(
          std::min(model_.moe->group_limit.value_or(model_.moe->experts_per_token),
                   model_.moe->experts_per_token));
      const double element = run_.precision == "fp8" ? 1 + 2 + 2 + 2 : 4 * 2;
      const double moe_layers =
          static_cast<double>(model_.layers - model_.moe->dense_layers) * per_stage();
      communicate("ep_all_to_all", "alltoall", tokens * hidden * copies * element, moe_layers, p.ep,
                  "ep", compute);
    }
  }

  // Idle time of a pipeline of p stages with m micro-batches, in forward+backward times t of one
  // micro-batch (F = t/3, B = 2t/3, of which W = t/3): DeepSeek-V3 report, table 2.
  void bubble_part() {
    const Parallel& p = shares_.layout;
    if (p.pp < 2) return;
    double busy = 0;
    for (const Part& part : parts_) {
      if (part.name != "optimizer" && part.name != "dp_all_reduce") busy += part.middle_s;
    }
    const double t = busy / static_cast<double>(shares_.microbatches);
    const auto stages = static_cast<double>(p.pp);
    double idle = (stages - 1) * t / static_cast<double>(p.schedule == "interleaved" ? p.vpp : 1);
    if (p.schedule == "zb") idle = (stages - 1) * t / 3;
    if (p.schedule == "dualpipe") idle = (stages / 2 - 1) * t * 2 / 3;
    parts_.push_back({.name = "pipeline_bubble",
                      .middle_s = idle,
                      .gemm_noise = gemm_.gemm_noise,
                      .gemm_shape = gemm_.gemm_shape,
                      .in_place = true});
    assume(fmt::format("pipeline bubble of the {} schedule, stages of equal work", p.schedule));
  }

  const Run& run_;
  const Model& model_;
  const System& system_;
  const RateBook& book_;
  Prediction& out_;
  Shares shares_;
  std::vector<Part> parts_;
  Part gemm_, attention_;
  double gradient_weights_ = 0;
};

}  // namespace

Draw middle_draw() {
  Draw draw{};
  draw[kInPlace] = draw[kAttention] = 0.5;
  return draw;
}

double part_time(const Part& part, const Draw& draw) {
  const auto log_between = [](double low, double high, double u) {
    return low * std::pow(high / low, u);
  };
  double t = part.middle_s *
             std::exp(part.gemm_noise * draw[kGemmNoise] + part.gemm_shape * draw[kGemmShape] +
                      part.memory * draw[kMemory] + part.links * draw[kLinks]);
  if (part.in_place) {
    t *= middle(kInPlaceLow, kInPlaceHigh) / log_between(kInPlaceLow, kInPlaceHigh, draw[kInPlace]);
  }
  if (part.attention) {
    t *= middle(kAttentionLow, kAttentionHigh) /
         log_between(kAttentionLow, kAttentionHigh, draw[kAttention]);
  }
  return t;
}

double step_time(const std::vector<Part>& parts, const Draw& draw) {
  double total = 0;
  for (const Part& part : parts) total += part_time(part, draw);
  return total;
}

std::vector<Part> step_parts(const Run& run, const System& system, const RateBook& book,
                             Prediction& out) {
  return Builder(run, system, book, out).parts();
}

}  // namespace trainmeter
