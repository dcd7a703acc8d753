// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Resolves and checks parallel layouts, and lists what an unprinted field may have been.
#include "workload/layout.hpp"

#include "record/error.hpp"
#include "workload/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

// A refusal names the file, the key and what was expected.
template <class... Args>
[[noreturn]] void refuse(const Run& run, const char* key, fmt::format_string<Args...> expected,
                         Args&&... args) {
  throw BadInput(fmt::format("{}: {}: expected {}",
                             run.place.file.empty() ? "run " + run.id : run.place.file, key,
                             fmt::format(expected, std::forward<Args>(args)...)));
}

void need(const Run& run, bool there, const char* key) {
  if (!there) {
    throw BadInput(fmt::format("{}: {}: missing; a prediction needs it",
                               run.place.file.empty() ? "run " + run.id : run.place.file, key));
  }
}

// Stages cut up into virtual ones are interleaved ones.
void check_virtual_stages(const Run& run, const Parallel& p) {
  const std::int64_t vpp = p.vpp.value_or(1);
  if (p.pp == 1) {
    if (vpp > 1) refuse(run, "parallel.vpp", "1 without a pipeline (pp is 1), found {}", vpp);
    return;
  }
  if (vpp > 1 && (p.schedule == Schedule::zb || p.schedule == Schedule::dualpipe)) {
    refuse(run, "parallel.vpp", "1 for the schedule {}, found {}", to_string(*p.schedule), vpp);
  }
  if (p.vpp == 1 && p.schedule == Schedule::interleaved)
    refuse(run, "parallel.vpp", "at least 2 for the schedule interleaved, found 1");
}

// What the file settles, with every size checked. Micro-batches stay open.
Layout settled(const Run& run) {
  const Parallel p = run.parallel.value_or(Parallel{});
  const Model& m = *run.model;
  Layout out;
  out.gpus = run.gpus;
  out.tp = p.tp;
  out.pp = p.pp;
  out.cp = p.cp;
  out.ep = p.ep;
  out.etp = p.etp;
  out.seq_len = *run.seq_len;
  const std::int64_t one_model = p.tp * p.pp * p.cp;
  if (run.gpus % one_model != 0) {
    refuse(run, "gpus", "a multiple of tp x pp x cp = {}, found {}", one_model, run.gpus);
  }
  out.dp = run.gpus / one_model;
  if (p.dp && *p.dp != out.dp) {
    refuse(run, "parallel.dp", "tp x pp x cp x dp = {} GPUs, found {}", run.gpus, *p.dp);
  }
  check_virtual_stages(run, p);
  if (m.heads % p.tp != 0)
    refuse(run, "parallel.tp", "a divisor of {} heads, found {}", m.heads, p.tp);
  if (m.kv_heads % p.tp != 0 && p.tp % m.kv_heads != 0) {
    refuse(run, "parallel.tp", "a divisor or a multiple of {} key and value heads, found {}",
           m.kv_heads, p.tp);
  }
  if (m.ffn % p.tp != 0) refuse(run, "parallel.tp", "a divisor of ffn {}, found {}", m.ffn, p.tp);
  if (m.mtp_depth > 0 && m.hidden % p.tp != 0) {
    refuse(run, "parallel.tp", "a divisor of hidden {}, found {}", m.hidden, p.tp);
  }
  if (m.moe && m.moe->shared_experts * m.moe->expert_ffn % p.tp != 0) {
    refuse(run, "parallel.tp", "a divisor of the shared experts' width {}, found {}",
           m.moe->shared_experts * m.moe->expert_ffn, p.tp);
  }
  if (*run.seq_len % (p.cp * (p.cp > 1 ? 2 : 1)) != 0) {
    refuse(run, "parallel.cp", "2 cp that divides seq_len {}, found {}", *run.seq_len, p.cp);
  }
  // Ranks share the tokens of routers, experts and latent projections.
  if ((m.moe || m.mla) && *run.seq_len % (p.cp * p.tp) != 0) {
    refuse(run, "parallel.tp", "tp x cp that divides seq_len {}, found {}", *run.seq_len,
           p.cp * p.tp);
  }
  if (p.pp > m.layers) refuse(run, "parallel.pp", "at most {} layers, found {}", m.layers, p.pp);
  if (p.ep > 1 || p.etp > 1) {
    if (!m.moe) {
      refuse(run, p.ep > 1 ? "parallel.ep" : "parallel.etp",
             "1 for a model without experts, found {}", p.ep > 1 ? p.ep : p.etp);
    }
    if (m.moe->experts % p.ep != 0) {
      refuse(run, "parallel.ep", "a divisor of {} experts, found {}", m.moe->experts, p.ep);
    }
    if (m.moe->expert_ffn % p.etp != 0) {
      refuse(run, "parallel.etp", "a divisor of expert_ffn {}, found {}", m.moe->expert_ffn, p.etp);
    }
    if ((out.dp * p.cp * p.tp) % (p.ep * p.etp) != 0) {
      refuse(run, "parallel.ep", "ep x etp that divides dp x cp x tp = {}, found {}",
             out.dp * p.cp * p.tp, p.ep * p.etp);
    }
  }
  if (*run.global_batch_sequences % out.dp != 0) {
    refuse(run, "global_batch_sequences", "a multiple of dp = {}, found {}", out.dp,
           *run.global_batch_sequences);
  }
  out.zero = static_cast<int>(p.zero.value_or(run.stack == TrainingStack::fsdp ? 3 : 1));
  out.sp = p.sp.value_or(p.tp > 1);
  return out;
}

