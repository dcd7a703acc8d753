// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// In which order each rank of a pipeline does its slots. 1F1B and interleaved 1F1B after Narayanan
// et al. 2021 (arXiv:2104.04473) and Megatron-Core's schedules, ZB-H1 after Qi et al. 2023
// (arXiv:2401.10241), DualPipe after the DeepSeek-V3 report (arXiv:2412.19437) and the phases of
// the public deepseek-ai/DualPipe.
#include "workload/schedule.hpp"

#include <algorithm>

namespace trainmeter {

namespace {

Task forward_task(std::int64_t chunk, std::int64_t microbatch) {
  return {.slot = Slot::forward,
          .forward_chunk = static_cast<std::int32_t>(chunk),
          .forward_microbatch = static_cast<std::int32_t>(microbatch)};
}

Task backward_task(Slot slot, std::int64_t chunk, std::int64_t microbatch) {
  return {.slot = slot,
          .backward_chunk = static_cast<std::int32_t>(chunk),
          .backward_microbatch = static_cast<std::int32_t>(microbatch)};
}

// A micro-batch's way through one of the chunks of a rank, chunks counted on that rank.
struct Pass {
  std::int64_t local_chunk;
  std::int64_t microbatch;
};

// Micro-batches that a rank takes through one chunk before it turns to its next: `ranks`, or the
// next size that leaves a last group of none or of at least `ranks`. A smaller one could wait for
// itself, and Megatron-Core refuses it (microbatch_group_size_per_vp_stage). Fewer micro-batches
// than ranks, which it refuses too, are one group here.
std::int64_t group_size(const PipelineProblem& p) {
  std::int64_t size = p.ranks;
  while (size < p.microbatches && p.microbatches % size != 0 && p.microbatches % size < p.ranks) {
    ++size;
  }
  return size;
}

// The forwards of any rank: a group of micro-batches through its first chunk, the same ones through
// its second, and so on, then the next group.
std::vector<Pass> pass_table(const PipelineProblem& p) {
  std::vector<Pass> table;
  table.reserve(static_cast<std::size_t>(p.microbatches * p.chunks_per_rank));
  const std::int64_t group = group_size(p);
  for (std::int64_t first = 0; first < p.microbatches; first += group) {
    const std::int64_t end = std::min(first + group, p.microbatches);
    for (std::int64_t chunk = 0; chunk < p.chunks_per_rank; ++chunk) {
      for (std::int64_t m = first; m < end; ++m) table.push_back({chunk, m});
    }
  }
  return table;
}

// Forwards before a rank's first backward. Rank 0 of plain 1F1B fills the pipeline below it;
// interleaved ranks are two apart (Megatron-Core, get_pp_rank_microbatches).
std::int64_t warm_up(const PipelineProblem& p, std::int64_t rank) {
  const std::int64_t below = p.ranks - 1 - rank;
  const std::int64_t wanted =
      p.chunks_per_rank == 1 ? below : 2 * below + (p.chunks_per_rank - 1) * group_size(p);
  return std::min(wanted, p.microbatches * p.chunks_per_rank);
}

enum class Weights { with_backward, split };

// Warm-up forwards, then a forward and a backward in turn, then the backwards that are left.
// Where weight gradients are split off, each follows `delay` backwards after its own.
RankOrder one_forward_one_backward(const PipelineProblem& p, const std::vector<Pass>& table,
                                   std::int64_t rank, Weights weights, std::int64_t delay) {
  const auto total = static_cast<std::int64_t>(table.size());
  const std::int64_t warmup = warm_up(p, rank);
  const Slot kind = weights == Weights::split ? Slot::backward_input : Slot::backward;
  // Backwards go through the chunks from the last to the first.
  const auto backward = [&](Slot slot, std::int64_t i) {
    const Pass pass = table[static_cast<std::size_t>(i)];
    const std::int64_t chunk = (p.chunks_per_rank - 1 - pass.local_chunk) * p.ranks + rank;
    return backward_task(slot, chunk, pass.microbatch);
  };
  RankOrder order;
  order.reserve(table.size() * (weights == Weights::split ? 3 : 2));
  for (std::int64_t k = 0; k < total + warmup; ++k) {
    if (k < total) {
      const Pass pass = table[static_cast<std::size_t>(k)];
      order.push_back(forward_task(pass.local_chunk * p.ranks + rank, pass.microbatch));
    }
    const std::int64_t i = k - warmup;
    if (i < 0) continue;
    order.push_back(backward(kind, i));
    if (weights == Weights::split && i >= delay) order.push_back(backward(Slot::weight, i - delay));
  }
  if (weights == Weights::split) {
    for (std::int64_t i = std::max<std::int64_t>(total - delay, 0); i < total; ++i) {
      order.push_back(backward(Slot::weight, i));
    }
  }
  return order;
}

// One rank of DualPipe. Micro-batches 0 .. half - 1 enter at rank 0 and the others at the last
// rank. "Near" is the direction whose entrance is nearer to this rank, "far" the other: 0 and 1 in
// the names of the phases of the public code (nF0, nF0F1, ...).
class DualPipeRank {
 public:
  DualPipeRank(const PipelineProblem& p, std::int64_t rank)
      : ranks_(p.ranks),
        rank_(rank),
        half_microbatches_(p.microbatches / 2),
        from_end_(std::min(rank, p.ranks - 1 - rank)),
        to_middle_(p.ranks / 2 - 1 - from_end_) {
    order_.reserve(static_cast<std::size_t>(3 * p.microbatches));
  }

