// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Prices a bill and puts its slots in order.
#include "report/step_time.hpp"

#include "record/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

struct Priced {  // one slot of one layer
  double compute = 0;
  double hidden = 0;  // communication that runs under compute
  double lost = 0;    // compute time that it costs
  double exposed = 0;
  // Of these, of sharded weights.
  double hidden_gathers = 0, lost_to_gathers = 0, exposed_gathers = 0;
  double host = 0;
  WorkSeconds work;

  void add(const Priced& other, double times) {
    compute += other.compute * times;
    hidden += other.hidden * times;
    lost += other.lost * times;
    exposed += other.exposed * times;
    hidden_gathers += other.hidden_gathers * times;
    lost_to_gathers += other.lost_to_gathers * times;
    exposed_gathers += other.exposed_gathers * times;
    host += other.host * times;
    for (const Work w : kWorks) work[w] += other.work[w] * times;
  }
};

struct PricedComm {
  double time = 0;
  double lost = 0;  // compute time lost to it where it runs under compute
};

PricedComm price(const CommBill& c, const FactorValues& f) {
  const double node = c.node_s / at(f, Factor::node_links) + c.fixed_s;
  const double network =
      c.network_s / at(f, Factor::network_links) + c.hops * at(f, Factor::hop_latency_s);
  return {std::max(node, network), node * at(f, c.interference) +
                                       network * c.channels * at(f, Factor::network_interference)};
}

// What a GEMM in a step reaches of its rate alone.
double gemm_share(const GemmFactors& of, const FactorValues& f) {
  return (of.in_place ? at(f, *of.in_place) : 1) * (of.sustained ? at(f, *of.sustained) : 1);
}

class Pricer {
 public:
  Pricer(const Bill& bill, const FactorValues& factors, const Spread& spread)
      : bill_(bill), f_(factors) {
    const CommunicationSms& sms = bill.sms;
    const double gemm = gemm_share(bill.gemm, f_) * spread.gemm / sms.gemms.fewer;
    const double high = gemm_share(bill.gemm_high, f_) * spread.gemm / sms.gemms.fewer;
    const double traffic =
        at(f_, bill.stack.fused ? Factor::traffic_fused : Factor::traffic_eager) / spread.memory;
    in_step_[Work::gemm] = 1 / gemm;
    in_step_[Work::gemm_high] = 1 / high;
    in_step_[Work::grouped] = 1 / (gemm * at(f_, Factor::grouped_gemm));
    in_step_[Work::attention] = sms.attention.fewer / at(f_, bill.stack.attention_factor);
    in_step_[Work::traffic] = traffic * sms.others.fewer;
    in_step_[Work::expert_traffic] =
        at(f_, Factor::traffic_experts) / spread.memory * sms.others.fewer;
    for (const Work w : {Work::gemm, Work::gemm_high, Work::grouped})
      beside_[w] = sms.gemms.traffic;
    beside_[Work::attention] = sms.attention.traffic;
    for (const Work w : {Work::traffic, Work::expert_traffic}) beside_[w] = sms.others.traffic;
  }

  // Forward, backward by inputs, backward by weights.
  [[nodiscard]] std::array<Priced, 3> operator()(const LayerBill& layer) const {
    return {price_slot(layer.forward), price_slot(layer.backward_input), price_slot(layer.weight)};
  }
  [[nodiscard]] double time(const CommBill& comm) const { return price(comm, f_).time; }

  // Communication under compute costs compute a share of its own time, and shows where it is
  // longer. Communication with SMs of its own costs those, and what its traffic was measured to.
  [[nodiscard]] double together(const Priced& p) const {
    return std::max({p.compute + p.lost, p.hidden, p.host - p.exposed}) + p.exposed;
  }

  // A slot with nothing beside it, in a stack that hides communication under the other direction.
  [[nodiscard]] double alone(const Priced& p) const {
    if (bill_.layout.schedule != Schedule::dualpipe) return together(p);
    return std::max(p.compute + p.hidden, p.host - p.exposed) + p.exposed;
  }

 private:
  [[nodiscard]] Priced price_slot(const SlotBill& slot) const {
    Priced out;
    const double longer = 1 / at(f_, Factor::weight_pass) - 1;  // at the rates of other passes
    for (const Work w : kWorks) {
      out.work[w] = (slot.work[w] + slot.at_other_passes[w] * longer) * in_step_[w];
      out.compute += out.work[w];
    }
    const bool own_sms = bill_.stack.compute_sms < 1;
    for (const CommBill& c : slot.comm) {
      const PricedComm comm = price(c, f_);
      (c.hidden ? out.hidden : out.exposed) += comm.time;
      if (c.hidden && !own_sms) out.lost += comm.lost;
      if (c.name != kGatheredWeights) continue;
      (c.hidden ? out.hidden_gathers : out.exposed_gathers) += comm.time;
      if (c.hidden && !own_sms) out.lost_to_gathers += comm.lost;
    }
    if (own_sms && out.hidden > 0)
      for (const Work w : kWorks) out.lost += out.work[w] * (beside_[w] - 1);
    out.host = slot.host * at(f_, Factor::experts_host_s);
    return out;
  }

