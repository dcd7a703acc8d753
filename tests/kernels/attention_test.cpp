// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Attention on the CPU: against a reference in fp64 for every kind of shape, and a check that
// bites.
#include "kernels/attention.hpp"

#include "kernels/attention_tensors.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <limits>
#include <omp.h>
#include <ostream>
#include <string>
#include <vector>

using namespace trainmeter;

namespace {

const AttentionBackend& openmp() {
  return attention_backends().front();
}

class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~ThreadCount() { omp_set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

struct Sizes {
  const char* what;
  std::int64_t batch, heads, kv_heads, queries, keys, head_dim, value_dim;
  bool causal;
};

void PrintTo(const Sizes& s, std::ostream* out) {
  *out << s.what;
}

AttentionProblem problem_of(const Sizes& s, AttentionPass pass, DType dtype) {
  return {.pass = pass,
          .dtype = dtype,
          .batch = s.batch,
          .heads = s.heads,
          .kv_heads = s.kv_heads,
          .queries = s.queries,
          .keys = s.keys,
          .head_dim = s.head_dim,
          .value_dim = s.value_dim,
          .causal = s.causal};
}

class OpenMpAttention : public testing::TestWithParam<Sizes> {};

// Two tokens of width 1, worked out by hand: token 0 sees itself, token 1 both.
struct TwoTokens {
  static constexpr double q1 = 1, k0 = 0.5, k1 = -0.5, v0 = 2, v1 = 4, d_o1 = 3;
  static double p0() { return 1 / (1 + std::exp(q1 * (k1 - k0))); }
  static double o1() { return p0() * v0 + (1 - p0()) * v1; }
};

}  // namespace

TEST_P(OpenMpAttention, AgreesWithTheReference) {
  for (const int threads : {1, 3}) {  // three share the heads of keys and values
    const ThreadCount limit(threads);
    for (const DType dtype : {DType::fp32, DType::bf16}) {
      for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
        const Check check = openmp().make(problem_of(GetParam(), pass, dtype), {})->verify();
        EXPECT_TRUE(check.ok) << to_string(dtype) << ' ' << to_string(pass) << ", " << threads
                              << " threads: " << check.error;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, OpenMpAttention,
    testing::Values(Sizes{"one query, one key", 1, 1, 1, 1, 1, 1, 1, true},
                    Sizes{"one token of each sequence", 8, 12, 12, 1, 1, 64, 64, true},
                    Sizes{"one token, grouped", 2, 32, 4, 1, 1, 192, 128, true},
                    Sizes{"full blocks", 1, 2, 2, 256, 256, 64, 64, true},
                    Sizes{"ragged", 2, 3, 3, 131, 131, 80, 80, true},
                    Sizes{"grouped queries", 2, 8, 2, 70, 70, 32, 32, true},
                    Sizes{"one head of keys for all", 1, 5, 1, 33, 33, 17, 17, true},
                    Sizes{"latent: 192 beside 128", 1, 2, 2, 150, 150, 192, 128, true},
                    Sizes{"the full square", 1, 2, 1, 140, 140, 64, 64, false},
                    Sizes{"more queries than keys", 1, 1, 1, 200, 40, 16, 16, false},
                    Sizes{"decode", 3, 8, 2, 1, 300, 64, 64, true},
                    Sizes{"decode of one head", 1, 1, 1, 1, 129, 128, 128, true},
                    Sizes{"the last 5 of 260 tokens", 1, 4, 2, 5, 260, 48, 40, true}),
    [](const testing::TestParamInfo<Sizes>& shape) {
      std::string name;
      for (const char* c = shape.param.what; *c != '\0'; ++c)
        if (std::isalnum(static_cast<unsigned char>(*c)) != 0) name += *c;
      return name;
    });

TEST(VerifyAttention, KnowsTwoTokensWorkedOutByHand) {
  using T = TwoTokens;
  AttentionProblem p{.dtype = DType::fp32, .queries = 2, .keys = 2, .head_dim = 1, .value_dim = 1};
  std::vector<float> q = {7, T::q1}, k = {T::k0, T::k1}, v = {T::v0, T::v1}, d_o = {5, T::d_o1};
  std::vector<float> o = {T::v0, static_cast<float>(T::o1())};
  std::vector<float> l = {7 * T::k0, static_cast<float>(T::q1 * T::k0 - std::log(T::p0()))};
  AttentionData data = {q.data(), k.data(), v.data(), o.data(), l.data()};
  EXPECT_LT(verify_attention(p, data).error, 0.1);

  p.pass = AttentionPass::backward;
  const double p0 = T::p0();
  const double s0 = p0 * (T::d_o1 * T::v0 - T::d_o1 * T::o1());  // d score of key 0; key 1: -s0
  std::vector<float> d_q = {0, static_cast<float>(s0 * (T::k0 - T::k1))};
  std::vector<float> d_k = {static_cast<float>(s0 * T::q1), static_cast<float>(-s0 * T::q1)};
  std::vector<float> d_v = {static_cast<float>(5 + p0 * T::d_o1),
                            static_cast<float>((1 - p0) * T::d_o1)};
  data = {q.data(),   k.data(),   v.data(),   o.data(),  l.data(),
          d_o.data(), d_q.data(), d_k.data(), d_v.data()};
  EXPECT_LT(verify_attention(p, data).error, 0.1);
}

TEST(VerifyAttention, FindsOneWrongElementAndNaN) {
  const AttentionProblem p{
      .dtype = DType::bf16, .queries = 64, .keys = 64, .head_dim = 64, .value_dim = 64};
  std::vector<Bf16> q(64 * 64), k(64 * 64, bf16_from_float(1)), v(64 * 64), o(64 * 64);
  std::vector<float> l(64);
  for (std::size_t key = 0; key < 64; ++key) {  // equal scores: O is the mean of what was seen
    l[key] = std::log(static_cast<float>(key + 1));
    for (std::size_t c = 0; c < 64; ++c) v[key * 64 + c] = bf16_from_float(key % 2 == 0 ? 1 : 3);
    const float mean = 2 - (key % 2 == 0 ? 1.0F / static_cast<float>(key + 1) : 0);
    for (std::size_t c = 0; c < 64; ++c) o[key * 64 + c] = bf16_from_float(mean);
  }
  const AttentionData data = {q.data(), k.data(), v.data(), o.data(), l.data()};
  ASSERT_TRUE(verify_attention(p, data).ok);
  const Bf16 right = o[1000];
  o[1000] = bf16_from_float(float_from_bf16(right) * 1.1F);
  EXPECT_FALSE(verify_attention(p, data).ok);
  o[1000] = bf16_from_float(std::numeric_limits<float>::quiet_NaN());
  EXPECT_FALSE(verify_attention(p, data).ok);
  o[1000] = right;
  l[5] += 0.001F;
  EXPECT_FALSE(verify_attention(p, data).ok);
}

// With one key dQ and dK are 0, but for the rounding of dO V - dO O: a gradient that forgets one of
// the two, or the softmax's altogether, is found.
TEST(VerifyAttention, OfOneTokenTakesRoundingAndNothingElse) {
  constexpr std::size_t kWidth = 64;
  const AttentionProblem p{.pass = AttentionPass::backward,
                           .dtype = DType::fp32,
                           .queries = 1,
                           .keys = 1,
                           .head_dim = kWidth,
                           .value_dim = kWidth};
  std::vector<float> q(kWidth), k(kWidth), v(kWidth), d_o(kWidth), d_q(kWidth), d_k(kWidth);
  float score = 0, d_p = 0;
  for (std::size_t i = 0; i < kWidth; ++i) {
    const float wave = std::sin(static_cast<float>(7 * i));
    q[i] = wave + 0.1F, k[i] = 1.5F * wave, v[i] = wave - 0.2F, d_o[i] = wave + 0.3F;
    score += q[i] * k[i] / 8;
    d_p += d_o[i] * v[i];
  }
  const std::vector<float> l = {score};
  const AttentionData data = {q.data(),   k.data(),   v.data(),   v.data(),  l.data(),
                              d_o.data(), d_q.data(), d_k.data(), d_o.data()};
  const auto error_with = [&](float d_score) {
    for (std::size_t i = 0; i < kWidth; ++i) d_q[i] = d_score * k[i], d_k[i] = d_score * q[i];
    return verify_attention(p, data).error;
  };
  const float rounding = 4 * 0x1p-24F * d_p / 8;
  EXPECT_LT(error_with(rounding), 0.5);
  EXPECT_GT(error_with(d_p / 8), 1e4);          // delta forgotten
  EXPECT_GT(error_with(0.001F * d_p / 8), 10);  // both there, one a thousandth off
  EXPECT_FALSE(error_with(std::numeric_limits<float>::quiet_NaN()) < 1);
}

TEST(Attention, RefusesSizesThatMakeNoSense) {
  EXPECT_THROW(require_valid({.heads = 3, .kv_heads = 2}), std::invalid_argument);
  EXPECT_THROW(require_valid({.queries = 5, .keys = 4}), std::invalid_argument);
  EXPECT_NO_THROW(require_valid({.queries = 5, .keys = 4, .causal = false}));
  EXPECT_THROW(require_valid({.head_dim = 0}), std::invalid_argument);
  EXPECT_THROW(require_valid({.batch = 1 << 20, .heads = 1 << 20, .keys = 1 << 20}),
               std::invalid_argument);
  EXPECT_THROW(openmp().make({.dtype = DType::fp16}, {}), Unavailable);
}

TEST(Attention, CountsTheBytesOfItsTensors) {
  AttentionProblem p{.batch = 2, .heads = 4, .kv_heads = 2, .queries = 256, .keys = 512};
  EXPECT_EQ(attention_set_bytes(p),
            2 * 4 * 256 * (64 + 64) * 2 + 2 * 2 * 512 * (64 + 64) * 2 + 2 * 4 * 256 * 4);
  p.pass = AttentionPass::backward;
  EXPECT_EQ(attention_set_bytes(p),
            2 * (2 * 4 * 256 * (64 + 64) * 2 + 2 * 2 * 512 * (64 + 64) * 2) + 2 * 4 * 256 * 4);
}

TEST(Attention, SetsHoldTheSameData) {
  AttentionProblem p{.heads = 2, .kv_heads = 2, .queries = 64, .keys = 64};
  const auto operation = openmp().make(p, {.rotate_bytes = 3 * attention_set_bytes(p)});
  EXPECT_EQ(operation->sets(), 3);
  for (int set = 0; set < 3; ++set) operation->run(set);
  EXPECT_TRUE(operation->verify().ok);
}
