// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// layer_bench's cases: a layer of a model, forward or backward, composed of the operations that
// gemm_bench, memory_bench and attention_bench measure alone.
#include "bench/backend_names.hpp"
#include "bench/case_lists.hpp"
#include "bench/layer_check.hpp"
#include "bench/layer_ways.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "workload/layer_steps.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::int64_t kGpusOfExperts = 64;  // DeepSeek-V3's expert parallelism (its report, 3.2)
constexpr std::int64_t kLongestSequence = 4096;
// Sets of operands that a small part has at least: more than it runs back to back.
constexpr double kLeastSets = 8;

Check checked(const Options& options, const Target& target, const Model& model,
              const LayerShare& share, DType precision, const std::string& gemms_by) {
  const SmallLayer small = small_layer(model, share);
  return check_layer(small, layer_steps(small.model, small.share), precision,
                     layer_maker(options, target, precision, gemms_by));
}

double memory_of(const Ways& ways) {
  return ways.front().memory_bytes +
         static_cast<double>(ways.front().operands.value_or(OperandOptions{}).rotate_bytes);
}

class Builder {
 public:
  Builder(const Options& options, const Target& target)
      : options_(options),
        target_(target),
        co_sms_(options.co_sms.empty() ? 0 : static_cast<int>(options.co_sms.front())),
        finder_(options, target, "",
                co_sms_ == 0 ? 0 : static_cast<int>(target.device.sms) - co_sms_) {}

  void add(const Model& model, DType precision) {
    const LayerShare share = share_of(model, precision);
    const LayerSteps steps = layer_steps(model, share);
    const bool experts = share.kind == GemmGroup::moe;
    for (const bool forward : {true, false}) {
      const char* pass = forward ? "forward" : "backward";
      if (!options_.passes.empty() &&
          std::ranges::find(options_.passes, pass) == options_.passes.end()) {
        continue;
      }
      const auto named = [&](const std::string& gemms_by) {
        Case made;
        made.operation = fmt::format("layer_{}", pass);
        made.dtype = share.precision;
        made.backend = gemms_by.empty() ? "composed" : gemms_by;
        made.shape = {{"rows", share.tokens()}};
        made.name = fmt::format("{}/{}/{}/{}/{}/rows:{}", made.operation, made.dtype, made.backend,
                                model.id, experts ? "moe" : "dense", share.tokens());
        if (experts) {
          made.shape["experts"] = model.moe->experts / share.ep;
          made.name += fmt::format("/experts:{}", made.shape["experts"]);
        }
        if (co_sms_ > 0) put_beside(made, model, share, !forward);
        made.check_whole = [options = options_, target = target_, model, share, precision,
                            gemms_by] {
          return checked(options, target, model, share, precision, gemms_by);
        };
        return made;
      };
      const std::vector<LayerStep>& in_order = forward ? steps.forward : steps.backward;
      if (!compose(named(""), in_order, steps.left_out, precision, finder_)) continue;
      if (options_.versus.empty()) continue;
      StepFinder other(options_, target_, options_.versus);
      compose(named(options_.versus), in_order, steps.left_out, precision, other);
    }
  }

  CaseList take() {
    const bool both = std::ranges::any_of(
        list_.cases, [&](const Case& one) { return one.backend == options_.versus; });
    if (!no_pair_.empty() && !both) throw Unavailable(no_pair_);
    return std::move(list_);
  }

 private:
  // All tokens of a micro-batch, some of the experts; the kind that most of the model's layers are.
  [[nodiscard]] LayerShare share_of(const Model& model, DType precision) const {
    const std::int64_t tokens =
        options_.tokens.value_or(kLayerTokens.of(target_.kind == DeviceKind::gpu));
    LayerShare share;
    share.precision = to_string(precision);
    share.seq_len = tokens % kLongestSequence == 0 ? kLongestSequence : tokens;
    share.sequences = tokens / share.seq_len;
    if (!model.moe) return share;
    share.kind = GemmGroup::moe;
    const std::int64_t all = model.moe->experts;
    const std::int64_t here =
        options_.experts.value_or(std::max<std::int64_t>(1, all / kGpusOfExperts));
    if (here > all || all % here != 0) {
      throw BadInput(
          fmt::format("--experts={}: expected a divisor of {}'s {} experts", here, model.id, all));
    }
    share.ep = all / here;
    return share;
  }

