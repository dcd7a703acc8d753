// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The tensor-core kernels of the attention core, their own source, run on the CPU: every kind of
// shape against the reference in fp64.
#include "kernels/attention_mma_backward.hpp"
#include "kernels/attention_tensors.hpp"
#include "kernels/random.hpp"
#include "kernels/rounding.hpp"

#include "warp_model.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <ostream>
#include <string>
#include <vector>

namespace trainmeter::attention_mma {
namespace {

using mma::ModelPtx;
using mma::WarpModel;

// An array with what nobody may write on both sides.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t count, T value) : all_(count + 2 * kGuard, value) {
    std::fill_n(all_.begin(), kGuard, kMark);
    std::fill_n(all_.end() - kGuard, kGuard, kMark);
  }
  T* data() { return all_.data() + kGuard; }
  [[nodiscard]] bool whole() const {
    const auto mark = [](T x) { return x == kMark; };
    return std::all_of(all_.begin(), all_.begin() + kGuard, mark) &&
           std::all_of(all_.end() - kGuard, all_.end(), mark);
  }

 private:
  static constexpr int kGuard = 64;
  static constexpr T kMark = 12345;
  std::vector<T> all_;
};

constexpr std::uint16_t kNan = 0x7fff;

class Modelled {
 public:
  explicit Modelled(const AttentionProblem& p, int splits = 1) : p_(p), splits_(splits) {
    for (int i = 0; i < kAttentionTensors; ++i) {
      const auto tensor = static_cast<AttentionTensor>(i);
      const std::int64_t count = attention_elements(p, tensor);
      tensors_.emplace_back(tensor == AttentionTensor::l ? 0 : count, kNan);
      if (tensor == AttentionTensor::q || tensor == AttentionTensor::k ||
          tensor == AttentionTensor::v || tensor == AttentionTensor::d_o)
        fill_random(tensors_.back().data(), count, DType::bf16, operand_seed(3, 0, i));
    }
  }

  template <class W>
  Check forward_pass() {
    const Task t = task();
    WarpModel model(kThreads, W::kForwardBytes);
    for (int i = 0; i < t.heads * ceil_div(t.rows, kBlockRows) * t.splits; ++i)
      model.run([&](int thread) { forward<ModelPtx, W>(t, i, thread, 0); });
    if (splits_ > 1)
      for_each_row([&](std::int64_t row, int lane) { combine<ModelPtx>(t, row, lane); });
    return check(AttentionPass::forward);
  }

  template <class W>
  Check backward_pass() {
    const Task t = task();
    for_each_row([&](std::int64_t row, int lane) { row_delta<ModelPtx>(t, row, lane); });
    WarpModel model(kThreads, W::kBackwardBytes);
    for (int i = 0; i < t.heads * ceil_div(t.keys, kBlockKeys); ++i)
      model.run([&](int thread) { backward<ModelPtx, W>(t, i, thread, 0); });
    for (std::int64_t pair = 0; pair < rows() * p_.head_dim / 2; ++pair)
      finish_d_q<ModelPtx>(t, pair);
    return check(AttentionPass::backward);
  }

 private:
  [[nodiscard]] std::int64_t rows() const { return p_.batch * p_.heads * p_.queries; }

  template <class F>
  void for_each_row(F f) const {
    WarpModel model(32, 0);
    for (std::int64_t row = 0; row < rows(); ++row) model.run([&](int lane) { f(row, lane); });
  }

  Task task() {
    using enum AttentionTensor;
    const auto at = [&](AttentionTensor t) { return tensors_[static_cast<std::size_t>(t)].data(); };
    Task t = sizes_of(p_);
    t.q = at(q);
    t.k = at(k);
    t.v = at(v);
    t.d_o = at(d_o);
    t.o = at(o);
    t.d_q = at(d_q);
    t.d_k = at(d_k);
    t.d_v = at(d_v);
    t.l = l_.data();
    t.delta = delta_.data();
    t.d_q_sums = d_q_sums_.data();
    t.part_o = part_o_.data();
    t.part_l = part_l_.data();
    t.splits = splits_;
    t.keys_of_split = ceil_div(ceil_div(t.keys, splits_), kBlockKeys) * kBlockKeys;
    return t;
  }

  Check check(AttentionPass pass) {
    AttentionData data{};
    for (int i = 0; i < kAttentionTensors; ++i) {
      EXPECT_TRUE(tensors_[i].whole()) << "written outside tensor " << i;
      data[i] = tensors_[i].data();
    }
    for (const auto* array : {&l_, &delta_, &d_q_sums_, &part_o_, &part_l_})
      EXPECT_TRUE(array->whole()) << "written outside an array of fp32";
    data[static_cast<std::size_t>(AttentionTensor::l)] = l_.data();
    AttentionProblem p = p_;
    p.pass = pass;
    return verify_attention(p, data, Probabilities::rounded);
  }

  AttentionProblem p_;
  int splits_;
  std::vector<Guarded<std::uint16_t>> tensors_;
  Guarded<float> l_{rows(), NAN}, delta_{rows(), NAN}, d_q_sums_{rows() * p_.head_dim, 0};
  Guarded<float> part_o_{splits_ * rows() * p_.value_dim, NAN}, part_l_{splits_ * rows(), NAN};
};

