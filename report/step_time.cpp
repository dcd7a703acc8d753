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
  double hidden = 0;                               // communication that runs under compute
  double lost = 0;                                 // compute time that it costs
  double hidden_gathers = 0, lost_to_gathers = 0;  // of these, of sharded weights
  double exposed = 0;
  double host = 0;
  std::array<double, kWorks> work{};

  void add(const Priced& other, double times) {
    compute += other.compute * times;
    hidden += other.hidden * times;
    lost += other.lost * times;
    hidden_gathers += other.hidden_gathers * times;
    lost_to_gathers += other.lost_to_gathers * times;
    exposed += other.exposed * times;
    host += other.host * times;
    for (std::size_t i = 0; i < kWorks; ++i) work[i] += other.work[i] * times;
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
    per_work_ = {1 / gemm,
                 1 / high,
                 1 / (gemm * at(f_, Factor::grouped_gemm)),
                 sms.attention.fewer / at(f_, bill.stack.attention_factor),
                 traffic * sms.others.fewer,
                 at(f_, Factor::traffic_experts) / spread.memory * sms.others.fewer};
    beside_ = {sms.gemms.traffic,     sms.gemms.traffic,  sms.gemms.traffic,
               sms.attention.traffic, sms.others.traffic, sms.others.traffic};
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
    if (bill_.layout.schedule != "dualpipe") return together(p);
    return std::max(p.compute + p.hidden, p.host - p.exposed) + p.exposed;
  }

 private:
  [[nodiscard]] Priced price_slot(const SlotBill& slot) const {
    Priced out;
    const double longer = 1 / at(f_, Factor::weight_pass) - 1;  // at the rates of other passes
    for (std::size_t i = 0; i < kWorks; ++i) {
      out.work[i] = (slot.work[i] + slot.at_other_passes[i] * longer) * per_work_[i];
      out.compute += out.work[i];
    }
    const bool own_sms = bill_.stack.compute_sms < 1;
    for (const CommBill& c : slot.comm) {
      const PricedComm comm = price(c, f_);
      (c.hidden ? out.hidden : out.exposed) += comm.time;
      if (c.hidden && !own_sms) out.lost += comm.lost;
      if (c.hidden && c.name == kGatheredWeights) {
        out.hidden_gathers += comm.time;
        if (!own_sms) out.lost_to_gathers += comm.lost;
      }
    }
    if (own_sms && out.hidden > 0)
      for (std::size_t i = 0; i < kWorks; ++i) out.lost += out.work[i] * (beside_[i] - 1);
    out.host = slot.host * at(f_, Factor::experts_host_s);
    return out;
  }

  const Bill& bill_;
  const FactorValues& f_;
  std::array<double, kWorks> per_work_{};
  std::array<double, kWorks> beside_{};  // times what it takes beside communication's traffic
};

struct Chunk {  // one virtual stage
  Priced forward, backward_input, weight;
};

struct Priced3 {
  std::vector<Chunk> chunks;
  PipelineProblem problem;
};

