// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Finds a layout and asks the engine.
#include "report/rl_training.hpp"

#include "record/error.hpp"
#include "workload/layout.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace trainmeter {
namespace {

// Where the engine has no layout: MFU of training runs that print it, 0.16 to 0.35 over whole runs
// of Llama 3, up to 0.43 in steps of Megatron-Core on H100.
const FactorPrior kMfu{.median = 0.3, .low = 0.15, .high = 0.45, .why = "published training runs"};

struct Update {
  Run run;
  std::vector<std::string> notes;  // where it isn't as printed
};

// Micro-batches of a replica that hold `least` or more and suit the schedule: how many outputs make
// a sequence is ours to say, so a layout isn't refused over it.
std::int64_t suitable_microbatches(std::int64_t least, Update& out) {
  Parallel& p = *out.run.parallel;
  if (p.pp < 2 || !is_dualpipe(out.run)) return least;
  if (least >= 2 * p.pp) return least + least % 2;
  out.notes.push_back(fmt::format(
      "training pass with zb instead of dualpipe, which takes at least 2 pp = {} micro-batches: a "
      "replica's share of an update makes {}",
      2 * p.pp, least));
  p.schedule = Schedule::zb;
  return least;
}

// One update as a training run. Outputs are packed into sequences as long as the output that the
// mean token is in (the nearest power of two), so that attention costs what it costs there.
Update update_as_run(const Run& run, const Parallel& parallel, const UpdateWork& work) {
  Update update{.run = run, .notes = {}};
  Run& out = update.run;
  out.rl.reset();
  out.published = {};
  out.stages.clear();
  out.parallel = parallel;
  constexpr std::int64_t kShortest = 256;
  constexpr std::int64_t kLongest = 1 << 17;
  const auto length = std::llround(std::exp2(std::round(std::log2(work.length))));
  out.seq_len = std::clamp<std::int64_t>(length, kShortest, kLongest);
  const std::int64_t dp =
      std::max<std::int64_t>(1, run.gpus / (parallel.tp * parallel.pp * parallel.cp));
  const std::int64_t size = parallel.microbatch_sequences.value_or(1);
  if (size > kMaxRunSize / dp) {
    throw BadInput(fmt::format("{}: parallel.microbatch_sequences: expected at most {}, found {}",
                               run.place.file.empty() ? "run " + run.id : run.place.file,
                               kMaxRunSize / dp, size));
  }
  const double each =
      work.tokens / static_cast<double>(*out.seq_len * dp) / static_cast<double>(size);
  if (!(each < static_cast<double>(kMaxRunSize / (dp * size)))) {
    throw BadInput(fmt::format("{}: rl: expected at most {} sequences an update, found {:.3g}",
                               run.place.file.empty() ? "run " + run.id : run.place.file,
                               kMaxRunSize, each * static_cast<double>(dp * size)));
  }
  const auto least = std::max<std::int64_t>(1, std::llround(std::ceil(each)));
  out.global_batch_sequences = dp * size * suitable_microbatches(least, update);
  return update;
}

// Tensor parallelism inside a node and pipelines (dense), or pipelines with as much expert
// parallelism as there is (mixture of experts, DeepSeek's way): the least model parallelism first.
std::vector<Parallel> plausible(const Run& run, const System& system) {
  constexpr std::int64_t kMostPipelineRanks = 32;
  std::vector<Parallel> out;
  const bool moe = run.model->moe.has_value();
  for (std::int64_t pp = 1; pp <= std::min(run.model->layers, kMostPipelineRanks); pp *= 2) {
    for (std::int64_t tp = 1; tp <= (moe ? 1 : system.gpus_per_node); tp *= 2) {
      Parallel p;
      p.tp = tp;
      p.pp = pp;
      out.push_back(p);
    }
  }
  std::ranges::stable_sort(out, {}, [](const Parallel& p) { return p.tp * p.pp; });
  return out;
}

std::int64_t expert_ranks(const Run& run, std::int64_t pp) {
  constexpr std::int64_t kMost = 64;  // DeepSeek-V3's
  std::int64_t ep = 1;
  while (run.model->moe && ep < kMost && run.model->moe->experts % (2 * ep) == 0 &&
         run.gpus / pp % (2 * ep) == 0) {
    ep *= 2;
  }
  return ep;
}

struct Fastest {
  std::optional<Run> update;
  double seconds = 0;
  std::string why_not;  // where there is none
};

// Whoever ran it chose a fast layout. Long outputs are cut over as few context-parallel ranks as
// their memory needs.
Fastest fastest(const Run& run, const System& system, const RateBook& book,
                const FactorValues& factors, const UpdateWork& work) {
  constexpr int kEnough = 8;
  constexpr std::int64_t kMostContextRanks = 8;
  Fastest out;
  int fitting = 0;
  for (Parallel p : plausible(run, system)) {
    if (fitting == kEnough) break;
    p.ep = expert_ranks(run, p.pp);
    for (p.cp = 1; p.cp <= kMostContextRanks; p.cp *= 2) {
      if (run.gpus % (p.tp * p.pp * p.cp) != 0) break;
      Run update = update_as_run(run, p, work).run;
      try {
        const double seconds = central_step_s(candidates(update, system, book, factors), factors);
        ++fitting;
        if (out.update && out.seconds <= seconds) break;
        out.update = std::move(update);
        out.seconds = seconds;
        break;
      } catch (const BadInput& error) {
        out.why_not = error.what();
      }
    }
  }
  return out;
}

std::string layout_words(const Parallel& p) {
  return fmt::format("tp {}, pp {}, cp {}, ep {}", p.tp, p.pp, p.cp, p.ep);
}

TrainingPass from_engine(const Run& update, const Prediction& prediction, const UpdateWork& work) {
  TrainingPass out;
  const Estimate& time = prediction.estimates.step_time_s;
  double whole = 0;
  double fixed = 0;
  for (const auto& [part, seconds] : prediction.breakdown_s) {
    whole += seconds;
    if (part == "pipeline_bubble" || part == "data_parallel" || part == "optimizer_and_overhead") {
      fixed += seconds;
    }
  }
  out.tokens = work.tokens;
  out.fixed_s = time.p50 * fixed / whole;
  out.work_s = time.p50 - out.fixed_s;
  out.log_sigma = std::log(time.p95 / time.p05) / kSigmasOf90Percent;
  out.rates = prediction.rates;
  out.assumptions.push_back(
      fmt::format("training pass by the training engine: {} in {}, {} sequences of {} tokens an "
                  "update, {:.3g} s",
                  layout_words(*update.parallel), update.precision, *update.global_batch_sequences,
                  *update.seq_len, time.p50));
  return out;
}

}  // namespace

