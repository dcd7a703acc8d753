// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The bill of a step: every item of the work list at its rate alone.
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/real.hpp"
#include "report/device_rates.hpp"
#include "report/gemm_factors.hpp"
#include "report/step_in_place.hpp"
#include "report/step_links.hpp"
#include "report/step_time.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

class Biller {
 public:
  Biller(const Run& run, const System& system, const RateBook& book, const Layout& layout,
         const Stack& stack)
      : run_(run),
        system_(system),
        book_(book),
        rates_(run, system, book, [this](std::string text) { assume(std::move(text)); }),
        links_(system, book, run.precision, [this](std::string text) { assume(std::move(text)); }),
        in_place_(book, [this](std::string text) { assume(std::move(text)); }) {
    bill_.layout = layout;
    bill_.stack = stack;
    bill_.host_s = run.host_s;
  }

  Bill build() {
    const Model& m = *run_.model;
    choose_factors();
    bill_.stages = stage_contents(m, bill_.layout);
    const WorkOptions options{.precision = run_.precision,
                              .stack = run_.stack,
                              .gpus_per_node = system_.gpus_per_node,
                              .gradient_bytes = bill_.stack.gradient_bytes};
    std::map<LayerKind, double> counts;
    for (const StageContent& s : bill_.stages) {
      if (s.embedding) counts[LayerKind::embedding] += 1;
      if (s.head) counts[LayerKind::head] += 1;
      counts[LayerKind::dense] += real(s.dense);
      counts[LayerKind::moe] += real(s.moe);
      counts[LayerKind::mtp] += real(s.mtp);
    }
    for (const auto& [kind, count] : counts) {
      if (count < 1) continue;
      const double uses = count * real(bill_.layout.microbatches) / real(bill_.layout.pp);
      bill_.layers[kind] = layer(layer_work(m, kind, bill_.layout, options), uses);
    }
    once_a_step();
    operations();
    finish_spread();
    clock_.drop(bill_.gemm);
    clock_high_.drop(bill_.gemm_high);
    bill_.links = links_.used();
    share_sms();
    bill_.in_place = in_place_.used();
    bill_.doublings =
        std::log2(std::max(1.0, real(bill_.layout.gpus) / real(system_.gpus_per_node)));
    return std::move(bill_);
  }

 private:
  void assume(std::string text) {
    if (std::ranges::find(bill_.assumptions, text) == bill_.assumptions.end()) {
      bill_.assumptions.push_back(std::move(text));
    }
  }

  void share_sms() {
    bill_.sms = communication_sms(book_.layers_beside(), rates_.low(), bill_.stack.compute_sms);
    if (!bill_.sms.how.empty()) assume(in_words(bill_.sms));
    for (UsedInput& input : inputs_of(bill_.sms)) bill_.links.push_back(std::move(input));
  }

  void choose_factors() {
    bill_.gemm = gemm_factors(system_, book_, rates_.low());
    bill_.gemm_high = gemm_factors(system_, book_, rates_.high());
    power_ = power_share_of(run_, system_, book_, rates_.low(),
                            [this](std::string text) { assume(std::move(text)); });
    if (architecture(system_) == "blackwell")
      assume("in-place factors of Hopper are used for Blackwell");
  }

  // `part` of the breakdown holds these seconds of the step.
  void use(const char* part, const std::string& what, const Rate& rate, double seconds) {
    bill_.rates.push_back({what, rate, seconds, part});
  }

  // GEMMs of one shape at their rate, and what is known of it in place.
  struct Timed {
    Rate rate;
    InPlace here;
    double seconds = 0;  // of one use
  };

  // `rates_of`: the dtype whose rates stand for `dtype`. The step uses them so many times.
  Timed timed(const GemmWork& work, const std::string& dtype, const std::string& rates_of,
              std::string_view layout, const GemmFactors& factors, double uses) {
    Timed out;
    out.rate = rates_.gemm(rates_of, layout, work);
    const double alone = work.count * real(work.groups) * gemm_flops(work.m, work.n, work.k) /
                         (out.rate.value * power_);
    out.here = in_place_.gemm(factors, dtype, layout, work, alone * uses);
    out.seconds = alone / out.here.ratio;
    return out;
  }

