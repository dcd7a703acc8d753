// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core on a CPU, blocked as FlashAttention-2 is (Dao 2023): scores never leave a
// core's cache. A task of the forward pass is a block of queries of one head of keys and values,
// all query heads that share it side by side, so that a decode step of grouped queries fills its
// vectors too. A task of the backward pass adds up dK and dV of such a head over its queries; where
// there are fewer heads than threads, several share one and their sums are added afterwards.
#include "kernels/attention_blocks.hpp"
#include "kernels/attention_tensors.hpp"
#include "kernels/backends.hpp"
#include "kernels/float_math.hpp"
#include "kernels/host_operand.hpp"
#include "kernels/random.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <omp.h>
#include <optional>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kLanes = 128;  // queries of a block
constexpr std::int64_t kKeys = 128;   // keys of a block: 128 x 128 scores take 64 KiB

std::int64_t padded(std::int64_t count) {
  return round_up(count, kVector);
}

// Memory that is divided among blocks at whole vectors.
class Arena {
 public:
  explicit Arena(std::int64_t floats) : buffer_(floats * 4) {}
  float* take(std::int64_t floats) {
    float* taken = buffer_.as<float>() + used_;
    used_ += padded(floats);
    return taken;
  }

 private:
  HostBuffer buffer_;
  std::int64_t used_ = 0;
};

// What one thread works in.
struct Scratch {
  explicit Scratch(const AttentionProblem& p)
      : arena(kLanes * (3 * padded(p.head_dim) + 3 * padded(p.value_dim)) +
              kKeys * (2 * kLanes + padded(p.head_dim) + padded(p.value_dim)) + 8 * kLanes),
        q(arena.take(kLanes * padded(p.head_dim))),
        q_t(arena.take(kLanes * padded(p.head_dim))),
        d_q_t(arena.take(kLanes * padded(p.head_dim))),
        d_o(arena.take(kLanes * padded(p.value_dim))),
        d_o_t(arena.take(kLanes * padded(p.value_dim))),
        o_t(arena.take(kLanes * padded(p.value_dim))),
        scores(arena.take(kKeys * kLanes)),
        gradient(arena.take(kKeys * kLanes)),
        k(arena.take(kKeys * padded(p.head_dim))),
        v(arena.take(kKeys * padded(p.value_dim))),
        top(arena.take(kLanes)),
        sum(arena.take(kLanes)),
        factor(arena.take(kLanes)),
        l(arena.take(kLanes)),
        delta(arena.take(kLanes)),
        last_key(kLanes) {}

  Arena arena;
  float *q, *q_t, *d_q_t, *d_o, *d_o_t, *o_t;  // of a block of lanes; _t: transposed
  float *scores, *gradient;                    // [keys, lanes]
  float *k, *v;                                // of a block of keys, where they aren't in fp32
  float *top, *sum, *factor, *l, *delta;       // of a lane
  std::vector<std::int32_t> last_key;
};

