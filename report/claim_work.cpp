// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Work over time, and ceilings.
#include "report/claim_work.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "report/claim_arithmetic.hpp"
#include "report/claim_rates.hpp"
#include "report/stages.hpp"
#include "report/transfer.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace trainmeter {
namespace {

// Upper bound of the model FLOPs of an RL stage whose mean output length isn't printed: every
// output as long as allowed. A token costs a forward pass to generate, a training pass, and one
// more forward where a reference model scores it.
std::optional<double> rl_flops_at_most(const Run& run) {
  if (!run.rl || run.rl->phases.empty()) return std::nullopt;
  const Rl& rl = *run.rl;
  const auto outputs = static_cast<double>(rl.questions_per_step * rl.samples_per_question);
  const double passes =
      1 + 1.0 / 3 + (rl.reference_model ? 1.0 / 3 : 0);  // training is three forwards
  double flops = 0;
  for (const RlPhase& phase : rl.phases) {
    const auto length =
        phase.mean_output_tokens ? phase.mean_output_tokens : phase.max_output_tokens;
    if (!length) return std::nullopt;
    flops += phase.steps * outputs * *length * passes *
             training_flops_per_token(*run.model, {.seq_len = static_cast<std::int64_t>(*length)});
  }
  return flops;
}

// A token's training FLOPs, and how many of them an fp8 run has in bf16 (attention, head).
struct TokenFlops {
  double all = 0, bf16 = 0;
};

TokenFlops token_flops(const Run& run) {
  const auto attention = run.seq_len ? AttentionFlops::causal : AttentionFlops::none;
  TokenFlops out;
  for (const Component& c :
       components(*run.model, {.seq_len = run.seq_len.value_or(0), .attention = attention})) {
    out.all += c.training_flops_per_token;
    const bool low = c.low_precision || (c.name == "attention_core" &&
                                         run.attention_precision.value_or("") == run.precision);
    if (run.precision == "fp8" && !low) out.bf16 += c.training_flops_per_token;
  }
  return out;
}

// Of a run that is nothing but stages whose work is known: all of it over the run's hours.
std::optional<Implied> implied_by_stages(const Run& run, double hours) {
  TokenFlops sum;
  for (const Stage& stage : run.stages) {
    if (!stage.run->model || !stage.run->tokens) return std::nullopt;
    const TokenFlops one = token_flops(*stage.run);
    sum.all += *stage.run->tokens * one.all;
    sum.bf16 += *stage.run->tokens * one.bf16;
  }
  return Implied{.stage = run.id,
                 .flops_per_s_per_gpu = rate(sum.all, hours * 3600),
                 .how = fmt::format("{:.3g} FLOP ({} stages, causal attention) / {} GPU-hours",
                                    sum.all, run.stages.size(), format_count(hours)),
                 .precision = run.precision,
                 .bf16_share = sum.bf16 / sum.all,
                 .conventions = {},
                 .rates = {}};
}

void set_mfus(Implied& out, const Run& run) {
  const double peak = bf16_peak(run);
  double tokens_per_s = 0;
  for (const ImpliedRate& one : out.rates) tokens_per_s = std::max(tokens_per_s, one.tokens_per_s);
  if (!run.model || !(peak > 0) || !(tokens_per_s > 0)) return;
  out.conventions = conventions(*run.model, run.seq_len);
  for (Convention& way : out.conventions) {
    way.mfu = mfu(tokens_per_s, way.flops_per_token, 1, peak);
  }
}

// The average over all hours as a share of the fastest steady rate.
void set_share(Implied& out) {
  double average = 0, steady = 0;
  for (const ImpliedRate& one : out.rates) {
    double& kind = one.whole_run ? average : steady;
    kind = std::max(kind, one.flops_per_s_per_gpu);
  }
  if (average > 0 && steady > 0) out.whole_run_share = average / steady;
}

std::string from_like_gpu(const std::string& system, const std::string& dtype) {
  return fmt::format("transferred from {}: same SMs, same {} peak", system, dtype);
}

// The best of one micro file, where it is above `best`.
void raise_to_best(std::optional<Ceiling>& best, const KernelClaim& kernel, const Micro& micro,
                   const std::string& how) {
  for (const MicroFigure& figure : micro.figures) {
    const bool same = figure.operation == kernel.operation && figure.dtype == kernel.dtype &&
                      figure.ranks == kernel.ranks && figure.id != kernel.figure && !figure.refuted;
    const double flops = figure.flops_per_s.value_or(0);
    const double bus = figure.bus_bytes_per_s.value_or(0);
    if (!same || (best && flops <= best->flops_per_s && bus <= best->bus_bytes_per_s)) continue;
    best = Ceiling{
        .operation = kernel.operation,
        .flops_per_s = flops,
        .bus_bytes_per_s = bus,
        .dtype = kernel.dtype,
        .origin = fmt::format("published: {}, {}", figure.source.title, figure.source.locator),
        .how = how + ", " + figure.id,
        .figure = figure.id,
        .place = figure.place};
  }
}

}  // namespace