bool is_interleaved(const Run& run) {
  const Parallel& p = *run.parallel;
  return p.schedule == Schedule::interleaved ||
         ((!p.schedule || p.schedule == Schedule::one_f_one_b) && p.vpp.value_or(1) > 1);
}

// Whether so many micro-batches suit the schedule that the file gives.
bool suits(const Run& run, std::int64_t pp, std::int64_t microbatches) {
  if (pp == 1) return true;
  if (is_dualpipe(run)) return microbatches % 2 == 0 && microbatches >= 2 * pp;
  return !is_interleaved(run) || microbatches % pp == 0;
}

std::vector<std::int64_t> microbatch_sizes(const Run& run, const Layout& layout,
                                           std::int64_t per_replica) {
  const auto printed = run.parallel ? run.parallel->microbatch_sequences : std::nullopt;
  if (printed) {
    if (per_replica % *printed != 0) {
      refuse(run, "parallel.microbatch_sequences",
             "a divisor of the {} sequences of a replica, found {}", per_replica, *printed);
    }
    return {*printed};
  }
  std::vector<std::int64_t> out;
  for (const std::int64_t size : {1, 2, 4, 8}) {
    if (per_replica % size == 0 && (size == 1 || size * *run.seq_len <= kMostMicrobatchTokens) &&
        suits(run, layout.pp, per_replica / size)) {
      out.push_back(size);
    }
  }
  // FSDP's usual one, whatever its size.
  const bool listed = std::ranges::find(out, per_replica) != out.end();
  if (run.stack == TrainingStack::fsdp && layout.pp == 1 && !listed &&
      per_replica * *run.seq_len <= kMostMicrobatchTokens)
    out.push_back(per_replica);
  if (out.empty()) out.push_back(1);
  return out;
}

struct Pipelining {
  Schedule schedule = Schedule::one_f_one_b;
  std::int64_t vpp = 1;
};

std::vector<Pipelining> pipelinings(const Run& run, const Layout& layout) {
  if (layout.pp == 1) return {{Schedule::one_f_one_b, 1}};
  const Parallel& p = *run.parallel;
  // The first and the last virtual stage may hold embedding or head alone.
  const std::int64_t most_stages = run.model->layers + 2;
  // DeepSeek's own stack has DualPipe; where it can't be and isn't printed, the nearest to it.
  const bool fits = layout.pp % 2 == 0 && suits(run, layout.pp, layout.microbatches);
  if (is_dualpipe(run) && !p.schedule && !fits) return {{Schedule::zb, 1}};
  if (is_dualpipe(run)) {
    if (layout.pp % 2 != 0)
      refuse(run, "parallel.pp", "an even number for dualpipe, found {}", layout.pp);
    if (!suits(run, layout.pp, layout.microbatches)) {
      refuse(run,
             p.microbatch_sequences ? "parallel.microbatch_sequences" : "global_batch_sequences",
             "an even number of at least 2 pp micro-batches for dualpipe, found {}",
             layout.microbatches);
    }
    return {{Schedule::dualpipe, 1}};
  }
  if (p.schedule == Schedule::zb) return {{Schedule::zb, 1}};
  // "1F1B" with virtual stages is Megatron's interleaved 1F1B.
  if ((p.schedule == Schedule::one_f_one_b && p.vpp.value_or(1) == 1) || p.vpp == 1)
    return {{Schedule::one_f_one_b, 1}};
  if (p.vpp) {
    if (layout.pp * *p.vpp > most_stages) {
      refuse(run, "parallel.vpp", "pp x vpp of at most {} for {} layers, found {}", most_stages,
             run.model->layers, layout.pp * *p.vpp);
    }
    return {{Schedule::interleaved, *p.vpp}};
  }
  std::vector<Pipelining> out;
  if (p.schedule != Schedule::interleaved) out.push_back({Schedule::one_f_one_b, 1});
  const std::int64_t most = (run.model->layers + layout.pp - 1) / layout.pp;
  for (const std::int64_t vpp : {std::int64_t{2}, std::int64_t{4}, most}) {
    if (vpp > 1 && vpp <= most && vpp <= 10 && layout.pp * vpp <= most_stages &&
        (p.schedule || layout.microbatches % layout.pp == 0) &&
        std::ranges::find(out, vpp, &Pipelining::vpp) == out.end()) {
      out.push_back({Schedule::interleaved, vpp});
    }
  }
  if (out.empty()) {  // interleaved, as printed
    refuse(run, "parallel.schedule",
           "another than interleaved: {} layers on {} stages leave none for a second virtual one",
           run.model->layers, layout.pp);
  }
  return out;
}

}  // namespace