  const Bill& bill_;
  const FactorValues& f_;
  WorkSeconds in_step_;  // of a second alone
  WorkSeconds beside_;   // of a second in the step, beside communication's traffic
};

struct Chunk {  // one virtual stage
  Priced forward, backward_input, weight;
};

struct PricedPipeline {
  std::vector<Chunk> chunks;
  PipelineProblem problem;
};

PricedPipeline price_chunks(const Bill& bill, const Pricer& pricer) {
  std::map<LayerKind, Chunk> kinds;
  for (const auto& [kind, layer] : bill.layers) {
    const auto [forward, backward_input, weight] = pricer(layer);
    kinds[kind] = {forward, backward_input, weight};
  }
  PricedPipeline out;
  out.chunks.reserve(bill.stages.size());
  const Layout& l = bill.layout;
  for (std::size_t stage = 0; stage < bill.stages.size(); ++stage) {
    const StageContent& content = bill.stages[stage];
    if (stage > 0 && content == bill.stages[stage - 1]) {  // most are like the one before
      const Chunk same = out.chunks.back();
      out.chunks.push_back(same);
      continue;
    }
    Chunk chunk;
    const auto add = [&](LayerKind kind, std::int64_t times) {
      if (times < 1) return;
      const Chunk& layer = kinds.at(kind);
      const auto n = static_cast<double>(times);
      chunk.forward.add(layer.forward, n);
      chunk.backward_input.add(layer.backward_input, n);
      chunk.weight.add(layer.weight, n);
      // Full recomputation repeats the forward pass of the layers before their backward pass.
      if (l.recompute == Recompute::full && kind != LayerKind::head &&
          kind != LayerKind::embedding) {
        Priced again = layer.forward;
        again.hidden -= again.hidden_gathers;  // gathered weights are used twice
        again.lost -= again.lost_to_gathers;
        again.exposed -= again.exposed_gathers;
        chunk.backward_input.add(again, n);
      }
    };
    add(LayerKind::embedding, content.embedding ? 1 : 0);
    add(LayerKind::dense, content.dense);
    add(LayerKind::moe, content.moe);
    add(LayerKind::mtp, content.mtp);
    add(LayerKind::head, content.head ? 1 : 0);
    out.chunks.push_back(chunk);
  }
  PipelineProblem& p = out.problem;
  p.schedule = l.pp == 1 ? Schedule::one_f_one_b : l.schedule;
  p.ranks = l.pp;
  p.microbatches = l.microbatches;
  p.chunks_per_rank = p.schedule == Schedule::dualpipe      ? 2
                      : p.schedule == Schedule::interleaved ? l.vpp
                                                            : 1;
  if (!l.overlap_pp) p.send_s = pricer.time(bill.send);
  p.chunks.reserve(out.chunks.size());
  for (const Chunk& c : out.chunks) {
    p.chunks.push_back(
        {pricer.alone(c.forward), pricer.alone(c.backward_input), pricer.alone(c.weight)});
  }
  if (p.schedule == Schedule::dualpipe) {
    for (std::size_t v = 0; v < out.chunks.size(); ++v) {
      const Chunk& back = out.chunks[out.chunks.size() - 1 - v];
      Priced both = out.chunks[v].forward;
      both.add(back.backward_input, 1);
      both.add(back.weight, 1);
      p.overlapped_s.push_back(pricer.together(both));
    }
  }
  return out;
}

// Gradient and weight traffic once a step runs under the first forward and the last backward of the
// step where it is overlapped.
double data_parallel_s(const Bill& bill, const PipelineProblem& p, const FactorValues& f) {
  double forward = 0;
  double backward = 0;
  for (const ChunkTimes& c : p.chunks) {
    forward += c.forward_s;
    backward += c.backward_input_s + c.weight_s;
  }
  const auto ranks = static_cast<double>(p.ranks);
  const auto shown = [&](const CommBill& bill_of, double cover) {
    const PricedComm comm = price(bill_of, f);
    if (!bill.layout.overlap_dp) return comm.time;
    const double share = comm.time > cover ? cover / comm.time : 1;
    return std::max(0.0, comm.time - cover) + comm.lost * share;
  };
  return shown(bill.gradients, backward / ranks) + shown(bill.weights, forward / ranks);
}

// What a step takes beside its pipeline, and the whole: the same sum for a prediction and its
// draws.
struct Totals {
  double data_parallel_s = 0, overheads_s = 0, operation_gemms_s = 0, operations_s = 0;
  double waiting_s = 0;  // for a host that takes longer to launch a step than the device to run it
  double alone_s = 0;    // the pipeline and these
  double total_s = 0;    // with the jitter of all nodes
};