  RankOrder build() {
    fill();
    steady();
    drain();
    return std::move(order_);
  }

 private:
  enum Way { near, far };

  // Phases 1 to 3: nF0, nF0F1, nB1W1F1.
  void fill() {
    for (std::int64_t i = 0; i < 2 * to_middle_; ++i) forward(near);
    for (std::int64_t i = 0; i < from_end_ + 1; ++i) {
      forward(near);
      forward(far);
    }
    for (std::int64_t i = 0; i < to_middle_; ++i) {
      backward(far, Weights::split);
      weight();
      forward(far);
    }
  }

  // Phases 4 and 5: nF0B1F1B0, nB1F1B0. The two middle ranks begin with a pair that doesn't
  // overlap: the backward can go on its way sooner so.
  void steady() {
    for (std::int64_t i = 0; i < half_microbatches_ - ranks_ + from_end_ + 1; ++i) {
      if (i == 0 && to_middle_ == 0) {
        forward(near);
        backward(far, Weights::with_backward);
      } else {
        overlapped(near, far);
      }
      overlapped(far, near);
    }
    for (std::int64_t i = 0; i < to_middle_; ++i) {
      backward(far, Weights::with_backward);
      overlapped(far, near);
    }
  }

  // Phases 6 to 8: nB1B0, nWB0, nW. Weight gradients are put off from the middle of phase 6 on.
  void drain() {
    const std::int64_t pairs = from_end_ + 1;
    for (std::int64_t i = 0; i < 2 * pairs; ++i) {
      backward(i % 2 == 0 ? far : near, i >= pairs ? Weights::split : Weights::with_backward);
    }
    for (std::int64_t i = 0; i < to_middle_; ++i) {
      weight();
      backward(near, Weights::split);
    }
    for (std::int64_t i = 0; i < pairs; ++i) weight();
  }

  // 0: from rank 0 down, 1: from the last rank up.
  [[nodiscard]] std::int64_t direction(Way way) const {
    const bool second_half = rank_ >= ranks_ / 2;
    return (way == far) != second_half ? 1 : 0;
  }
  [[nodiscard]] std::int64_t chunk(Way way) const {
    return direction(way) == 0 ? rank_ : ranks_ - 1 - rank_;
  }
  [[nodiscard]] std::int64_t microbatch(Way way, std::int64_t count) const {
    return direction(way) * half_microbatches_ + count;
  }

  void forward(Way way) { order_.push_back(forward_task(chunk(way), next_forward(way))); }

  void backward(Way way, Weights weights) {
    const Slot slot = weights == Weights::split ? Slot::backward_input : Slot::backward;
    order_.push_back(backward_task(slot, chunk(way), next_backward(way)));
    if (weights == Weights::split) {
      put_off_.push_back(backward_task(Slot::weight, order_.back().backward_chunk,
                                       order_.back().backward_microbatch));
    }
  }

  void overlapped(Way forward_way, Way backward_way) {
    Task task = backward_task(Slot::overlapped, chunk(backward_way), next_backward(backward_way));
    task.forward_chunk = static_cast<std::int32_t>(chunk(forward_way));
    task.forward_microbatch = static_cast<std::int32_t>(next_forward(forward_way));
    order_.push_back(task);
  }

  // The weight gradient that has waited longest.
  void weight() { order_.push_back(put_off_[weights_done_++]); }

  std::int64_t next_forward(Way way) { return microbatch(way, forwards_[way]++); }
  std::int64_t next_backward(Way way) { return microbatch(way, backwards_[way]++); }

  std::int64_t ranks_, rank_, half_microbatches_;
  std::int64_t from_end_;   // ranks between this one and the nearer end
  std::int64_t to_middle_;  // ranks between this one and the middle pair
  std::array<std::int64_t, 2> forwards_{}, backwards_{};
  std::vector<Task> put_off_;
  std::size_t weights_done_ = 0;
  RankOrder order_;
};

PipelineOrder dualpipe_order(const PipelineProblem& p) {
  PipelineOrder ranks;
  for (std::int64_t r = 0; r < p.ranks; ++r) ranks.push_back(DualPipeRank(p, r).build());
  return ranks;
}

// `delays`: whether rank r's weight gradients follow r backwards late.
PipelineOrder one_f_one_b_order(const PipelineProblem& p, Weights weights, bool delays) {
  const std::vector<Pass> table = pass_table(p);
  PipelineOrder ranks;
  for (std::int64_t r = 0; r < p.ranks; ++r) {
    ranks.push_back(one_forward_one_backward(p, table, r, weights, delays ? r : 0));
  }
  return ranks;
}

}  // namespace

std::vector<PipelineOrder> slot_orders(const PipelineProblem& p) {
  check_pipeline(p);
  std::vector<PipelineOrder> orders;  // large: moved, not copied
  if (p.schedule == Schedule::dualpipe) {
    orders.push_back(dualpipe_order(p));
  } else if (p.schedule != Schedule::zb) {
    orders.push_back(one_f_one_b_order(p, Weights::with_backward, false));
  } else {
    // ZB-H1: rank r holds ranks - r micro-batches of activations in 1F1B, so it may put off r
    // weight gradients before it holds more than rank 0 does. Where stages are uneven, that can end
    // later than 1F1B; 1F1B's own order with the gradient sent on before its weights are done can't.
    for (const bool delays : {true, false}) {
      orders.push_back(one_f_one_b_order(p, Weights::split, delays));
    }
  }
  return orders;
}

}  // namespace trainmeter
