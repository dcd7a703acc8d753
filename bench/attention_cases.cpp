// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core: forward and backward as training does them, and decode steps of a rollout, at
// the heads of models or one's own.
#include "bench/case_lists.hpp"
#include "kernels/attention.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "workload/run.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

struct Heads {
  std::int64_t heads, kv_heads, head_dim, value_dim;
};

AttentionSize size_of_problem(const AttentionProblem& p) {
  const auto real = [](std::int64_t value) { return static_cast<double>(value); };
  return {.batch = real(p.batch),
          .heads = real(p.heads),
          .kv_heads = real(p.kv_heads),
          .queries = real(p.queries),
          .keys = real(p.keys),
          .head_dim = real(p.head_dim),
          .value_dim = real(p.value_dim),
          .causal = p.causal};
}

// One query a sequence against the keys so far: its rate is the memory's, so it has a name of its
// own.
bool is_decode(const AttentionProblem& p) {
  return p.queries == 1 && p.keys > 1;
}

class Builder {
 public:
  Builder(const Options& options, const Target& target) : options_(options), target_(target) {}

  void add(const AttentionProblem& problem, std::vector<DType> dtypes) {
    if (!options_.dtypes.empty()) {
      dtypes.clear();
      for (const std::string& name : options_.dtypes) dtypes.push_back(*dtype_from(name));
    }
    for (AttentionProblem p = problem; const DType dtype : dtypes) {
      p.dtype = dtype;
      for (const AttentionBackend& backend : attention_backends()) {
        if (backend.device == target_.kind) add(p, backend);
      }
    }
  }

  CaseList take() {
    if (names_.empty() && list_.left_out.empty()) {
      list_.left_out.emplace_back(
          "attention: no implementation for this device was built in (a CPU has one: "
          "--device=cpu)");
    }
    return std::move(list_);
  }

 private:
  void add(const AttentionProblem& p, const AttentionBackend& backend) {
    try {
      require_valid(p);
    } catch (const std::invalid_argument& error) {
      throw BadInput(error.what());
    }
    Case made = attention_case(p, backend);
    if (!names_.insert(made.name).second) return;
    if (const std::string why = backend.why_not(p); !why.empty()) {
      list_.left_out.push_back(why);
      return;
    }
    if (std::string why = why_no_room(made.name, made.memory_bytes, target_); !why.empty()) {
      list_.left_out.push_back(std::move(why));
      return;
    }
    list_.cases.push_back(std::move(made));
  }

  const Options& options_;
  const Target& target_;
  CaseList list_;
  std::set<std::string> names_;
};

bool wanted(const Options& options, const char* pass) {
  return options.passes.empty() || std::ranges::find(options.passes, pass) != options.passes.end();
}

AttentionProblem of(const Heads& h, std::int64_t batch, std::int64_t queries, std::int64_t keys) {
  return {.batch = batch,
          .heads = h.heads,
          .kv_heads = h.kv_heads,
          .queries = queries,
          .keys = keys,
          .head_dim = h.head_dim,
          .value_dim = h.value_dim};
}

// Training's two passes over `tokens`, and a decode step of as many keys and values.
void add_all(Builder& builder, const Options& options, const Heads& heads, std::int64_t seq_len,
             std::int64_t tokens, const std::vector<DType>& dtypes) {
  const std::int64_t batch =
      options.sequences.value_or(std::max<std::int64_t>(1, tokens / seq_len));
  AttentionProblem training = of(heads, batch, seq_len, seq_len);
  for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
    training.pass = pass;
    if (wanted(options, pass == AttentionPass::forward ? "forward" : "backward"))
      builder.add(training, dtypes);
  }
  if (wanted(options, "decode")) builder.add(of(heads, batch, 1, seq_len), dtypes);
}

// A model's heads; for MLA as training has them, keys and values rebuilt for every head.
Heads heads_of(const Model& m) {
  return {m.heads, m.mla ? m.heads : m.kv_heads, query_key_dim(m), value_dim(m)};
}

}  // namespace

Case attention_case(const AttentionProblem& p, const AttentionBackend& backend) {
  Case made;
  const bool backward = p.pass == AttentionPass::backward;
  made.operation = is_decode(p) && !backward ? "attention_decode"
                                             : fmt::format("attention_{}", to_string(p.pass));
  made.dtype = to_string(p.dtype);
  made.backend = backend.name;
  made.shape = {{"batch", p.batch},         {"heads", p.heads},          {"kv_heads", p.kv_heads},
                {"queries", p.queries},     {"seq_len", p.keys},         {"head_dim", p.head_dim},
                {"value_dim", p.value_dim}, {"causal", p.causal ? 1 : 0}};
  made.name = fmt::format("{}/{}/{}", made.operation, made.dtype, made.backend);
  for (const char* key :
       {"batch", "heads", "kv_heads", "queries", "seq_len", "head_dim", "value_dim", "causal"}) {
    made.name += fmt::format("/{}:{}", key, made.shape.at(key));
  }
  made.flops = attention_flops(size_of_problem(p), backward);
  made.bytes = attention_bytes(size_of_problem(p), backward, static_cast<double>(size_of(p.dtype)));
  made.memory_bytes = static_cast<double>(attention_set_bytes(p));
  made.make = [p, make = backend.make](const OperandOptions& operands) {
    return make(p, operands);
  };
  return made;
}

CaseList attention_cases(const Options& options, const Target& target) {
  Builder builder(options, target);
  const bool gpu = target.kind == DeviceKind::gpu;
  const std::vector<std::int64_t> lengths = !options.seq_lens.empty() ? options.seq_lens
                                            : gpu
                                                ? std::vector<std::int64_t>{2048, 4096, 8192, 16384}
                                                : std::vector<std::int64_t>{512, 1024, 2048};
  const std::int64_t tokens = options.tokens.value_or(gpu ? 16384 : 2048);
  const std::vector<DType> dtypes =
      gpu ? std::vector<DType>{DType::bf16} : std::vector<DType>{DType::bf16, DType::fp32};
  const Library library(published_data());
  for (const std::string& id : options.models) {
    for (const std::int64_t length : lengths)
      add_all(builder, options, heads_of(library.model(id)), length, tokens, dtypes);
  }
  if (options.heads) {
    const std::int64_t head_dim = options.head_dim.value_or(128);
    const Heads own = {*options.heads, options.kv_heads.value_or(*options.heads), head_dim,
                       options.value_dim.value_or(head_dim)};
    for (const std::int64_t length : lengths)
      add_all(builder, options, own, length, tokens, dtypes);
  }
  if (!options.models.empty() || options.heads) return builder.take();
  // Width 2,048 in heads of 128 and of 64, as FlashAttention's benchmarks have it, the same keys
  // for four heads, and MLA's widths.
  for (const Heads& heads : {Heads{16, 16, 128, 128}, Heads{32, 32, 64, 64}, Heads{16, 4, 128, 128},
                             Heads{16, 16, 192, 128}}) {
    for (const std::int64_t length : lengths)
      add_all(builder, options, heads, length, tokens, dtypes);
  }
  return builder.take();
}

}  // namespace trainmeter