  // Their share of the spread, by their seconds of the step.
  void count(const Timed& gemm, double seconds) {
    noise_ += seconds * std::hypot(gemm.rate.noise, gemm.here.sigma);
    shape_ += seconds * gemm.rate.shape;
    gemm_s_ += seconds;
  }

  // Here and below, `uses` is how often the step of one GPU has the layer.
  void gemm(LayerBill& out, const GemmWork& work, double uses) {
    const std::string& dtype = work.low_precision ? rates_.low() : rates_.high();
    const Timed one = timed(work, dtype, dtype, layout_of(work.pass),
                            work.low_precision ? bill_.gemm : bill_.gemm_high, uses);
    SlotBill& slot = work.pass == Pass::fprop   ? out.forward
                     : work.pass == Pass::dgrad ? out.backward_input
                                                : out.weight;
    const Work kind = work.groups > 1       ? Work::grouped
                      : !work.low_precision ? Work::gemm_high
                                            : Work::gemm;
    slot.work[kind] += one.seconds;
    if (work.pass == Pass::wgrad && !one.rate.of_weight_gradients)
      slot.at_other_passes[kind] += one.seconds;
    (work.low_precision ? clock_ : clock_high_).add(one.rate, one.seconds * uses);
    const bool again = repeated(work);
    if (again) out.backward_input.work[kind] += one.seconds;
    const double all = (again ? 2 : 1) * one.seconds * uses;
    use(work.groups > 1 ? "grouped_gemm" : "gemm",
        fmt::format("{} {} {}{}x{}x{} {}", work.name, to_string(work.pass),
                    work.groups > 1 ? fmt::format("{} x ", work.groups) : "", work.m, work.n,
                    work.k, dtype),
        one.rate, all);
    count(one, all);
  }

  // By selective recomputation, single ones: what MLA's projections up write isn't kept
  // (DeepSeek-V3 report, 3.2.3; Megatron's recompute module mla_up_proj). selective() has what goes
  // by share.
  [[nodiscard]] bool repeated(const GemmWork& work) const {
    return bill_.layout.recompute == Recompute::selective && run_.model->mla &&
           work.pass == Pass::fprop && (work.name == "q_b" || work.name == "kv_b");
  }

  void attention(LayerBill& out, const Core& core, double uses) {
    if (!(core.forward_flops > 0)) return;
    if (bill_.stack.attention == kUnfused) {
      unfused(out, core, uses);
      return;
    }
    const Rate forward = rates_.attention(true, bill_.stack.attention, core);
    const Rate backward = rates_.attention(false, bill_.stack.attention, core);
    const double f = core.forward_flops / (forward.value * power_);
    const double b = core.backward_flops / (backward.value * power_);
    out.forward.work[Work::attention] += f;
    out.backward_input.work[Work::attention] += b;
    use("attention_core", "attention core forward", forward, f * uses);
    use("attention_core", "attention core backward", backward, b * uses);
  }

  // Before FlashAttention: batched GEMMs over the full square, and the scores through memory:
  // written, scaled, masked and normalised in one kernel, dropped out, read (13 bytes each forward,
  // 18 backward, in 16 bits).
  void unfused(LayerBill& out, const Core& core, double uses) {
    const double gemm_rate = rates_.unfused_attention_gemm();
    const double scores =
        core.forward_flops / (real(query_key_dim(*run_.model) + value_dim(*run_.model)));
    // forward_flops = 2 x (s / 2) x tokens x heads x (d_qk + d_v), so `scores` is tokens x heads x
    // s.
    const double forward = 2 * core.forward_flops / gemm_rate + 13 * scores / rates_.memory().value;
    const double backward =
        4 * core.forward_flops / gemm_rate + 18 * scores / rates_.memory().value;
    out.forward.work[Work::attention] += forward;
    out.backward_input.work[Work::attention] += backward;
    if (bill_.layout.recompute == Recompute::selective)
      out.backward_input.work[Work::attention] += forward;
    use("attention_core", "attention core, scores in memory", rates_.memory(),
        (forward + backward) * uses);
    assume("attention with its scores in memory: this stack dates from before fused kernels");
  }