std::optional<double> hours_of(const Run& run) {
  if (run.published.gpu_hours) return run.published.gpu_hours;
  const std::optional<double> gpus = printed_gpus(run);
  if (!gpus || !run.published.wall_hours) return std::nullopt;
  return *gpus * *run.published.wall_hours;
}

std::optional<Implied> implied_by(const Run& run, std::optional<double> hours) {
  Implied out{.stage = run.id,
              .how = "",
              .precision = run.precision,
              .conventions = {},
              .rates = implied_rates(run, hours)};
  if (!out.rates.empty()) {
    const ImpliedRate& most =
        *std::ranges::max_element(out.rates, {}, &ImpliedRate::flops_per_s_per_gpu);
    out.flops_per_s_per_gpu = most.flops_per_s_per_gpu;
    out.how = most.how;
    if (run.model) {
      const TokenFlops one = token_flops(run);
      out.bf16_share = one.bf16 / one.all;
    }
    set_mfus(out, run);
    set_share(out);
    return out;
  }
  if (hours && is_in_stages(run)) return implied_by_stages(run, *hours);
  if (!run.model || !hours || !rl_flops_at_most(run)) return std::nullopt;
  const double flops = *rl_flops_at_most(run);
  out.flops_per_s_per_gpu = rate(flops, *hours * 3600);
  out.upper_bound = true;
  out.how = fmt::format(
      "at most {:.2g} FLOP (every output as long as allowed: generated, scored, trained on) / {} "
      "GPU-hours",
      flops, format_count(*hours));
  return out;
}

Implied implied_by(const KernelClaim& kernel, const std::string& id) {
  return {.stage = id,
          .flops_per_s_per_gpu = kernel.flops_per_s.value_or(0),
          .bus_bytes_per_s = kernel.bus_bytes_per_s.value_or(0),
          .how = "as printed",
          .precision = kernel.dtype,
          .operation = kernel.operation,
          .conventions = {},
          .rates = {}};
}

std::optional<Ceiling> ceiling_for(const RateBook& book, const std::string& dtype) {
  const auto best = book.best_known_gemm(dtype);
  if (!best) return std::nullopt;
  return Ceiling{.flops_per_s = best->value,
                 .dtype = dtype,
                 .origin = best->origin,
                 .how = best->transferred.empty() ? "measured on this GPU"
                                                  : from_like_gpu(best->transferred, dtype),
                 .figure = best->published ? best->name : "",
                 .place = best->place};
}

std::optional<Ceiling> ceiling_for(const KernelClaim& kernel, const System& system,
                                   const Library& library) {
  std::optional<Ceiling> own, like;
  for (const std::string& id : library.ids("micro")) {
    const Micro& micro = library.micro(id);
    if (micro.system == system.id) {
      raise_to_best(own, kernel, micro, "measured on this GPU");
    } else if (is_compute(kernel.operation)) {  // a collective's is of its links
      const System other = library.system(micro.system);
      if (nearness(other, system, kernel.operation, kernel.dtype) == Nearness::same_chip)
        raise_to_best(like, kernel, micro, from_like_gpu(other.id, kernel.dtype));
    }
  }
  return own ? own : like;
}

std::optional<Ceiling> ceiling_for(const KernelClaim& kernel, const RateBook& book) {
  std::optional<Ceiling> best;
  for (const RatePoint& p : book.points()) {
    const bool same =
        p.operation == kernel.operation && p.dtype == kernel.dtype && p.ranks == kernel.ranks;
    const bool bus = is_collective(p.operation);
    if (!same || (best && p.value <= std::max(best->flops_per_s, best->bus_bytes_per_s))) continue;
    best = Ceiling{.operation = kernel.operation,
                   .flops_per_s = bus ? 0 : p.value,
                   .bus_bytes_per_s = bus ? p.value : 0,
                   .dtype = kernel.dtype,
                   .origin = p.origin,
                   .how = p.transferred.empty() ? "measured on this GPU, " + p.name
                                                : "measured on " + p.transferred + ", " + p.name,
                   .figure = ""};
  }
  return best;
}

std::optional<Ceiling> higher(const std::optional<Ceiling>& one,
                              const std::optional<Ceiling>& other) {
  if (!one || !other) return one ? one : other;
  const auto rate = [](const Ceiling& c) { return std::max(c.flops_per_s, c.bus_bytes_per_s); };
  return rate(*one) < rate(*other) ? other : one;
}

// The host, and whose part of it (github.com/deepseek-ai). What strangers write there into issues
// is not the owner's.
bool published_by(const std::string& who, const Source& source) {
  const auto small = [](std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
  };
  const std::string url = small(source.url);
  if (who.empty() || url.find("/issues/") != std::string::npos) return false;
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t path = url.find('/', host);
  const std::size_t end = path == std::string::npos ? path : url.find('/', path + 1);
  return url.substr(host, end - host).find(small(who)) != std::string::npos;
}

}  // namespace trainmeter
