// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The step-time model, and the sampling that carries its uncertainty.
//
// A step is a sum of parts. Each part has a middle value and a few named uncertain inputs that
// stretch it (its GEMM rate, the bandwidth, ...). An input is drawn once per sample and moves all
// its parts together: errors of neighbouring shapes don't cancel.
#include "report/predict.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace trainmeter {
namespace {

constexpr double kNullMfu = 0.40;
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

enum Input { kGemmNoise, kGemmShape, kMemory, kLinks, kInPlace, kAttention, kInputs };
constexpr std::array<const char*, kInputs> kInputNames = {"spread of the GEMM measurements",
                                                          "GEMM shapes that were not measured",
                                                          "memory bandwidth",
                                                          "link bandwidth",
                                                          "slow-down of kernels inside a step",
                                                          "rate of the attention core"};

struct Part {
  std::string name;
  double middle_s = 0;
  double gemm_noise = 0, gemm_shape = 0, memory = 0, links = 0;  // standard deviations of the log
  bool in_place = false, attention = false;
};

double middle(double low, double high) {
  return std::sqrt(low * high);
}

// `draw` holds a standard normal for the first four inputs and a uniform in 0..1 for the last two.
double part_time(const Part& part, const std::array<double, kInputs>& draw) {
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

double step_time(const std::vector<Part>& parts, const std::array<double, kInputs>& draw) {
  double total = 0;
  for (const Part& part : parts) total += part_time(part, draw);
  return total;
}

Estimate estimate_of(const std::vector<double>& values) {
  return {quantile(values, 0.05), quantile(values, 0.5), quantile(values, 0.95)};
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
    gemm_s_ = part.middle_s;
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
  double gemm_s_ = 0;
  double gradient_weights_ = 0;
};

double mfu_peak(const Run& run, const System& system, const RateBook& book) {
  if (run.published.mfu_peak_flops) return *run.published.mfu_peak_flops;
  for (const std::string& dtype : {std::string("bf16"), run.precision, std::string("fp32")}) {
    if (const auto found = system.peak_flops.find(dtype); found != system.peak_flops.end())
      return found->second;
    if (const auto measured = book.register_peak(dtype)) return measured->value;
  }
  throw BadInput(fmt::format("system {}: peak_flops: no bf16 or {} peak, so MFU has no denominator",
                             system.id, run.precision));
}

AttentionFlops attention_convention(const Run& run) {
  if (run.published.mfu_attention == "full") return AttentionFlops::full;
  if (run.published.mfu_attention == "none") return AttentionFlops::none;
  return AttentionFlops::causal;
}

struct RunFacts {
  double tokens_per_step, flops_per_token, gpus, peak;
  std::optional<double> steps, price;
  double goodput;
};

RunEstimates estimates_from(const std::vector<double>& step_times, const RunFacts& f) {
  RunEstimates out;
  std::vector<double> hours, mfus, tflops, cost;
  for (const double t : step_times) {
    mfus.push_back(mfu(f.tokens_per_step / t, f.flops_per_token, f.gpus, f.peak));
    tflops.push_back(f.tokens_per_step * f.flops_per_token / t / f.gpus / 1e12);
    if (f.steps) {
      hours.push_back(gpu_hours(f.gpus, *f.steps * t) / f.goodput);
      if (f.price) cost.push_back(cost_usd(hours.back(), *f.price));
    }
  }
  out.step_time_s = estimate_of(step_times);
  out.mfu = estimate_of(mfus);
  out.tflops_per_gpu = estimate_of(tflops);
  if (!hours.empty()) out.gpu_hours = estimate_of(hours);
  if (!cost.empty()) out.cost_usd = estimate_of(cost);
  return out;
}

}  // namespace

std::optional<double> published_step_time(const Run& run, double peak_flops) {
  if (!run.model || !run.seq_len || !run.global_batch_sequences) return std::nullopt;
  const Published& p = run.published;
  const auto tokens = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  const auto gpus = static_cast<double>(run.gpus);
  const double flops = training_flops_per_token(
      *run.model, {.seq_len = *run.seq_len, .attention = attention_convention(run)});
  if (p.step_time_s) return p.step_time_s;
  if (p.tokens_per_s_per_gpu) return tokens / (*p.tokens_per_s_per_gpu * gpus);
  if (p.tokens_per_day) return tokens / *p.tokens_per_day * 86400;
  if (p.tflops_per_gpu) return tokens * flops / (*p.tflops_per_gpu * 1e12 * gpus);
  if (p.mfu) return tokens * flops / (*p.mfu * peak_flops * gpus);
  if (p.gpu_hours && run.tokens)
    return *p.gpu_hours * 3600 * run.goodput / gpus * tokens / *run.tokens;
  return std::nullopt;
}

Prediction predict(const Run& run, const System& system, const RateBook& book,
                   const PredictOptions& options) {
  const auto need = [&](bool there, const char* key) {
    if (!there)
      throw BadInput(fmt::format("run {}: {}: missing; a prediction needs it", run.id, key));
  };
  need(run.model.has_value(), "model");
  need(run.seq_len.has_value(), "seq_len");
  need(run.global_batch_sequences.has_value(), "global_batch_sequences");
  if (options.samples < 100) throw BadInput("--samples: expected at least 100");

  Prediction out;
  out.run_id = run.id;
  out.system_id = system.id;
  const std::vector<Part> parts = Builder(run, system, book, out).parts();

  std::array<double, kInputs> centre{};
  centre[kInPlace] = centre[kAttention] = 0.5;
  const double total = step_time(parts, centre);
  for (const Part& part : parts) out.breakdown_s.emplace_back(part.name, part_time(part, centre));
  for (UsedRate& used : out.rates) used.share /= total;
  std::ranges::stable_sort(out.rates, std::ranges::greater{}, &UsedRate::share);

  std::mt19937_64 random(options.seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  std::vector<std::array<double, kInputs>> draws(static_cast<std::size_t>(options.samples));
  for (auto& draw : draws) {
    for (std::size_t i = 0; i < kInputs; ++i)
      draw[i] = i < kInPlace ? normal(random) : uniform(random);
  }
  std::vector<double> times;
  for (const auto& draw : draws) times.push_back(step_time(parts, draw));
  for (std::size_t i = 0; i < kInputs; ++i) {  // one input at a time
    std::vector<double> alone;
    for (const auto& draw : draws) {
      auto only = centre;
      only[i] = draw[i];
      alone.push_back(step_time(parts, only));
    }
    const Estimate e = estimate_of(alone);
    if (e.p95 > e.p05) out.moves_most.emplace_back(kInputNames[i], (e.p95 - e.p05) / e.p50);
  }
  std::ranges::stable_sort(out.moves_most, std::ranges::greater{},
                           &std::pair<std::string, double>::second);

  RunFacts facts{};
  facts.tokens_per_step = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  facts.flops_per_token = training_flops_per_token(
      *run.model, {.seq_len = *run.seq_len, .attention = attention_convention(run)});
  facts.gpus = static_cast<double>(run.gpus);
  facts.peak = mfu_peak(run, system, book);
  facts.goodput = run.goodput;
  if (run.tokens) facts.steps = *run.tokens / facts.tokens_per_step;
  facts.price = options.price_usd_per_gpu_hour;
  if (!facts.price) facts.price = run.price_usd_per_gpu_hour;
  if (!facts.price) facts.price = system.price_usd_per_gpu_hour;
  out.price_usd_per_gpu_hour = facts.price;
  out.flops_per_step = facts.tokens_per_step * facts.flops_per_token;
  out.mfu_peak_flops = facts.peak;
  out.estimates = estimates_from(times, facts);
  const double null_time = out.flops_per_step / (kNullMfu * facts.peak * facts.gpus);
  out.null_model = estimates_from({null_time}, facts);
  if (const auto published = published_step_time(run, facts.peak)) {
    out.published_step_time_s = published;
    out.error_pct = (out.estimates.step_time_s.p50 / *published - 1) * 100;
  }
  if (!facts.price) out.assumptions.emplace_back("no price is known: give --price for the cost");
  if (run.goodput < 1)
    out.assumptions.push_back(
        fmt::format("goodput {:.2f}: share of wall time that trains", run.goodput));

  const auto put = [&](const char* key, const auto& value) {
    if (value) out.published[key] = *value;
  };
  const Published& p = run.published;
  put("gpu_hours", p.gpu_hours);
  put("wall_hours", p.wall_hours);
  put("step_time_s", p.step_time_s);
  put("tokens_per_s_per_gpu", p.tokens_per_s_per_gpu);
  put("tokens_per_day", p.tokens_per_day);
  put("tflops_per_gpu", p.tflops_per_gpu);
  put("mfu", p.mfu);
  put("hfu", p.hfu);
  put("cost_usd", p.cost_usd);
  if (out.published.is_null()) out.published = nlohmann::ordered_json::object();
  return out;
}

nlohmann::ordered_json to_json(const Estimate& e) {
  return {{"p05", e.p05}, {"p50", e.p50}, {"p95", e.p95}};
}

namespace {

nlohmann::ordered_json to_json(const RunEstimates& e) {
  nlohmann::ordered_json json = {{"step_time_s", to_json(e.step_time_s)},
                                 {"gpu_hours", nullptr},
                                 {"mfu", to_json(e.mfu)},
                                 {"tflops_per_gpu", to_json(e.tflops_per_gpu)},
                                 {"cost_usd", nullptr}};
  if (e.gpu_hours) json["gpu_hours"] = to_json(*e.gpu_hours);
  if (e.cost_usd) json["cost_usd"] = to_json(*e.cost_usd);
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const Prediction& p) {
  nlohmann::ordered_json json = {{"run_id", p.run_id},
                                 {"system_id", p.system_id},
                                 {"estimates", to_json(p.estimates)},
                                 {"null_model", to_json(p.null_model)}};
  json["breakdown_s"] = nlohmann::ordered_json::object();
  for (const auto& [name, seconds] : p.breakdown_s) json["breakdown_s"][name] = seconds;
  json["published"] = p.published;
  json["published_step_time_s"] =
      p.published_step_time_s ? nlohmann::ordered_json(*p.published_step_time_s) : nullptr;
  json["error_pct"] = p.error_pct ? nlohmann::ordered_json(*p.error_pct) : nullptr;
  json["rates"] = nlohmann::ordered_json::array();
  for (const UsedRate& used : p.rates) {
    json["rates"].push_back({{"for", used.what},
                             {"value", used.rate.value},
                             {"share_of_step", used.share},
                             {"how", used.rate.how},
                             {"origin", used.rate.origin}});
  }
  json["moves_most"] = nlohmann::ordered_json::array();
  for (const auto& [name, width] : p.moves_most)
    json["moves_most"].push_back({{"input", name}, {"relative_width", width}});
  json["assumptions"] = p.assumptions;
  json["price_usd_per_gpu_hour"] =
      p.price_usd_per_gpu_hour ? nlohmann::ordered_json(*p.price_usd_per_gpu_hour) : nullptr;
  json["mfu_peak_flops"] = p.mfu_peak_flops;
  return json;
}

}  // namespace trainmeter
