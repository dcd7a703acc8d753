// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Event simulation of one pipeline. Each rank does its slots in order, each as soon as the rank is
// free and what the slot needs has arrived:
//   forward of stage v            the same micro-batch's forward of stage v - 1, sent
//   backward of stage v           its backward (input gradient) of stage v + 1, sent; at the last
//                                 stage its own forward
//   weight gradient               its own input gradient, which is always earlier in the order
// A result is sent when its whole slot ends, as Megatron-Core and the public DualPipe do.
#include "workload/schedule.hpp"

#include "record/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>
#include <tuple>

namespace trainmeter {

namespace {

void refuse(const PipelineProblem& p, const std::string& expected) {
  throw BadInput(fmt::format(
      "pipeline (schedule {}, {} ranks, {} micro-batches, {} chunks per rank): expected {}",
      to_string(p.schedule), p.ranks, p.microbatches, p.chunks_per_rank, expected));
}

void check_time(const PipelineProblem& p, double seconds, const char* name) {
  if (!(seconds >= 0) || !std::isfinite(seconds)) {
    refuse(p, fmt::format("{} to be a time in seconds, got {}", name, seconds));
  }
}

void check_sizes(const PipelineProblem& p) {
  const bool dualpipe = p.schedule == Schedule::dualpipe;
  if (p.ranks < 1 || p.microbatches < 1) refuse(p, "at least one rank and one micro-batch");
  if (p.schedule == Schedule::interleaved) {
    if (p.chunks_per_rank < 1) refuse(p, "at least one chunk per rank");
  } else if (p.chunks_per_rank != (dualpipe ? 2 : 1)) {
    refuse(p, dualpipe ? "two chunks per rank" : "one chunk per rank");
  }
  if (dualpipe) {
    if (p.ranks % 2 != 0) refuse(p, "an even number of ranks");
    if (p.microbatches % 2 != 0 || p.microbatches / 2 < p.ranks) {
      refuse(p, "an even number of micro-batches, at least two a rank");
    }
  }
  const auto stages = static_cast<std::int64_t>(p.chunks.size());
  const std::int64_t stages_per_rank = dualpipe ? 1 : p.chunks_per_rank;
  if (stages % stages_per_rank != 0 || stages / stages_per_rank != p.ranks) {
    refuse(p,
           fmt::format("times of {} stages on each rank, got {} in all", stages_per_rank, stages));
  }
  if (p.overlapped_s.size() != (dualpipe ? p.chunks.size() : 0)) {
    refuse(p, dualpipe ? "the overlapped slot's time of every stage" : "no overlapped slots");
  }
  if (p.microbatches > kMostPasses / stages) {
    refuse(p, fmt::format("at most {} micro-batches x stages", kMostPasses));
  }
}

// One run through one order of slots.
class Simulation {
 public:
  Simulation(const PipelineProblem& problem, const PipelineOrder& orders)
      : problem_(problem),
        orders_(orders),
        send_s_(problem.ranks > 1 ? problem.send_s : 0),  // one rank alone sends nothing
        two_ways_(problem.schedule == Schedule::dualpipe),
        stages_(static_cast<std::int64_t>(problem.chunks.size())),
        ranks_(orders.size()) {
    std::size_t tasks = 0;
    for (std::size_t r = 0; r < orders.size(); ++r) {
      ranks_[r].first_id = tasks;
      tasks += orders[r].size();
    }
    done_.resize(tasks);
    const std::size_t passes =
        problem.chunks.size() * static_cast<std::size_t>(problem.microbatches);
    forward_done_.assign(passes, kNone);
    backward_done_.assign(passes, kNone);
  }

  void run() {
    for (std::size_t r = 0; r < ranks_.size(); ++r) wake(r);
    while (!awake_.empty()) {
      const std::size_t rank = awake_.back();
      awake_.pop_back();
      advance(rank);
    }
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      if (ranks_[r].next != orders_[r].size()) {
        throw std::logic_error("a pipeline's order of slots waits for itself");
      }
    }
  }

  [[nodiscard]] double total_s() const {
    double end_s = 0;
    for (const Rank& rank : ranks_) end_s = std::max(end_s, rank.free_s);
    return end_s;
  }

  [[nodiscard]] PipelineResult result() const {
    PipelineResult result;
    result.total_s = total_s();
    for (const RankOrder& order : orders_) {
      double busy_s = 0;
      auto& counts = result.slots.emplace_back();
      for (const Task& task : order) {
        busy_s += duration_s(task);
        ++counts[static_cast<std::size_t>(task.slot)];
      }
      result.busy_s.push_back(busy_s);
    }
    walk_back(result);
    return result;
  }

