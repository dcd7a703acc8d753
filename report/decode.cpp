// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Weights read, small GEMMs, the cache, exchanges, launches.
#include "report/decode.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/real.hpp"
#include "report/device_rates.hpp"
#include "report/gemm_curve.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trainmeter {
namespace {

// FlashMLA on H800: 660 TFLOP/s where bound by compute (its README); DeepGEMM and cuBLAS reach some
// 800 there in bf16.
constexpr double kCoreOfGemm = 0.8;
constexpr double kCacheBytes = 2;      // bf16
constexpr double kUsableMemory = 0.9;  // vLLM's default gpu_memory_utilization
constexpr double kDispatchBytes = 1;   // fp8; DeepEP's low-latency kernels
constexpr double kCombineBytes = 2;    // bf16

Rate memory_rate(const System& system, const RateBook& book) {
  if (const auto known = book.memory()) return *known;
  if (const auto datasheet = datasheet_memory(system)) return *datasheet;
  throw BadInput(
      fmt::format("system {}: no memory bandwidth is known: give memory_bytes_per_s in the "
                  "system's file, or a record with --rates (memory_bench)",
                  system.id));
}

double peak_of(const System& system, const std::string& dtype) {
  const auto found = system.peak_flops.find(dtype);
  return found == system.peak_flops.end() ? 0 : found->second;
}

double best_gemm(const System& system, const RateBook& book, const std::string& dtype) {
  if (const auto best = book.best_gemm(dtype)) return best->value;
  if (const double peak = peak_of(system, dtype); peak > 0) return peak * kGemmOfPeak;
  throw BadInput(fmt::format("system {}: no {} GEMM rate is known: give a record with --rates",
                             system.id, dtype));
}

double routed_weights(const Model& m) {
  return m.moe ? real(moe_layers(m)) * real(m.moe->experts) * expert_weights(m) : 0;
}

}  // namespace

double cache_bytes_per_token(const Model& m) {
  const double width = m.mla ? real(m.mla->kv_lora_rank + m.mla->qk_rope_head_dim)
                             : 2 * real(m.kv_heads) * real(m.head_dim);
  return width * real(m.layers) * kCacheBytes;
}

double DecodeStep::Curve::at(double tokens) const {
  if (log_seconds.empty()) return 0;
  const double place =
      std::clamp(std::log2(std::max(tokens, 1.0)), 0.0, real(std::ssize(log_seconds)) - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, log_seconds.size() - 1);
  const double share = place - static_cast<double>(below);
  return std::exp((1 - share) * log_seconds[below] + share * log_seconds[above]);
}

DecodeStep::DecodeStep(const Model& model, const System& system, const RateBook& book,
                       DecodeLayout layout, double most_sequences)
    : model_(model),
      system_(system),
      layout_(std::move(layout)),
      memory_(memory_rate(system, book)),
      high_(layout_.dtype == "fp8" ? "bf16" : layout_.dtype) {
  const Model& m = model_;
  const double gpus = real(layout_.gpus);
  const bool moe = m.moe.has_value();
  if (moe && m.moe->experts % layout_.gpus != 0) {
    throw BadInput(fmt::format("{} GPUs do not divide {} experts", layout_.gpus, m.moe->experts));
  }
  core_rate_ = kCoreOfGemm * best_gemm(system, book, high_);

  const double tables = real(m.vocab) * real(m.hidden) * (m.tied_embeddings ? 1 : 2);
  const double routed = routed_weights(m);
  const double common = parameters(m) - tables - routed;
  const double divided = moe ? 1 : gpus;
  weight_bytes_ = (common * dtype_bytes(layout_.dtype) + tables * dtype_bytes(high_)) / divided +
                  routed * dtype_bytes(layout_.dtype) / gpus;

  // A dense model's GPUs share each sequence's heads; fewer of those than GPUs are copied, and so
  // is MLA's latent.
  const double copies = moe || gpus <= 1 ? 1
                        : m.mla          ? gpus
                                         : std::max(1.0, gpus / real(m.kv_heads));
  cache_bytes_ = cache_bytes_per_token(m) * copies;
  // MLA decodes on the latent itself: scores over kv_lora + rope, the weighted sum over kv_lora.
  const double widths = m.mla ? real(2 * m.mla->kv_lora_rank + m.mla->qk_rope_head_dim)
                              : real(query_key_dim(m) + value_dim(m));
  core_flops_ = 2 * real(m.heads) * widths * real(m.layers);

  const double most = 2 * std::max(1.0, most_sequences);  // a draft doubles the positions
  for (double t = 1; t < 2 * most * divided; t *= 2) {
    common_.log_seconds.push_back(std::log(
        common_gemms_s(book, std::max<std::int64_t>(std::llround(t), moe ? 1 : layout_.gpus))));
  }
  if (!moe) return;
  for (double t = 1; t < 2 * most * gpus; t *= 2) {
    experts_.log_seconds.push_back(std::log(expert_gemms_s(book, t)));
  }
}