template <class T>
class OpenMpAttention final : public Operation {
 public:
  OpenMpAttention(const AttentionProblem& problem, const OperandOptions& options)
      : p_(problem),
        sets_(sets_for(attention_set_bytes(problem), options, host_bytes_for_operands())),
        scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(problem.head_dim)))),
        threads_(omp_get_max_threads()),
        chunks_(chunks_for(problem, threads_)) {
    for (int t = 0; t < threads_; ++t) scratch_.emplace_back(p_);
    for (int i = 0; i < kAttentionTensors; ++i) {
      const auto tensor = static_cast<AttentionTensor>(i);
      if (role_of(tensor, p_.pass) == TensorRole::unused) continue;
      const HostOperand& operand = operands_[i].emplace(attention_bytes_of(p_, tensor), sets_);
      std::memset(operand.data(0), 0xff, static_cast<std::size_t>(operand.bytes()));  // NaN
      if (drawn(tensor)) {
        fill_random(operand.data(0), attention_elements(p_, tensor), p_.dtype,
                    operand_seed(options.seed, 0, i), options.values);
      }
    }
    if (p_.pass == AttentionPass::backward) {
      forward(0);  // for O and L
      const std::int64_t slots = chunks_ > 1 ? tasks() : threads_;
      sums_.reserve(static_cast<std::size_t>(slots));
      for (std::int64_t s = 0; s < slots; ++s) sums_.emplace_back(p_.keys * (d() + dv()) * 4);
    }
    for (const auto& operand : operands_) {
      if (operand) operand->repeat_first();
    }
  }

  void run(int set) override {
    if (p_.pass == AttentionPass::forward) {
      forward(set);
    } else {
      backward(set);
    }
  }

  Check verify() override {
    AttentionData data{};
    for (int i = 0; i < kAttentionTensors; ++i) {
      if (!operands_[i]) continue;
      data[i] = operands_[i]->data(0);
      if (role_of(static_cast<AttentionTensor>(i), p_.pass) == TensorRole::output) {
        std::memset(operands_[i]->data(0), 0xff, static_cast<std::size_t>(operands_[i]->bytes()));
      }
    }
    run(0);
    return verify_attention(p_, data);
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    std::array<void*, kAttentionTensors> data{};
    for (std::size_t i = 0; i < data.size(); ++i)
      data[i] = operands_[i] ? operands_[i]->data(0) : nullptr;
    return attention_views(p_, DeviceKind::cpu, data);
  }

 private:
  using Tensor = AttentionTensor;

  static bool drawn(Tensor t) {
    return t == Tensor::q || t == Tensor::k || t == Tensor::v || t == Tensor::d_o;
  }

  static std::int64_t chunks_for(const AttentionProblem& p, int threads) {
    const std::int64_t heads = p.batch * p.kv_heads;
    return std::min(ceil_div<std::int64_t>(threads, heads),
                    ceil_div(p.group() * p.queries, kLanes));
  }

  [[nodiscard]] std::int64_t d() const { return padded(p_.head_dim); }
  [[nodiscard]] std::int64_t dv() const { return padded(p_.value_dim); }
  [[nodiscard]] std::int64_t lanes() const { return p_.group() * p_.queries; }  // of a kv head
  [[nodiscard]] std::int64_t lane_blocks() const { return ceil_div(lanes(), kLanes); }
  [[nodiscard]] std::int64_t kv_heads() const { return p_.batch * p_.kv_heads; }
  [[nodiscard]] std::int64_t tasks() const { return kv_heads() * chunks_; }

  template <class V = T>
  [[nodiscard]] V* at(Tensor tensor, int set, std::int64_t element) const {
    return operands_[static_cast<std::size_t>(tensor)]->template as<V>(set) + element;
  }

  // Rows of a block in fp32: as they lie, or in `widened`.
  static const float* rows_of(const float* from, float*, std::int64_t, std::int64_t) {
    return from;
  }
  static const float* rows_of(const Bf16* from, float* widened, std::int64_t rows,
                              std::int64_t cols) {
    widen(widened, cols, from, rows, cols, 1);
    return widened;
  }

  // A block of lanes and the keys that it sees.
  struct Block {
    std::int64_t row;       // of Q, O, L and their gradients: the block's first
    std::int64_t count;     // lanes
    std::int64_t width;     // lanes, padded
    std::int64_t all_keys;  // every lane sees keys below this one
    std::int64_t end_key;   // none sees this one or a later one
  };

  Block block_of(std::int64_t kv_head, std::int64_t index, Scratch& s) const {
    Block b{};
    const std::int64_t first = index * kLanes;
    b.row = kv_head * lanes() + first;
    b.count = std::min(kLanes, lanes() - first);
    b.width = padded(b.count);
    b.all_keys = b.end_key = p_.keys;
    std::ranges::fill(s.last_key, std::numeric_limits<std::int32_t>::max());
    if (!p_.causal) return b;
    b.end_key = 0;
    for (std::int64_t lane = 0; lane < b.count; ++lane) {
      const std::int64_t last = p_.keys - p_.queries + (first + lane) % p_.queries;
      s.last_key[static_cast<std::size_t>(lane)] = static_cast<std::int32_t>(last);
      b.all_keys = std::min(b.all_keys, last + 1);
      b.end_key = std::max(b.end_key, last + 1);
    }
    return b;
  }

  static void transpose(float* to, const T* from, const Block& b, std::int64_t cols, float scale) {
    for (std::int64_t lane = 0; lane < b.count; ++lane) {
      for (std::int64_t c = 0; c < cols; ++c)
        to[c * b.width + lane] = scale * to_float(from[lane * cols + c]);
    }
    for (std::int64_t c = 0; c < cols; ++c)
      std::fill(to + c * b.width + b.count, to + (c + 1) * b.width, 0.0F);
  }

  // scores[key, lane] of the keys from `first` on.
  void score(float* scores, const float* k, const Block& b, std::int64_t first, std::int64_t count,
             const Scratch& s) const {
    std::fill(scores, scores + count * b.width, 0.0F);
    add_product(scores, b.width, {k, p_.head_dim, 1}, s.q_t, b.width, count, b.width, p_.head_dim);
    if (first + count > b.all_keys) mask(scores, b.width, count, first, s.last_key.data());
  }

  void forward(int set) {
    const std::int64_t count = kv_heads() * lane_blocks();
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
    for (std::int64_t i = 0; i < count; ++i) {
      // The last blocks of a causal head see the most keys: they go first.
      forward_block(set, i % kv_heads(), lane_blocks() - 1 - i / kv_heads(),
                    scratch_[static_cast<std::size_t>(omp_get_thread_num())]);
    }
  }

  void forward_block(int set, std::int64_t kv_head, std::int64_t index, Scratch& s) const {
    const Block b = block_of(kv_head, index, s);
    transpose(s.q_t, at(Tensor::q, set, b.row * p_.head_dim), b, p_.head_dim, scale_);
    std::fill(s.o_t, s.o_t + p_.value_dim * b.width, 0.0F);
    std::fill(s.sum, s.sum + b.width, 0.0F);
    std::fill(s.top, s.top + b.width, std::numeric_limits<float>::lowest());
    for (std::int64_t first = 0; first < b.end_key; first += kKeys) {
      const std::int64_t count = std::min(kKeys, b.end_key - first);
      const std::int64_t row = kv_head * p_.keys + first;
      const float* k = rows_of(at(Tensor::k, set, row * p_.head_dim), s.k, count, p_.head_dim);
      score(s.scores, k, b, first, count, s);
      soften(s.scores, b.width, count, s.top, s.sum, s.factor);
      scale_lanes(s.o_t, b.width, p_.value_dim, s.factor);
      const float* v = rows_of(at(Tensor::v, set, row * p_.value_dim), s.v, count, p_.value_dim);
      add_product(s.o_t, b.width, {v, 1, p_.value_dim}, s.scores, b.width, p_.value_dim, b.width,
                  count);
    }
    auto* l = at<float>(Tensor::l, set, b.row);
    for (std::int64_t lane = 0; lane < b.count; ++lane) {
      l[lane] = s.top[lane] + std::log(s.sum[lane]);
      s.factor[lane] = 1 / s.sum[lane];
    }
    narrow_transposed(at(Tensor::o, set, b.row * p_.value_dim), s.o_t, b.width, s.factor, b.count,
                      p_.value_dim);
  }

  void backward(int set) {
#pragma omp parallel num_threads(threads_)
    {
      const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < tasks(); ++task) {
        float* sums = sums_of(chunks_ > 1 ? task : thread);
        backward_chunk(set, task / chunks_, task % chunks_, sums,
                       scratch_[static_cast<std::size_t>(thread)]);
        if (chunks_ == 1) write_sums(set, task, sums, 0, p_.keys);
      }
      if (chunks_ > 1) {  // the loop before ends with a barrier
        const std::int64_t pieces = ceil_div(p_.keys, kKeys);
#pragma omp for schedule(static)
        for (std::int64_t i = 0; i < kv_heads() * pieces; ++i) {
          const std::int64_t first = i % pieces * kKeys;
          add_chunks(set, i / pieces, first, std::min(kKeys, p_.keys - first));
        }
      }
    }
  }

  // dK [keys, d()], then dV [keys, dv()].
  [[nodiscard]] float* sums_of(std::int64_t slot) const {
    return sums_[static_cast<std::size_t>(slot)].template as<float>();
  }

  void write_sums(int set, std::int64_t kv_head, const float* sums, std::int64_t first,
                  std::int64_t count) const {
    const std::int64_t row = kv_head * p_.keys + first;
    narrow(at(Tensor::d_k, set, row * p_.head_dim), sums + first * d(), d(), count, p_.head_dim);
    narrow(at(Tensor::d_v, set, row * p_.value_dim), sums + p_.keys * d() + first * dv(), dv(),
           count, p_.value_dim);
  }

  void add_chunks(int set, std::int64_t kv_head, std::int64_t first, std::int64_t count) const {
    float* total = sums_of(kv_head * chunks_);
    const auto add = [](float* to, const float* from, std::int64_t floats) {
#pragma omp simd
      for (std::int64_t i = 0; i < floats; ++i) to[i] += from[i];
    };
    for (std::int64_t c = 1; c < chunks_; ++c) {
      const float* other = sums_of(kv_head * chunks_ + c);
      add(total + first * d(), other + first * d(), count * d());
      const std::int64_t values = p_.keys * d() + first * dv();
      add(total + values, other + values, count * dv());
    }
    write_sums(set, kv_head, total, first, count);
  }

  // Every chunks_-th block of lanes, so that short and long ones are shared alike.
  void backward_chunk(int set, std::int64_t kv_head, std::int64_t chunk, float* sums,
                      Scratch& s) const {
    std::fill(sums, sums + p_.keys * (d() + dv()), 0.0F);
    for (std::int64_t index = chunk; index < lane_blocks(); index += chunks_)
      backward_block(set, kv_head, index, sums, s);
  }

  void backward_block(int set, std::int64_t kv_head, std::int64_t index, float* sums,
                      Scratch& s) const {
    const Block b = block_of(kv_head, index, s);
    const T* q = at(Tensor::q, set, b.row * p_.head_dim);
    const T* d_o = at(Tensor::d_o, set, b.row * p_.value_dim);
    std::fill(s.q, s.q + kLanes * d(), 0.0F);  // what pads a row stays zero
    std::fill(s.d_o, s.d_o + kLanes * dv(), 0.0F);
    widen(s.q, d(), q, b.count, p_.head_dim, scale_);
    widen(s.d_o, dv(), d_o, b.count, p_.value_dim, 1);
    transpose(s.q_t, q, b, p_.head_dim, scale_);
    transpose(s.d_o_t, d_o, b, p_.value_dim, 1);
    lane_facts(set, b, s);
    std::fill(s.d_q_t, s.d_q_t + p_.head_dim * b.width, 0.0F);
    for (std::int64_t first = 0; first < b.end_key; first += kKeys) {
      const std::int64_t count = std::min(kKeys, b.end_key - first);
      const std::int64_t row = kv_head * p_.keys + first;
      const float* k = rows_of(at(Tensor::k, set, row * p_.head_dim), s.k, count, p_.head_dim);
      const float* v = rows_of(at(Tensor::v, set, row * p_.value_dim), s.v, count, p_.value_dim);
      score(s.scores, k, b, first, count, s);
      recall(s.scores, b.width, count, s.l);
      std::fill(s.gradient, s.gradient + count * b.width, 0.0F);
      add_product(s.gradient, b.width, {v, p_.value_dim, 1}, s.d_o_t, b.width, count, b.width,
                  p_.value_dim);
      add_product(sums + p_.keys * d() + first * dv(), dv(), {s.scores, b.width, 1}, s.d_o, dv(),
                  count, dv(), b.count);
      through_softmax(s.gradient, s.scores, b.width, count, s.delta);
      add_product(sums + first * d(), d(), {s.gradient, b.width, 1}, s.q, d(), count, d(), b.count);
      add_product(s.d_q_t, b.width, {k, 1, p_.head_dim}, s.gradient, b.width, p_.head_dim, b.width,
                  count);
    }
    std::fill(s.factor, s.factor + b.width, scale_);
    narrow_transposed(at(Tensor::d_q, set, b.row * p_.head_dim), s.d_q_t, b.width, s.factor,
                      b.count, p_.head_dim);
  }

  // L of each lane, and delta = dO . O, which is the sum over keys of P dP.
  void lane_facts(int set, const Block& b, Scratch& s) const {
    const auto* l = at<float>(Tensor::l, set, b.row);
    const T* o = at(Tensor::o, set, b.row * p_.value_dim);
    std::fill(s.l, s.l + b.width, 0.0F);
    std::fill(s.delta, s.delta + b.width, 0.0F);
    for (std::int64_t lane = 0; lane < b.count; ++lane) {
      s.l[lane] = l[lane];
      for (std::int64_t c = 0; c < p_.value_dim; ++c)
        s.delta[lane] += s.d_o[lane * dv() + c] * to_float(o[lane * p_.value_dim + c]);
    }
  }

  AttentionProblem p_;
  int sets_;
  float scale_;
  int threads_;
  std::int64_t chunks_;
  std::vector<Scratch> scratch_;
  std::array<std::optional<HostOperand>, kAttentionTensors> operands_;
  std::vector<HostBuffer> sums_;
};

std::string why_not(const AttentionProblem& problem) {
  if (problem.dtype == DType::bf16 || problem.dtype == DType::fp32) return "";
  return "OpenMP: attention is in bf16 and fp32, not " + std::string(to_string(problem.dtype));
}

std::unique_ptr<Operation> make(const AttentionProblem& problem, const OperandOptions& options) {
  require_valid(problem);
  if (std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  if (problem.dtype == DType::bf16)
    return std::make_unique<OpenMpAttention<Bf16>>(problem, options);
  return std::make_unique<OpenMpAttention<float>>(problem, options);
}

}  // namespace

AttentionBackend openmp_attention_backend() {
  return {"openmp", DeviceKind::cpu, why_not, make};
}

}  // namespace trainmeter