  void traffic(LayerBill& out, const Traffic& t, double uses) {
    const double seconds = t.bytes / rates_.memory().value;
    const bool experts = t.name == "expert_permute" || t.name == "router";
    SlotBill& slot = t.half == Half::forward ? out.forward : out.backward_input;
    slot.work[experts ? Work::expert_traffic : Work::traffic] += seconds;
    memory_s_ += seconds * uses;
  }

  LayerBill layer(const LayerWork& work, double uses) {
    LayerBill out;
    for (const GemmWork& g : work.gemms) gemm(out, g, uses);
    if (run_.operations.empty()) {
      attention(out, work.core, uses);
      for (const Traffic& t : work.traffic) traffic(out, t, uses);
    }
    for (const Collective& c : work.collectives) {
      (c.half == Half::forward ? out.forward : out.backward_input)
          .comm.push_back(
              links_.bill(c, c.hidden ? "interference_and_host" : "communication_exposed"));
    }
    if (work.kind == LayerKind::moe || (work.kind == LayerKind::mtp && run_.model->moe)) {
      out.forward.host = 1.0 / 3;
      out.backward_input.host = 2.0 / 3;
      if (run_.stack == TrainingStack::deepseek) out.forward.host = out.backward_input.host = 0;
    }
    if (bill_.layout.recompute == Recompute::selective) selective(out);
    return out;
  }

  // Norms and activation functions again; with FSDP every other GEMM too (torchtitan's policy).
  void selective(LayerBill& out) const {
    SlotBill& again = out.backward_input;
    again.work[Work::traffic] += 0.5 * out.forward.work[Work::traffic];
    if (run_.stack == TrainingStack::fsdp)
      again.work[Work::gemm] += 0.5 * out.forward.work[Work::gemm];
  }

  void once_a_step() {
    const Layout& l = bill_.layout;
    StageWeights most;
    for (std::int64_t rank = 0; rank < l.pp; ++rank) {  // the fullest rank sets the pace
      StageWeights held;
      for (std::size_t v = 0; v < bill_.stages.size(); ++v) {
        // DualPipe's rank holds a stage from either end.
        const auto stage = static_cast<std::int64_t>(v);
        const bool mirrored = l.schedule == Schedule::dualpipe && stage == l.pp - 1 - rank;
        if (stage % l.pp != rank && !mirrored) continue;
        const StageWeights s = stage_weights(*run_.model, l, bill_.stages[v]);
        held.common += s.common;
        held.routed += s.routed;
      }
      if (held.common + held.routed > most.common + most.routed) most = held;
    }
    double owned = 0;
    for (const bool routed : {false, true}) {
      const double held = routed ? most.routed : most.common;
      const std::int64_t ranks = replicas(l, routed);
      owned += l.zero >= 1 ? held / real(ranks) : held;
      if (gathers_by_layer(l, run_.stack) || ranks < 2 || !(held > 0)) continue;
      const std::int64_t on_node = replicas_on_node(l, routed, system_.gpus_per_node);
      add_once(bill_.gradients, held * bill_.stack.gradient_bytes, ranks, on_node,
               l.zero >= 1 ? "reducescatter" : "allreduce");
      if (l.zero >= 1)
        add_once(bill_.weights, held * element_bytes(run_.precision), ranks, on_node, "allgather");
    }
    if (l.pp > 1) {
      // Where some stages' neighbours lie on another node, their sends set the pace.
      const bool one_node = l.tp * l.cp * l.dp * l.pp <= system_.gpus_per_node;
      Collective send{.name = "pp_send",
                      .operation = "sendrecv",
                      .group = Group::pp,
                      .payload_bytes = real(l.tokens() * run_.model->hidden) *
                                       element_bytes(run_.precision) / (l.sp ? real(l.tp) : 1),
                      .ranks = 2,
                      .ranks_on_node = one_node ? 2 : 1};
      place_bytes(send);
      bill_.send = links_.bill(send, "pipeline_bubble");
    }
    if (!run_.operations.empty()) return;  // the optimizer is among them
    bill_.optimizer_s = optimizer_bytes(owned) / rates_.memory().value;
    use("optimizer_and_overhead", "optimizer, memory bandwidth", rates_.memory(),
        bill_.optimizer_s);
    memory_s_ += bill_.optimizer_s;
  }