double DecodeStep::gemm_s(const RateBook& book, bool low_precision, std::int64_t m, std::int64_t n,
                          std::int64_t k, std::int64_t groups) const {
  const std::string& dtype = low_precision ? layout_.dtype : high_;
  const double flops = real(groups) * gemm_flops(m, n, k);
  double rate = 0;
  if (const auto known = book.gemm(dtype, "nt", m, n, k, groups)) {
    rate = known->value;
  } else if (const double peak = peak_of(system_, dtype); peak > 0) {
    rate = kGemmOfPeak * peak * gemm_share(system_, dtype, m, n, k, groups, peak);
  } else {
    throw BadInput(fmt::format("system {}: no {} GEMM rate is known: give a record with --rates",
                               system_.id, dtype));
  }
  // Each weight is read once whatever the rate of a shape nearby says.
  const double weights = real(groups) * real(n) * real(k) * dtype_bytes(dtype);
  return std::max(flops / rate, weights / memory_.value);
}

double DecodeStep::common_gemms_s(const RateBook& book, std::int64_t tokens) const {
  const std::int64_t tp = model_.moe ? 1 : layout_.gpus;
  double out = 0;
  const auto add = [&](GemmGroup group, std::int64_t times) {
    if (times < 1) return;
    for (const GemmWork& w : layer_gemms(model_, group, tokens, tp, 1)) {
      if (w.pass != Pass::fprop || w.name == "expert_up" || w.name == "expert_down") continue;
      out += real(times) * w.count * gemm_s(book, w.low_precision, w.m, w.n, w.k, 1);
    }
  };
  add(GemmGroup::dense, dense_layers(model_));
  add(GemmGroup::moe, moe_layers(model_));
  add(GemmGroup::head, 1);
  return out;
}

// `tokens` of the whole replica, each with its experts drawn evenly: how many of a GPU's experts
// get any, and how many tokens those get.
double DecodeStep::expert_gemms_s(const RateBook& book, double tokens) const {
  const Moe& e = *model_.moe;
  const double chance = real(e.experts_per_token) / real(e.experts);
  const double local = real(e.experts) / real(layout_.gpus);
  const double hit = std::max(1.0, local * (1 - std::pow(1 - chance, tokens)));
  const double rows = std::max(1.0, tokens * chance * local / hit);
  const auto groups = std::max<std::int64_t>(1, std::llround(hit));
  const auto m = std::max<std::int64_t>(1, std::llround(rows));
  const std::int64_t up = model_.ffn_kind == FfnKind::swiglu ? 2 : 1;
  return real(moe_layers(model_)) *
         (gemm_s(book, true, m, up * e.expert_ffn, model_.hidden, groups) +
          gemm_s(book, true, m, model_.hidden, e.expert_ffn, groups));
}