bool is_dualpipe(const Run& run) {
  const Parallel& p = *run.parallel;
  return p.schedule == Schedule::dualpipe ||
         (!p.schedule && p.vpp.value_or(1) == 1 && run.stack == TrainingStack::deepseek);
}

std::vector<Choice> layouts(const Run& run) {
  need(run, run.model.has_value(), "model");
  need(run, run.seq_len.has_value(), "seq_len");
  need(run, run.global_batch_sequences.has_value(), "global_batch_sequences");
  const Parallel p = run.parallel.value_or(Parallel{});
  const Layout base = settled(run);
  const std::int64_t per_replica = *run.global_batch_sequences / base.dp;

  std::vector<Choice> out;
  for (const std::int64_t size : microbatch_sizes(run, base, per_replica)) {
    Layout sized = base;
    sized.microbatch_sequences = size;
    sized.microbatches = per_replica / size;
    const std::vector<Pipelining> ways = pipelinings(run, sized);
    for (const Pipelining& pipelining : ways) {
      if (sized.microbatches > kMostPasses / (sized.pp * pipelining.vpp)) {
        if (&pipelining != &ways.front()) continue;  // the first has the fewest stages
        refuse(run, "global_batch_sequences",
               "at most {} micro-batches of a replica x pipeline stages, found {} x {}",
               kMostPasses, sized.microbatches, sized.pp * pipelining.vpp);
      }
      for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        if (p.recompute && *p.recompute != recompute) continue;
        for (const bool overlap_tp : {true, false}) {
          Choice choice{.layout = sized, .weight = 1, .notes = {}};
          Layout& l = choice.layout;
          l.schedule = pipelining.schedule;
          l.vpp = pipelining.vpp;
          l.recompute = recompute;
          if (p.overlap) {
            const auto listed = [&](const char* what) {
              return std::ranges::find(*p.overlap, what) != p.overlap->end();
            };
            l.overlap_tp = listed("tp");
            l.overlap_dp = listed("dp");
            l.overlap_pp = listed("pp");
            l.overlap_ep = listed("ep");
            if (overlap_tp != l.overlap_tp) continue;
          } else {
            // Gradient and parameter traffic runs under compute in every stack of the day;
            // tensor-parallel traffic in some; all-to-all in DeepSeek's.
            l.overlap_dp = l.overlap_pp = true;
            l.overlap_ep = run.stack == TrainingStack::deepseek;
            l.overlap_tp = overlap_tp;
            if (l.tp == 1 && !overlap_tp) continue;
          }
          const auto open = [&](bool is_open, const char* what, std::string_view taken) {
            if (is_open)
              choice.notes.push_back(fmt::format("{} isn't printed: {} assumed", what, taken));
          };
          open(!p.microbatch_sequences && per_replica > 1, "micro-batch", fmt::format("{}", size));
          open(l.pp > 1 && !p.schedule && !p.vpp, "pipeline schedule",
               l.vpp > 1 ? fmt::format("{} with {} virtual stages", to_string(l.schedule), l.vpp)
                         : to_string(l.schedule));
          open(!p.recompute, "recomputation", to_string(l.recompute));
          open(!p.overlap && l.tp > 1, "overlap of tensor-parallel traffic",
               l.overlap_tp ? "on" : "off");
          out.push_back(std::move(choice));
        }
      }
    }
  }
  return out;
}

std::vector<std::int64_t> layers_of_stages(std::int64_t layers, const Layout& layout) {
  const std::int64_t stages =
      layout.pp * (layout.schedule == Schedule::interleaved ? layout.vpp : 1);
  const std::int64_t most = (layers + stages - 1) / stages;
  std::vector<std::int64_t> out(static_cast<std::size_t>(stages), most);
  std::int64_t too_many = most * stages - layers;
  const std::int64_t off_last = std::min(too_many, most);
  out.back() -= off_last;
  too_many -= off_last;
  for (std::int64_t i = 0; i < too_many; ++i) --out[static_cast<std::size_t>(i)];
  return out;
}

bool whole_for_a_step(const Layout& layout, TrainingStack stack) {
  return stack == TrainingStack::fsdp && layout.pp > 1;
}

bool gathers_by_layer(const Layout& layout, TrainingStack stack) {
  const bool shards = layout.zero == 3 || (layout.zero == 2 && stack == TrainingStack::fsdp);
  return shards && !whole_for_a_step(layout, stack);
}

}  // namespace trainmeter