  // The run's own list, each kernel at its rate alone and what is known of it in place.
  void operations() {
    for (const StepOperation& o : run_.operations) {
      const auto size = [&](const char* key) {
        const auto found = o.shape.find(key);
        return found == o.shape.end() ? 1 : found->second;
      };
      if (o.operation == "gemm") {
        const GemmWork work{.m = size("m"),
                            .n = size("n"),
                            .k = size("k"),
                            .groups = size("groups"),
                            .count = o.count};
        const Timed all =
            timed(work, o.dtype, rates_.dtype_known(o.dtype), o.layout, bill_.gemm, 1);
        bill_.operation_gemms_s += all.seconds;
        clock_.add(all.rate, all.seconds);
        use("operation_gemms",
            fmt::format("{} x {}x{}x{} {} {}", work.groups, work.m, work.n, work.k, o.layout,
                        o.dtype),
            all.rate, all.seconds);
        count(all, all.seconds);
        continue;
      }
      const auto known = book_.kernel(o.operation, o.dtype, o.bytes);
      if (!known) {
        assume(fmt::format("{} {} was not measured: its least bytes at memory bandwidth",
                           o.operation, o.dtype));
      }
      const Rate rate = known.value_or(rates_.memory());
      const double alone = o.count * o.bytes / rate.value;
      const InPlace here = in_place_.other(o, alone);
      const double seconds = alone / here.ratio;
      bill_.operations_s += seconds;
      use("operations", fmt::format("{} {}, memory-bound", o.operation, o.dtype), rate, seconds);
      operation_noise_ += seconds * std::hypot(rate.noise, rate.shape, here.sigma);
    }
  }

  void add_once(CommBill& out, double payload, std::int64_t ranks, std::int64_t on_node,
                const char* operation) {
    Collective c{.name = "dp_gradients",
                 .operation = operation,
                 .payload_bytes = payload,
                 .ranks = ranks,
                 .ranks_on_node = on_node,
                 .hidden = bill_.layout.overlap_dp};
    place_bytes(c);
    const CommBill one = links_.bill(c, "data_parallel");
    const double channels_s = out.channels * out.network_s + one.channels * one.network_s;
    out.node_s += one.node_s;
    out.network_s += one.network_s;
    if (out.network_s > 0) out.channels = channels_s / out.network_s;
    out.hops += one.hops;
    out.fixed_s += one.fixed_s;
  }

  void finish_spread() {
    if (gemm_s_ > 0) {
      bill_.gemm_noise = noise_ / gemm_s_;
      bill_.gemm_shape = shape_ / gemm_s_;
    }
    bill_.memory_noise = rates_.memory().noise;
    if (!run_.operations.empty()) {
      bill_.memory_noise = bill_.operations_s > 0 ? operation_noise_ / bill_.operations_s : 0;
      return;
    }
    const auto of_a_step = [](const RatePoint& p) {
      return !p.published && is_step_kernel(p.operation);
    };
    if (std::ranges::any_of(book_.points(), of_a_step)) {
      assume(
          "memory-bound kernels: their least bytes at memory bandwidth times a fitted factor; "
          "those of the records are left out, since stacks fuse other ones");
    }
    use("memory_bound", "memory-bound kernels, memory bandwidth", rates_.memory(), memory_s_);
  }

  // Whether rates have the clock of minutes under the power cap in them already, by time.
  struct Clock {
    double sustained_s = 0, all_s = 0;
    void add(const Rate& rate, double seconds) {
      all_s += seconds;
      if (rate.sustained) sustained_s += seconds;
    }
    void drop(GemmFactors& of) const {
      constexpr double kMost = 0.5;
      if (kMost * all_s < sustained_s) of.sustained.reset();
    }
  };

  const Run& run_;
  const System& system_;
  const RateBook& book_;
  Bill bill_;
  Clock clock_, clock_high_;  // of the run's precision; of what stays in 16 bits
  DeviceRates rates_;
  StepLinks links_;
  StepInPlace in_place_;
  double power_ = 1;
  double noise_ = 0, shape_ = 0, gemm_s_ = 0, memory_s_ = 0, operation_noise_ = 0;
};

}  // namespace

Bill make_bill(const Run& run, const System& system, const RateBook& book, const Layout& layout,
               const Stack& stack) {
  return Biller(run, system, book, layout, stack).build();
}

}  // namespace trainmeter