const FactorPrior& training_mfu_prior() {
  return kMfu;
}

TrainingPass training_pass(const Run& run, const System& system, const RateBook& book,
                           const Knowledge& knowledge, const PredictOptions& options,
                           const UpdateWork& work, double peak_flops) {
  constexpr int kSamples = 200;  // for a median and two quantiles that become one spread
  const PredictOptions few{.price_usd_per_gpu_hour = std::nullopt,
                           .samples = std::min(options.samples, kSamples),
                           .seed = options.seed};
  if (run.parallel) {  // what it prints must be possible
    const Update update = update_as_run(run, *run.parallel, work);
    TrainingPass out =
        from_engine(update.run, predict(update.run, system, book, knowledge, few), work);
    out.assumptions.insert(out.assumptions.end(), update.notes.begin(), update.notes.end());
    return out;
  }
  const Fastest best =
      fastest(run, system, book, knowledge.calibration.for_family(run.family).medians(), work);
  if (best.update) {
    TrainingPass out =
        from_engine(*best.update, predict(*best.update, system, book, knowledge, few), work);
    out.assumptions.emplace_back(
        "the training pass's layout isn't printed: the fastest of a few that fit");
    return out;
  }
  TrainingPass out;
  out.tokens = work.tokens;
  out.work_s = work.flops / (kMfu.median * peak_flops * static_cast<double>(run.gpus));
  out.log_sigma = kMfu.log_sigma();
  out.assumptions.push_back(
      fmt::format("training pass at an MFU of {:.2f} ({:.2f} to {:.2f}), since no layout works: {}",
                  kMfu.median, kMfu.low, kMfu.high, best.why_not));
  return out;
}

}  // namespace trainmeter