Priced3 price_chunks(const Bill& bill, const Pricer& pricer) {
  std::map<LayerKind, Chunk> kinds;
  for (const auto& [kind, layer] : bill.layers) {
    const auto [forward, backward_input, weight] = pricer(layer);
    kinds[kind] = {forward, backward_input, weight};
  }
  Priced3 out;
  const Layout& l = bill.layout;
  for (const StageContent& content : bill.stages) {
    Chunk chunk;
    const auto add = [&](LayerKind kind, std::int64_t times) {
      if (times < 1) return;
      const Chunk& layer = kinds.at(kind);
      const auto n = static_cast<double>(times);
      chunk.forward.add(layer.forward, n);
      chunk.backward_input.add(layer.backward_input, n);
      chunk.weight.add(layer.weight, n);
      // Full recomputation repeats the forward pass of the layers before their backward pass.
      if (l.recompute == "full" && kind != LayerKind::head && kind != LayerKind::embedding) {
        Priced again = layer.forward;
        again.hidden -= again.hidden_gathers;  // gathered weights are used twice
        again.lost -= again.lost_to_gathers;
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
  p.schedule = l.pp == 1 ? "1f1b" : l.schedule;
  p.ranks = l.pp;
  p.microbatches = l.microbatches;
  p.chunks_per_rank = p.schedule == "dualpipe" ? 2 : p.schedule == "interleaved" ? l.vpp : 1;
  if (!l.overlap_pp) p.send_s = pricer.time(bill.send);
  for (const Chunk& c : out.chunks) {
    p.chunks.push_back(
        {pricer.alone(c.forward), pricer.alone(c.backward_input), pricer.alone(c.weight)});
  }
  if (p.schedule == "dualpipe") {
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

double operation_gemms_s(const Bill& bill, const FactorValues& f, const Spread& spread) {
  return bill.operation_gemms_s / (gemm_share(bill.gemm, f) * spread.gemm);
}

double operations_s(const Bill& bill, const Spread& spread) {
  return bill.operations_s / spread.memory;
}

double overheads_s(const Bill& bill, const FactorValues& f, const Spread& spread) {
  return bill.optimizer_s *
             at(f, bill.stack.fused ? Factor::traffic_fused : Factor::traffic_eager) /
             spread.memory +
         (bill.host_s ? 0 : at(f, Factor::step_overhead_s));
}

// The device waits for a host that takes longer to launch a step than the device to run it.
double waiting_s(const Bill& bill, double device_s) {
  return bill.host_s ? std::max(0.0, *bill.host_s - device_s) : 0;
}

double grown(const Bill& bill, const FactorValues& f) {
  return 1 + at(f, Factor::jitter) * bill.doublings;
}

}  // namespace

StepTime step_time(const Bill& bill, const FactorValues& factors, const Spread& spread) {
  const Pricer pricer(bill, factors, spread);
  const Priced3 priced = price_chunks(bill, pricer);
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
  part("gemm", all.work[0] + all.work[1]);
  part("grouped_gemm", all.work[2]);
  part("attention_core", all.work[3]);
  part("memory_bound", all.work[4] + all.work[5]);
  part("communication_exposed", all.exposed);
  part("interference_and_host", busy - all.compute - all.exposed);
  const double unhidden = data_parallel_s(bill, priced.problem, factors);
  part("pipeline_bubble", pipeline.total_s - busy);
  part("data_parallel", unhidden);
  part("optimizer_and_overhead", overheads_s(bill, factors, spread));
  part("operation_gemms", operation_gemms_s(bill, factors, spread));
  part("operations", operations_s(bill, spread));
  const double whole = pipeline.total_s + unhidden + overheads_s(bill, factors, spread) +
                       operation_gemms_s(bill, factors, spread) + operations_s(bill, spread);
  part("waiting_for_host", waiting_s(bill, whole));
  const double alone = whole + waiting_s(bill, whole);
  out.total_s = alone * grown(bill, factors);
  part("jitter_of_nodes", out.total_s - alone);
  std::vector<double> slots = priced.problem.overlapped_s;
  if (slots.empty()) {
    for (const ChunkTimes& c : priced.problem.chunks) {
      slots.push_back(c.forward_s + c.backward_input_s + c.weight_s);
    }
  }
  out.slot_s = median(slots);
  return out;
}

WorkTimes layer_work_s(const Bill& bill, LayerKind kind, const FactorValues& factors) {
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
  const Priced3 priced = price_chunks(bill_, Pricer(bill_, factors, spread));
  double longest = 0;
  for (const Path& path : paths_) {
    double time = path.sends * priced.problem.send_s;
    for (const CriticalWork& work : path.work) {
      time +=
          work.count * slot_s(priced.problem, work.slot, work.forward_chunk, work.backward_chunk);
    }
    longest = std::max(longest, time);
  }
  const double total = longest + data_parallel_s(bill_, priced.problem, factors) +
                       overheads_s(bill_, factors, spread) +
                       operation_gemms_s(bill_, factors, spread) + operations_s(bill_, spread);
  return (total + waiting_s(bill_, total)) * grown(bill_, factors);
}

}  // namespace trainmeter