struct Sizes {
  const char* what;
  AttentionProblem p;
};
void PrintTo(const Sizes& s, std::ostream* out) {
  *out << s.what;
}

AttentionProblem of(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads,
                    std::int64_t queries, std::int64_t keys, std::int64_t head_dim,
                    std::int64_t value_dim, bool causal = true) {
  return {.batch = batch,
          .heads = heads,
          .kv_heads = kv_heads,
          .queries = queries,
          .keys = keys,
          .head_dim = head_dim,
          .value_dim = value_dim,
          .causal = causal};
}

class MmaAttention : public testing::TestWithParam<Sizes> {};

template <class W>
void expect_right(const AttentionProblem& p) {
  Modelled modelled(p);
  const Check there = modelled.forward_pass<W>();
  EXPECT_TRUE(there.ok) << "forward: " << there.error;
  const Check back = modelled.backward_pass<W>();
  EXPECT_TRUE(back.ok) << "backward: " << back.error;
}

TEST_P(MmaAttention, AgreesWithTheReference) {
  const AttentionProblem& p = GetParam().p;
  if (p.head_dim <= 64 && p.value_dim <= 64) {
    expect_right<Widths<64, 64>>(p);
  } else if (p.head_dim <= 128) {
    expect_right<Widths<128, 128>>(p);
  } else {
    expect_right<Widths<192, 128>>(p);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, MmaAttention,
    testing::Values(Sizes{"one query, one key", of(1, 1, 1, 1, 1, 8, 8)},
                    Sizes{"full blocks", of(1, 1, 1, 128, 128, 64, 64)},
                    Sizes{"ragged", of(2, 1, 1, 101, 101, 80, 72)},
                    Sizes{"grouped queries", of(1, 4, 2, 70, 70, 32, 32)},
                    Sizes{"latent: 192 beside 128", of(1, 1, 1, 100, 100, 192, 128)},
                    Sizes{"width 128", of(1, 1, 1, 65, 65, 128, 128)},
                    Sizes{"the full square", of(1, 2, 1, 40, 90, 64, 64, false)},
                    Sizes{"the last 5 of 130 tokens", of(1, 4, 2, 5, 130, 48, 40)},
                    Sizes{"decode of grouped queries", of(2, 8, 2, 1, 150, 64, 64)}),
    [](const testing::TestParamInfo<Sizes>& shape) {
      std::string name;
      for (const char* c = shape.param.what; *c != '\0'; ++c)
        if (std::isalnum(static_cast<unsigned char>(*c)) != 0) name += *c;
      return name;
    });

TEST(MmaAttention, SplitsOfTheKeysAddUp) {
  Modelled decode(of(1, 8, 2, 1, 300, 64, 64), 3);
  const Check one = decode.forward_pass<Widths<64, 64>>();
  EXPECT_TRUE(one.ok) << one.error;
  // The last split holds no key of the first rows.
  Modelled several(of(1, 1, 1, 40, 140, 64, 64), 3);
  const Check more = several.forward_pass<Widths<64, 64>>();
  EXPECT_TRUE(more.ok) << more.error;
}

// Eight lanes' rows of ldmatrix, and eight threads' copies, lie in eight places of 128 bytes.
TEST(MmaAttention, NeitherLoadsNorCopiesMeetInABank) {
  const auto expect_apart = [](auto place_of_index) {
    for (int first = 0; first < 32; first += 8) {
      std::uint32_t places = 0;
      for (int i = first; i < first + 8; ++i) places |= 1U << place_of_index(i) / 16 % 8;
      EXPECT_EQ(places, 0xffU);
    }
  };
  for (const int width : {64, 128, 192}) {
    for (const Along along : {Along::other, Along::k}) {
      for (const Side side : {Side::b, Side::a}) {
        for (const int element : {0, 16, 48, width - 16}) {
          expect_apart([&](int lane) {
            return further(first_of_lane(width, side, along, lane), width, 16, element);
          });
        }
      }
    }
    expect_apart([&](int thread) {
      return place_of(width, {thread / 8, thread % 8}) * kChunkBytes;
    });
  }
}

// further() is place_of() of what it says.
TEST(MmaAttention, PlacesOfPiecesAreThoseOfTheirChunks) {
  for (const int width : {64, 128, 192}) {
    for (int lane = 0; lane < 32; ++lane) {
      for (const int line : {0, 16, 48}) {
        for (int element = 0; element < width; element += 16) {
          for (const Side side : {Side::b, Side::a}) {
            EXPECT_EQ(further(first_of_lane(width, side, Along::k, lane), width, line, element),
                      static_cast<std::uint32_t>(
                          kChunkBytes * place_of(width, mma::chunk_for_lane(side, Along::k, lane,
                                                                            line, element))));
            EXPECT_EQ(further(first_of_lane(width, side, Along::other, lane), width, line, element),
                      static_cast<std::uint32_t>(
                          kChunkBytes * place_of(width, mma::chunk_for_lane(side, Along::other,
                                                                            lane, element, line))));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace trainmeter::attention_mma