 private:
  static constexpr std::int32_t kNone = -1;

  // When a slot starts or ends, and why no sooner.
  struct Moment {
    double s = 0;
    std::int32_t cause = kNone;  // the slot whose end let this one start
    bool sent = false;           // ... after a send
  };

  struct Rank {
    std::size_t first_id = 0;  // of its slots' ids
    std::size_t next = 0;      // place in its order
    double free_s = 0;
    bool awake = false;
  };

  [[nodiscard]] double duration_s(const Task& task) const {
    return slot_s(problem_, task.slot, task.forward_chunk, task.backward_chunk);
  }

  [[nodiscard]] std::size_t pass(std::int64_t chunk, std::int64_t microbatch) const {
    return static_cast<std::size_t>(chunk * problem_.microbatches + microbatch);
  }

  [[nodiscard]] std::size_t rank_of(std::int64_t chunk, std::int64_t microbatch) const {
    const bool upwards = two_ways_ && microbatch >= problem_.microbatches / 2;
    return static_cast<std::size_t>(upwards ? problem_.ranks - 1 - chunk : chunk % problem_.ranks);
  }

  void wake(std::size_t rank) {
    if (ranks_[rank].awake || ranks_[rank].next == orders_[rank].size()) return;
    ranks_[rank].awake = true;
    awake_.push_back(rank);
  }

  // Does the rank's slots until one needs what isn't there yet.
  void advance(std::size_t r) {
    Rank& rank = ranks_[r];
    rank.awake = false;
    for (; rank.next < orders_[r].size(); ++rank.next) {
      const Task& task = orders_[r][rank.next];
      const auto id = static_cast<std::int32_t>(rank.first_id + rank.next);
      Moment start{.s = rank.free_s, .cause = rank.next == 0 ? kNone : id - 1};
      if (!arrivals(task, start)) return;
      rank.free_s = start.s + duration_s(task);
      done_[static_cast<std::size_t>(id)] = {rank.free_s, start.cause, start.sent};
      deliver(task, id);
    }
  }

  // Puts the start off to when all that the task needs has arrived; false where that isn't known.
  bool arrivals(const Task& task, Moment& start) const {
    if (task.forward_chunk > 0 &&
        !arrival(forward_done_[pass(task.forward_chunk - 1, task.forward_microbatch)], true,
                 start)) {
      return false;
    }
    if (task.backward_chunk < 0 || task.slot == Slot::weight) return true;
    if (task.backward_chunk + 1 < stages_) {
      return arrival(backward_done_[pass(task.backward_chunk + 1, task.backward_microbatch)], true,
                     start);
    }
    return arrival(forward_done_[pass(task.backward_chunk, task.backward_microbatch)], false,
                   start);
  }

  bool arrival(std::int32_t source, bool sent, Moment& start) const {
    if (source == kNone) return false;
    const double at_s = done_[static_cast<std::size_t>(source)].s + (sent ? send_s_ : 0);
    if (at_s > start.s) start = {.s = at_s, .cause = source, .sent = sent};
    return true;
  }

  void deliver(const Task& task, std::int32_t id) {
    if (task.forward_chunk >= 0) {
      forward_done_[pass(task.forward_chunk, task.forward_microbatch)] = id;
      if (task.forward_chunk + 1 < stages_) {
        wake(rank_of(task.forward_chunk + 1, task.forward_microbatch));
      }
    }
    if (task.backward_chunk >= 0 && task.slot != Slot::weight) {
      backward_done_[pass(task.backward_chunk, task.backward_microbatch)] = id;
      if (task.backward_chunk > 0) wake(rank_of(task.backward_chunk - 1, task.backward_microbatch));
    }
  }

  // From the slot that ends last through the one that each had to wait for, to time 0.
  void walk_back(PipelineResult& result) const {
    std::map<std::tuple<Slot, std::int64_t, std::int64_t>, double> counts;
    std::size_t r = last_rank();
    for (auto id = static_cast<std::int32_t>(ranks_[r].first_id + orders_[r].size()) - 1;
         id != kNone;) {
      const Moment& done = done_[static_cast<std::size_t>(id)];
      r = rank_of_id(static_cast<std::size_t>(id), r);
      const Task& task = orders_[r][static_cast<std::size_t>(id) - ranks_[r].first_id];
      ++counts[{task.slot, task.forward_chunk, task.backward_chunk}];
      if (done.sent && problem_.ranks > 1) ++result.critical_sends;
      id = done.cause;
    }
    for (const auto& [key, count] : counts) {
      const auto [slot, forward_chunk, backward_chunk] = key;
      result.critical.push_back({slot, forward_chunk, backward_chunk, count});
    }
  }