double DecodeStep::exchange_s(double tokens, const DecodeFactors& f) const {
  if (layout_.gpus < 2) return 0;
  const double gpus = real(layout_.gpus);
  const double on_node = std::min(1.0, real(system_.gpus_per_node) / gpus);
  const auto wire_s = [&](double bytes) {  // both links at once
    const double node = system_.nvlink_bytes_per_s
                            ? bytes * on_node / (*system_.nvlink_bytes_per_s * f.node_links)
                            : 0;
    const double network =
        system_.nic_bytes_per_s
            ? bytes * (1 - on_node) / (*system_.nic_bytes_per_s * f.network_links)
            : 0;
    return std::max(node, network);
  };
  const double hidden = real(model_.hidden);
  if (model_.moe) {  // dispatch and combine, a copy for each expert
    const double bytes =
        tokens * real(model_.moe->experts_per_token) * hidden * (kDispatchBytes + kCombineBytes);
    return real(moe_layers(model_)) * (2 * f.exchange_s + wire_s(bytes));
  }
  const double bytes = bus_factor("allreduce", layout_.gpus) * tokens * hidden * kCombineBytes;
  return real(model_.layers) * 2 * (f.exchange_s + wire_s(bytes));
}

double DecodeStep::seconds(double sequences, double context, const DecodeFactors& f) const {
  const double gpus = real(layout_.gpus);
  const double busiest = std::max(sequences, 1.0);
  const double positions = busiest * f.verified_positions;
  const double replica = std::max(sequences * gpus, 1.0) * f.verified_positions;
  // A dense replica's sequences are on all its GPUs.
  const double held = model_.moe ? busiest : std::max(sequences, 1 / gpus);
  const double core = std::max(held * context * cache_bytes_ / memory_.value,
                               held * f.verified_positions * context * core_flops_ / core_rate_);
  const double sum = common_.at(model_.moe ? positions : replica) + experts_.at(replica) + core +
                     real(model_.layers) * f.kernels_s +
                     exchange_s(model_.moe ? positions : replica, f);
  return sum / f.efficiency;
}

double DecodeStep::room_for(double length) const {
  if (!system_.memory_bytes) return std::numeric_limits<double>::infinity();
  const double room =
      (kUsableMemory * *system_.memory_bytes - weight_bytes_) / (cache_bytes_ * length);
  return std::max(room, model_.moe ? 1 : 1 / real(layout_.gpus));
}

double DecodeStep::need_bytes(double length) const {
  return weight_bytes_ + length * cache_bytes_ / (model_.moe ? 1 : real(layout_.gpus));
}

bool DecodeStep::fits(double length) const {
  return !system_.memory_bytes || need_bytes(length) <= kUsableMemory * *system_.memory_bytes;
}

std::vector<DecodeStep> decode_layouts(const Model& model, const System& system,
                                       const RateBook& book, std::int64_t gpus,
                                       const std::vector<std::string>& dtypes, double outputs,
                                       double length, const std::string& place) {
  std::vector<DecodeStep> out;
  std::string why;
  (void)memory_rate(system, book);
  for (const std::string& dtype : dtypes) {
    (void)best_gemm(system, book, dtype);
    bool one_fits = false;
    for (std::int64_t g = 1; g <= gpus; g *= 2) {
      const bool too_wide = !model.moe && g > system.gpus_per_node;
      if (one_fits && too_wide) break;
      if (model.moe && model.moe->experts % g != 0) break;
      try {
        DecodeStep step(model, system, book, {.gpus = g, .dtype = dtype},
                        outputs / real(used_gpus(gpus, g)));
        if (!step.fits(length)) {
          why = fmt::format(
              "on {} of them {} weights and one output of {:.0f} tokens take {:.0f} GB a GPU, "
              "{:.0f} of {:.0f} are usable",
              g, dtype, length, step.need_bytes(length) / 1e9,
              kUsableMemory * *system.memory_bytes / 1e9, *system.memory_bytes / 1e9);
          continue;
        }
        one_fits = true;
        out.push_back(std::move(step));
      } catch (const BadInput& error) {
        why = fmt::format("on {} of them {}", g, error.what());
      }
    }
  }
  if (out.empty()) {
    throw BadInput(fmt::format(
        "{}: gpus: no rollout engine of up to {} GPUs of {} holds the model (those of a power of "
        "two{} are tried): {}",
        place, gpus, system.id, model.moe ? " that divides its experts" : "", why));
  }
  return out;
}

}  // namespace trainmeter