Totals totals_of(const Bill& bill, const PipelineProblem& problem, double pipeline_s,
                 const FactorValues& f, const Spread& spread) {
  const double traffic = at(f, bill.stack.fused ? Factor::traffic_fused : Factor::traffic_eager);
  Totals out;
  out.data_parallel_s = data_parallel_s(bill, problem, f);
  out.overheads_s = bill.optimizer_s * traffic / spread.memory +
                    (bill.host_s ? 0 : at(f, Factor::step_overhead_s));
  out.operation_gemms_s = bill.operation_gemms_s / (gemm_share(bill.gemm, f) * spread.gemm);
  out.operations_s = bill.operations_s / spread.memory;
  const double device_s =
      pipeline_s + out.data_parallel_s + out.overheads_s + out.operation_gemms_s + out.operations_s;
  if (bill.host_s) out.waiting_s = std::max(0.0, *bill.host_s - device_s);
  out.alone_s = device_s + out.waiting_s;
  out.total_s = out.alone_s * (1 + at(f, Factor::jitter) * bill.doublings);
  return out;
}

}  // namespace

StepTime step_time(const Bill& bill, const FactorValues& factors, const Spread& spread) {
  const Pricer pricer(bill, factors, spread);
  const PricedPipeline priced = price_chunks(bill, pricer);
  const PipelineResult pipeline = simulate(priced.problem);
  StepTime out;

  // The parts of the mean rank's work; what else the step holds is bubble.
  Chunk sum;
  double busy = 0;
  for (const Chunk& c : priced.chunks) {
    sum.forward.add(c.forward, 1);
    sum.backward_input.add(c.backward_input, 1);
    sum.weight.add(c.weight, 1);
  }
  for (const double b : pipeline.busy_s) busy += b;
  const auto ranks = static_cast<double>(priced.problem.ranks);
  busy /= ranks;
  const double times = static_cast<double>(bill.layout.microbatches) / ranks;
  Priced all;
  all.add(sum.forward, times);
  all.add(sum.backward_input, times);
  all.add(sum.weight, times);
  const auto part = [&](const char* name, double seconds) {
    constexpr double kRounding = 1e-12;  // what a difference of sums leaves
    if (seconds > kRounding * pipeline.total_s) out.breakdown_s.emplace_back(name, seconds);
  };
  const Totals totals = totals_of(bill, priced.problem, pipeline.total_s, factors, spread);
  part("gemm", all.work[Work::gemm] + all.work[Work::gemm_high]);
  part("grouped_gemm", all.work[Work::grouped]);
  part("attention_core", all.work[Work::attention]);
  part("memory_bound", all.work[Work::traffic] + all.work[Work::expert_traffic]);
  part("communication_exposed", all.exposed);
  part("interference_and_host", busy - all.compute - all.exposed);
  part("pipeline_bubble", pipeline.total_s - busy);
  part("data_parallel", totals.data_parallel_s);
  part("optimizer_and_overhead", totals.overheads_s);
  part("operation_gemms", totals.operation_gemms_s);
  part("operations", totals.operations_s);
  part("waiting_for_host", totals.waiting_s);
  part("jitter_of_nodes", totals.total_s - totals.alone_s);
  out.total_s = totals.total_s;
  std::vector<double> slots = priced.problem.overlapped_s;
  if (slots.empty()) {
    for (const ChunkTimes& c : priced.problem.chunks) {
      slots.push_back(c.forward_s + c.backward_input_s + c.weight_s);
    }
  }
  out.slot_s = median(slots);
  return out;
}

WorkSeconds layer_work_s(const Bill& bill, LayerKind kind, const FactorValues& factors) {
  const Pricer pricer(bill, factors, {});
  Priced sum;
  for (const Priced& slot : pricer(bill.layers.at(kind))) sum.add(slot, 1);
  return sum.work;
}

StepSampler::StepSampler(const Bill& bill, const FactorValues& centre) : bill_(bill) {
  learn(centre);
}

void StepSampler::learn(const FactorValues& point) {
  if (!paths_.empty() && bill_.layout.pp == 1) return;  // there is one path only
  PipelineResult pipeline = simulate(price_chunks(bill_, Pricer(bill_, point, {})).problem);
  paths_.push_back({std::move(pipeline.critical), pipeline.critical_sends});
}

double StepSampler::operator()(const FactorValues& factors, const Spread& spread) const {
  const PricedPipeline priced = price_chunks(bill_, Pricer(bill_, factors, spread));
  double longest = 0;
  for (const Path& path : paths_) {
    double time = path.sends * priced.problem.send_s;
    for (const CriticalWork& work : path.work) {
      time +=
          work.count * slot_s(priced.problem, work.slot, work.forward_chunk, work.backward_chunk);
    }
    longest = std::max(longest, time);
  }
  return totals_of(bill_, priced.problem, longest, factors, spread).total_s;
}

}  // namespace trainmeter