  // What stands for the experts' all-to-alls, which the steps leave out.
  void put_beside(Case& layer, const Model& model, const LayerShare& share, bool backward) const {
    Overlap beside{.beside = {.kind = CoRunnerKind::memory_mover,
                              .sms = co_sms_,
                              .bytes_per_s = static_cast<double>(options_.co_bytes_per_s)},
                   .make_rest = nullptr};
    layer.name += fmt::format("/{}/{}:{}", to_string(beside.beside.kind), kCoSms, co_sms_);
    layer.shape[kCoSms] = co_sms_;
    if (options_.co_bytes_per_s > 0) {
      layer.name += fmt::format("/{}:{}", kCoRate, options_.co_bytes_per_s);
      layer.shape[kCoRate] = options_.co_bytes_per_s;
    }
    std::string moves;
    for (const Exchange& one : layer_exchanges(model, share, backward)) {
      beside.bytes_a_run += one.bytes;
      moves += fmt::format("{}{} {}", moves.empty() ? "" : ", ", one.name, format_bytes(one.bytes));
    }
    if (options_.co_bytes_per_s > 0) {
      moves = "at the rate that was set";
      beside.bytes_a_run = 0;
    } else if (moves.empty()) {
      moves = "as much as it can: this layer exchanges nothing";
    } else {
      moves += " a layer, read and written";
    }
    layer.notes["co_moves"] = moves;
    layer.overlap = std::move(beside);
  }

  // False where it can't be had here; `left_out` says why. By another finder than the usual one it
  // is the pair of the case before it.
  bool compose(Case layer, const std::vector<LayerStep>& steps, std::vector<std::string> missing,
               DType precision, StepFinder& finder) {
    std::map<std::string, std::size_t> known;
    for (const LayerStep& step : steps) {
      Ways ways = finder.ways(step, precision);
      for (const std::string& why : finder.why_not_preferred()) {
        list_.left_out.push_back(
            fmt::format("{}: --prefer's backend, which doesn't take what --co_sms={} leaves ({})",
                        layer.name, co_sms_, why));
      }
      if (ways.empty() && step.gemm) {  // no layer without its GEMMs
        list_.left_out.push_back(
            fmt::format("{}: {}: {}", layer.name, step.entry, finder.why_none()));
        return false;
      }
      if (ways.empty()) {
        if (std::ranges::find(missing, step.entry) == missing.end()) missing.push_back(step.entry);
        continue;
      }
      layer.flops += ways.front().flops;
      layer.bytes += ways.front().bytes;
      const auto [found, is_new] = known.try_emplace(ways.front().name, layer.parts.size());
      if (is_new) layer.parts.push_back(std::move(ways));
      layer.order.push_back(found->second);
    }
    if (!missing.empty()) layer.notes["left_out"] = fmt::format("{}", fmt::join(missing, " "));
    rotate(layer);
    if (&finder != &finder_ && !pair(layer, finder.why_not_by())) return false;
    if (std::string why = why_no_room(layer.name, layer.memory_bytes, target_); !why.empty()) {
      list_.left_out.push_back(std::move(why));
      return false;
    }
    list_.cases.push_back(std::move(layer));
    return true;
  }