  [[nodiscard]] std::size_t last_rank() const {
    const auto last = std::ranges::max_element(ranks_, {}, &Rank::free_s);
    return static_cast<std::size_t>(last - ranks_.begin());
  }

  // `guess`: a rank that is likely near.
  [[nodiscard]] std::size_t rank_of_id(std::size_t id, std::size_t guess) const {
    std::size_t r = guess;
    while (id < ranks_[r].first_id) --r;
    while (id >= ranks_[r].first_id + orders_[r].size()) ++r;
    return r;
  }

  const PipelineProblem& problem_;
  const PipelineOrder& orders_;
  double send_s_;
  bool two_ways_;  // micro-batches enter at both ends
  std::int64_t stages_;
  std::vector<Rank> ranks_;
  std::vector<Moment> done_;                                // ends, by slot id
  std::vector<std::int32_t> forward_done_, backward_done_;  // by pass: id of the slot that did it
  std::vector<std::size_t> awake_;                          // ranks to look at, in any order
};

}  // namespace

void check_pipeline(const PipelineProblem& p) {
  check_sizes(p);
  for (const ChunkTimes& chunk : p.chunks) {
    check_time(p, chunk.forward_s, "a chunk's forward");
    check_time(p, chunk.backward_input_s, "a chunk's input gradient");
    check_time(p, chunk.weight_s, "a chunk's weight gradient");
  }
  for (const double seconds : p.overlapped_s) check_time(p, seconds, "an overlapped slot");
  check_time(p, p.send_s, "a send");
}

double slot_s(const PipelineProblem& p, Slot slot, std::int64_t forward_chunk,
              std::int64_t backward_chunk) {
  const auto chunk = [&p](std::int64_t v) -> const ChunkTimes& {
    return p.chunks[static_cast<std::size_t>(v)];
  };
  switch (slot) {
    case Slot::forward:
      return chunk(forward_chunk).forward_s;
    case Slot::backward:
      return chunk(backward_chunk).backward_input_s + chunk(backward_chunk).weight_s;
    case Slot::backward_input:
      return chunk(backward_chunk).backward_input_s;
    case Slot::weight:
      return chunk(backward_chunk).weight_s;
    case Slot::overlapped:
      return p.overlapped_s[static_cast<std::size_t>(forward_chunk)];
  }
  throw std::logic_error("a slot of no kind");
}

PipelineResult simulate(const PipelineProblem& problem) {
  const std::vector<PipelineOrder> orders = slot_orders(problem);
  std::vector<Simulation> runs;
  runs.reserve(orders.size());
  for (const PipelineOrder& order : orders) runs.emplace_back(problem, order).run();
  return std::ranges::min_element(runs, {}, &Simulation::total_s)->result();
}

double PipelineResult::mean_bubble_s() const {
  const double busy = std::accumulate(busy_s.begin(), busy_s.end(), 0.0);
  return total_s - busy / static_cast<double>(busy_s.size());
}

// 1F1B and interleaved: Narayanan et al. 2021 (arXiv:2104.04473), section 2.2. Zero-bubble: Qi et
// al. 2023 (arXiv:2401.10241), ZB-H1 in table 2. DualPipe: DeepSeek-V3 report (arXiv:2412.19437),
// table 2, whose B is the whole backward.
double even_bubble_s(const PipelineProblem& p) {
  check_pipeline(p);
  const ChunkTimes& t = p.chunks.front();
  const auto others = static_cast<double>(p.ranks - 1);
  const double backward_s = t.backward_input_s + t.weight_s;
  if (p.schedule == Schedule::zb) {
    return others * std::max(t.forward_s + t.backward_input_s - t.weight_s, 0.0);
  }
  if (p.schedule == Schedule::dualpipe) {
    const double pairs = static_cast<double>(p.ranks) / 2 - 1;
    return pairs * std::max(p.overlapped_s.front() + backward_s - 3 * t.weight_s, 0.0);
  }
  return others * (t.forward_s + backward_s);  // of one chunk: 1 / vpp of a rank's
}

}  // namespace trainmeter
