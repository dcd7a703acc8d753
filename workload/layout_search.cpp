// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Lists sizes, has layouts() judge them, and keeps what fits.
#include "workload/layout_search.hpp"

#include "record/error.hpp"
#include "workload/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace trainmeter {
namespace {

std::vector<std::int64_t> divisors(std::int64_t n, std::int64_t most) {
  std::vector<std::int64_t> out;
  for (std::int64_t d = 1; d <= std::min(n, most); ++d) {
    if (n % d == 0) out.push_back(d);
  }
  return out;
}

std::vector<std::int64_t> context_sizes(const Run& run) {
  std::vector<std::int64_t> out{1};
  while (*run.seq_len / (out.back() * 2) >= kLeastTokens) out.push_back(out.back() * 2);
  return out;
}

// FSDP's ZeRO 2 and 3 are one under a pipeline (whole_for_a_step()).
std::vector<std::int64_t> zero_stages(const Run& run, std::int64_t pp) {
  if (run.stack != TrainingStack::fsdp) return {1};
  if (pp > 1) return {2};
  return {2, 3};
}

// Those that divide a replica's sequences. layouts() guesses at what somebody else chose among few;
// here all are open.
std::vector<std::int64_t> microbatches(const Run& run, std::int64_t dp) {
  if (*run.global_batch_sequences % dp != 0) return {1};  // layouts() says why that's none
  std::vector<std::int64_t> out = divisors(*run.global_batch_sequences / dp, kMostSequences);
  std::erase_if(out, [&](std::int64_t size) {
    return size > 1 && size * *run.seq_len > kMostMicrobatchTokens;
  });
  return out;
}

// What the run's software overlaps, where its own layout says it: that is no matter of the layout.
// What its own layout doesn't have it may overlap, as every stack of the day. Open for tensor
// parallelism, where its own layout has none.
std::optional<std::vector<std::string>> overlapped(const Run& run, std::int64_t tp) {
  if (!run.parallel || !run.parallel->overlap) return std::nullopt;
  if (run.parallel->tp == 1 && tp > 1) return std::nullopt;
  const Parallel& own = *run.parallel;
  const bool replicas = run.gpus > own.tp * own.pp * own.cp;
  std::vector<std::string> out;
  const auto add = [&](const char* what, bool otherwise) {
    if (otherwise || std::ranges::find(*own.overlap, what) != own.overlap->end())
      out.emplace_back(what);
  };
  add("tp", false);
  add("dp", !replicas);
  add("pp", own.pp == 1);
  add("ep", own.ep == 1 && run.stack == TrainingStack::deepseek);
  return out;
}

// The sizes alone; what layouts() lists for them stays open.
std::vector<Parallel> sizes(const Run& run, const System& system) {
  const std::int64_t experts = run.model->moe ? run.model->moe->experts : 1;
  std::vector<Parallel> out;
  for (const std::int64_t tp :
       divisors(system.gpus_per_node, std::min(run.gpus, run.model->heads))) {
    for (const std::int64_t cp : context_sizes(run)) {
      if (run.gpus % (tp * cp) != 0) continue;
      for (const std::int64_t pp : divisors(run.gpus / (tp * cp), run.model->layers)) {
        Parallel p;
        p.tp = tp;
        p.pp = pp;
        p.cp = cp;
        p.dp = run.gpus / (tp * cp * pp);
        p.sp = tp > 1;
        p.overlap = overlapped(run, tp);
        for (const std::int64_t ep : divisors(experts, run.gpus / pp)) {
          p.ep = ep;
          for (const std::int64_t zero : zero_stages(run, pp)) {
            p.zero = zero;
            for (const std::int64_t size : microbatches(run, *p.dp)) {
              p.microbatch_sequences = size;
              out.push_back(p);
            }
          }
        }
      }
    }
  }
  return out;
}

Parallel with(Parallel sizes, const Layout& layout) {
  sizes.vpp = layout.vpp;
  if (layout.pp > 1) sizes.schedule = layout.schedule;
  sizes.recompute = layout.recompute;
  return sizes;
}

// Whether two choices differ at most in what is recomputed or overlapped.
bool same_but_recompute(const Layout& a, const Layout& b) {
  return a.vpp == b.vpp && a.schedule == b.schedule;
}

}  // namespace

LayoutSearch search_layouts(Run run, const System& system) {
  LayoutSearch out;
  const bool bounded = system.memory_bytes && system.kind == "gpu";  // as candidates() has it
  double least = std::numeric_limits<double>::infinity();
  for (const Parallel& sized : sizes(run, system)) {
    run.parallel = sized;
    std::vector<Choice> choices;
    try {
      choices = layouts(run);
    } catch (const BadInput& refused) {
      out.refusal = refused.what();
      continue;
    }
    // layouts() lists what differs in recomputation side by side, the least of it first.
    const Layout* group = nullptr;
    bool fitted = false;
    for (const Choice& choice : choices) {
      if (group == nullptr || !same_but_recompute(*group, choice.layout)) {
        group = &choice.layout;
        fitted = false;
        ++out.legal;
      }
      if (fitted) continue;
      const MemoryNeed need =
          memory_need(*run.model, choice.layout, {.precision = run.precision, .stack = run.stack});
      fitted = !bounded || fits(need, *system.memory_bytes);
      if (fitted) {
        out.fitting.push_back({with(sized, choice.layout), held(need)});
      } else if (need.total() < least) {
        least = need.total();
        out.nearest_miss = fmt::format("{}: {}", shown(with(sized, choice.layout)),
                                       refusal(need, *system.memory_bytes));
      }
    }
  }
  return out;
}

std::string shown(const Parallel& p) {
  std::string out;
  const auto add = [&](bool matters, const std::string& text) {
    if (matters) out += (out.empty() ? "" : ", ") + text;
  };
  add(p.tp > 1, fmt::format("tp {}", p.tp));
  add(p.cp > 1, fmt::format("cp {}", p.cp));
  add(p.pp > 1, p.vpp.value_or(1) > 1 ? fmt::format("pp {} x {} virtual", p.pp, *p.vpp)
                                      : fmt::format("pp {}", p.pp));
  add(p.dp.has_value(), fmt::format("dp {}", p.dp.value_or(1)));
  add(p.ep > 1, fmt::format("ep {}", p.ep));
  add(p.etp > 1, fmt::format("etp {}", p.etp));
  add(p.zero.has_value(), fmt::format("ZeRO {}", p.zero.value_or(0)));
  add(p.microbatch_sequences.has_value(),
      fmt::format("micro-batch {}", p.microbatch_sequences.value_or(1)));
  if (p.pp > 1 && p.schedule) add(true, std::string(to_string(*p.schedule)));
  if (p.recompute && *p.recompute != Recompute::none)
    add(true, fmt::format("{} recomputation", to_string(*p.recompute)));
  return out;
}

}  // namespace trainmeter