  // Of --versus, beside the last case: both are prepared at once, and share what is the same in
  // both. False where all is.
  bool pair(Case& layer, const std::string& why_not) {
    const Case& main = list_.cases.back();
    layer.memory_bytes = main.memory_bytes;
    bool same = true;
    for (const Ways& ways : layer.parts) {
      if (std::ranges::any_of(main.parts, [&](const Ways& other) {
            return other.front().name == ways.front().name;
          })) {
        continue;
      }
      same = false;
      layer.memory_bytes += memory_of(ways);
    }
    if (!same) return true;
    const std::string why = why_not.empty()
                                ? "the GEMMs are by it already (--prefer chooses what is beside it)"
                                : why_not;
    list_.left_out.push_back(fmt::format("{}: {}", layer.name, why));
    if (no_pair_.empty()) no_pair_ = fmt::format("--versus={}: {}", options_.versus, why);
    return false;
  }

  // Alone, a part's runs go round so much memory as in its own program; but for a small part some
  // sets are enough, since all other parts run between its turns.
  void rotate(Case& layer) const {
    const auto all = static_cast<double>(target_.rotate_bytes);
    for (Ways& ways : layer.parts) {
      const double one = ways.front().memory_bytes;
      const double enough =
          std::max(kLeastSets * one, all / static_cast<double>(layer.parts.size()));
      const OperandOptions operands =
          options_.operands(static_cast<std::int64_t>(std::min(all, enough)));
      for (Case& way : ways) way.operands = operands;
      // The operation for what a co-runner leaves has operands of its own.
      layer.memory_bytes += memory_of(ways) * (ways.front().overlap ? 2 : 1);
    }
  }

  const Options& options_;
  const Target& target_;
  int co_sms_;  // 0: no co-runner
  StepFinder finder_;
  CaseList list_;
  std::string no_pair_;  // of the first layer that has none, why
};

void require_known_backends(const std::vector<std::string>& names) {
  std::vector<std::string_view> known;
  for (const GemmBackend& backend : gemm_backends()) known.push_back(backend.name);
  for (const AttentionBackend& backend : attention_backends()) {
    if (std::ranges::find(known, backend.name) == known.end()) known.push_back(backend.name);
  }
  for (const std::string& name : names) {
    if (std::ranges::find(known, name) == known.end())
      throw BadInput(fmt::format("--prefer={}: expected one of {}", name, fmt::join(known, ", ")));
  }
}

std::vector<DType> precisions(const Options& options, const Target& target) {
  if (options.dtypes.empty()) {
    return target.kind == DeviceKind::gpu ? std::vector{DType::fp8, DType::bf16}
                                          : std::vector{DType::fp32, DType::bf16};
  }
  std::vector<DType> out;
  for (const std::string& name : options.dtypes) {
    out.push_back(*dtype_from(name));
  }
  return out;
}

}  // namespace

CaseList layer_cases(const Options& options, const Target& target) {
  require_known_backends(options.prefer);
  require_versus(options);
  std::vector<std::string> ids = options.models;
  if (ids.empty()) {
    ids = target.kind == DeviceKind::gpu ? std::vector<std::string>{"deepseek-v3", "llama-3-8b"}
                                         : std::vector<std::string>{"gpt2-124m"};
  }
  const Library library(published_data());
  const auto has_experts = [&](const std::string& id) { return library.model(id).moe.has_value(); };
  if (options.experts && std::ranges::none_of(ids, has_experts)) {
    throw BadInput(fmt::format("--experts={}: {}: no model with experts", *options.experts,
                               fmt::join(ids, ", ")));
  }
  if (!options.co_sms.empty() && options.co_sms.front() >= target.device.sms) {
    throw Unavailable(fmt::format("--co_sms={}: leaves none of {} {}", options.co_sms.front(),
                                  target.device.sms,
                                  target.kind == DeviceKind::gpu ? "SMs" : "cores"));
  }
  Builder builder(options, target);
  for (const std::string& id : ids) {
    const Model model = library.model(id);
    for (const DType precision : precisions(options, target)) builder.add(model, precision);
  }
  return builder.take();
}

}  // namespace trainmeter
