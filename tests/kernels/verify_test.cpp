// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The check of a GEMM accepts right results and finds planted errors, below and above the size up
// to which every element is compared.
#include "kernels/verify.hpp"

#include "kernels/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace trainmeter {
namespace {

using Bytes = std::vector<char>;

template <class T>
T* as(Bytes& bytes) {
  return reinterpret_cast<T*>(bytes.data());
}

void store(Bytes& c, DType type, std::int64_t index, double value) {
  switch (type) {
    case DType::fp64:
      as<double>(c)[index] = value;
      return;
    case DType::fp16:
      as<std::uint16_t>(c)[index] = fp16_from_float(static_cast<float>(value));
      return;
    case DType::bf16:
      as<std::uint16_t>(c)[index] = bf16_from_float(static_cast<float>(value));
      return;
    case DType::int8:
      as<std::int32_t>(c)[index] = static_cast<std::int32_t>(value);
      return;
    default:
      as<float>(c)[index] = static_cast<float>(value);
  }
}

double load(const Bytes& c, DType type, std::int64_t index) {
  Bytes& bytes = const_cast<Bytes&>(c);
  switch (type) {
    case DType::fp64:
      return as<double>(bytes)[index];
    case DType::fp16:
      return float_from_fp16(as<std::uint16_t>(bytes)[index]);
    case DType::bf16:
      return float_from_bf16(as<std::uint16_t>(bytes)[index]);
    case DType::int8:
      return as<std::int32_t>(bytes)[index];
    default:
      return as<float>(bytes)[index];
  }
}

double input(const Bytes& a, DType type, std::int64_t index) {
  if (type == DType::int8) return static_cast<std::int8_t>(a[index]);
  return load(a, type, index);
}

// A problem with its right result, by the plainest of loops (in fp32 for fp32, as a library's is).
struct Solved {
  GemmProblem problem;
  Bytes a;
  Bytes b;
  Bytes c;

  explicit Solved(const GemmProblem& p)
      : problem(p),
        a(p.m * p.k * size_of(p.dtype)),
        b(p.k * p.n * size_of(p.dtype)),
        c(p.m * p.n * output_size_of(p.dtype)) {
    fill_random(a.data(), p.m * p.k, p.dtype, 11);
    fill_random(b.data(), p.k * p.n, p.dtype, 12);
    multiply(p.k);
  }

  void multiply(std::int64_t depth) {
    const GemmProblem& p = problem;
    std::vector<float> wide_a(p.m * p.k);  // m x k
    std::vector<float> wide_b(p.k * p.n);  // k x n
    for (std::int64_t i = 0; i < p.m * p.k; ++i) {
      const std::int64_t at = p.layout == GemmLayout::tn ? i % p.k * p.m + i / p.k : i;
      wide_a[i] = static_cast<float>(input(a, p.dtype, at));
    }
    for (std::int64_t i = 0; i < p.k * p.n; ++i) {
      const std::int64_t at = p.layout == GemmLayout::nt ? i % p.n * p.k + i / p.n : i;
      wide_b[i] = static_cast<float>(input(b, p.dtype, at));
    }
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < p.m; ++i) {
      std::vector<float> row(p.n);
      std::vector<double> exact_row(p.n);
      const bool exact = p.dtype == DType::fp64 || p.dtype == DType::int8;
      for (std::int64_t q = 0; q < depth; ++q) {
        if (exact) {
          const double x =
              input(a, p.dtype, p.layout == GemmLayout::tn ? q * p.m + i : i * p.k + q);
          for (std::int64_t j = 0; j < p.n; ++j) {
            exact_row[j] +=
                x * input(b, p.dtype, p.layout == GemmLayout::nt ? j * p.k + q : q * p.n + j);
          }
        } else {
          const float x = wide_a[i * p.k + q];
          const float* from = wide_b.data() + q * p.n;
#pragma omp simd
          for (std::int64_t j = 0; j < p.n; ++j) row[j] += x * from[j];
        }
      }
      for (std::int64_t j = 0; j < p.n; ++j) {
        store(c, p.dtype, i * p.n + j, exact ? exact_row[j] : static_cast<double>(row[j]));
      }
    }
  }

  [[nodiscard]] Check check() const {
    return verify_gemm(problem, a.data(), b.data(), c.data(), 99);
  }
};

class EveryType : public ::testing::TestWithParam<std::tuple<DType, GemmLayout>> {};

TEST_P(EveryType, RightIsAcceptedAndOneWrongElementIsFound) {
  const auto [type, layout] = GetParam();
  for (const std::int64_t k : {1, 2, 17, 300}) {
    Solved solved({.m = 67, .n = 133, .k = k, .dtype = type, .layout = layout});
    const Check right = solved.check();
    EXPECT_TRUE(right.ok) << k << ": " << right.error;
    EXPECT_EQ(right.how, "all elements, fp64");
    for (const std::int64_t index : {0, 67 * 133 - 1, 4567}) {
      const double good = load(solved.c, type, index);
      store(solved.c, type, index,
            type == DType::int8
                ? good + 1
                : good + 0.05 * std::sqrt(static_cast<double>(k)) + 0.05 * std::abs(good));
      EXPECT_FALSE(solved.check().ok) << k << " at " << index;
      store(solved.c, type, index, good);
    }
    EXPECT_TRUE(solved.check().ok);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Verify, EveryType,
    ::testing::Combine(::testing::Values(DType::fp64, DType::fp32, DType::tf32, DType::fp16,
                                         DType::bf16, DType::int8),
                       ::testing::Values(GemmLayout::nn, GemmLayout::nt, GemmLayout::tn)),
    [](const auto& p) {
      return std::string(to_string(std::get<0>(p.param))) + "_" +
             std::string(to_string(std::get<1>(p.param)));
    });

// Small: every element is compared. Large (m n k > 1024^3): checksums and sampled rows.
class Planted : public ::testing::TestWithParam<std::tuple<DType, bool>> {
 protected:
  // Square, so that the transposed result has the same shape.
  static Solved& solved(DType type, bool large) {
    static std::map<std::tuple<DType, bool>, Solved> known;
    const auto key = std::make_tuple(type, large);
    auto found = known.find(key);
    if (found == known.end()) {
      const std::int64_t side = large ? 1100 : 200;
      found = known
                  .emplace(key, Solved({.m = side,
                                        .n = side,
                                        .k = large ? 1000 : 200,
                                        .dtype = type,
                                        .layout = GemmLayout::nt}))
                  .first;
    }
    return found->second;
  }

  void SetUp() override {
    const auto [type, large] = GetParam();
    solved_ = &solved(type, large);
    good_ = solved_->c;
  }
  void TearDown() override { solved_->c = good_; }

  [[nodiscard]] std::int64_t side() const { return solved_->problem.m; }

  Solved* solved_ = nullptr;
  Bytes good_;
};

TEST_P(Planted, RightIsAccepted) {
  const auto [type, large] = GetParam();
  const Check check = solved_->check();
  EXPECT_TRUE(check.ok) << check.error;
  EXPECT_EQ(check.how.find("Freivalds") != std::string::npos, large) << check.how;
  if (type != DType::int8 && type != DType::fp64) {
    EXPECT_GT(check.error, 0);
  }
}

TEST_P(Planted, OneWrongElementIsFoundWhereverItIs) {
  const DType type = std::get<0>(GetParam());
  // One standard deviation of the result; int8's operands are 32 times as large.
  const double typical = std::sqrt(static_cast<double>(solved_->problem.k));
  for (const std::int64_t index : {std::int64_t{0}, side() * side() - 1, side() * 77 + 131,
                                   side() * 150 + 12, side() * (side() - 2) + 5}) {
    const double good = load(good_, type, index);
    store(solved_->c, type, index, type == DType::int8 ? good + 1 : good + typical);
    EXPECT_FALSE(solved_->check().ok) << index;
    store(solved_->c, type, index, good);
  }
}

TEST_P(Planted, TheTransposedResultIsFound) {
  const DType type = std::get<0>(GetParam());
  for (std::int64_t i = 0; i < side(); ++i) {
    for (std::int64_t j = 0; j < side(); ++j) {
      store(solved_->c, type, i * side() + j, load(good_, type, j * side() + i));
    }
  }
  EXPECT_FALSE(solved_->check().ok);
}

TEST_P(Planted, TheWrongLayoutIsFound) {
  GemmProblem other = solved_->problem;
  // k is not n in the large case, but both readings stay within B.
  other.layout = GemmLayout::nn;
  EXPECT_FALSE(verify_gemm(other, solved_->a.data(), solved_->b.data(), solved_->c.data(), 1).ok);
}

TEST_P(Planted, ADroppedLastSliceOfKIsFound) {
  solved_->multiply(solved_->problem.k - 1);
  EXPECT_FALSE(solved_->check().ok);
}

TEST_P(Planted, NanAndInfinityAreFound) {
  const DType type = std::get<0>(GetParam());
  if (type == DType::int8) return;  // has neither
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    store(solved_->c, type, side() * 123 + 45, bad);
    const Check check = solved_->check();
    EXPECT_FALSE(check.ok);
    EXPECT_FALSE(std::isfinite(check.error));
  }
}

TEST_P(Planted, AnUnwrittenRowIsFound) {
  const std::int64_t row_bytes = side() * output_size_of(solved_->problem.dtype);
  poison_gemm_output(solved_->problem, solved_->c.data());
  const Bytes poison(solved_->c.begin(), solved_->c.begin() + row_bytes);
  for (const std::int64_t row : {std::int64_t{0}, std::int64_t{101}, side() - 1}) {
    solved_->c = good_;
    std::memcpy(solved_->c.data() + row * row_bytes, poison.data(), poison.size());
    EXPECT_FALSE(solved_->check().ok) << row;
  }
}

TEST_P(Planted, TwoSwappedRowsAreFound) {
  const std::int64_t row_bytes = side() * output_size_of(solved_->problem.dtype);
  std::memcpy(solved_->c.data() + 33 * row_bytes, good_.data() + 34 * row_bytes, row_bytes);
  std::memcpy(solved_->c.data() + 34 * row_bytes, good_.data() + 33 * row_bytes, row_bytes);
  EXPECT_FALSE(solved_->check().ok);
}

INSTANTIATE_TEST_SUITE_P(Verify, Planted,
                         ::testing::Combine(::testing::Values(DType::fp32, DType::bf16, DType::fp16,
                                                              DType::int8),
                                            ::testing::Bool()),
                         [](const auto& p) {
                           return std::string(to_string(std::get<0>(p.param))) +
                                  (std::get<1>(p.param) ? "_large" : "_small");
                         });

TEST(Verify, OneWrongElementIsFoundInAnyRowAndColumnOfALargeResult) {
  Solved solved({.m = 1100, .n = 1300, .k = 800, .dtype = DType::fp32, .layout = GemmLayout::tn});
  ASSERT_TRUE(solved.check().ok);
  for (std::int64_t step = 0; step < 12; ++step) {
    const std::int64_t index = (step * 91 + 7) * 1300 + (step * 113 + 3);
    const float good = as<float>(solved.c)[index];
    as<float>(solved.c)[index] += 0.5F;  // of a standard deviation of 28
    EXPECT_FALSE(solved.check().ok) << step;
    as<float>(solved.c)[index] = good;
  }
}

TEST(Verify, LongSumsStayWithinTheBound) {
  for (const DType type : {DType::fp32, DType::bf16}) {
    Solved solved({.m = 8, .n = 16, .k = 200'000, .dtype = type, .layout = GemmLayout::nt});
    const Check check = solved.check();
    EXPECT_TRUE(check.ok) << check.error;
    const double good = load(solved.c, type, 100);
    store(solved.c, type, 100, good + 500);  // of a standard deviation of 447
    EXPECT_FALSE(solved.check().ok);
  }
}

TEST(Verify, RefusesWhatItCannotCheck) {
  const double x = 0;
  EXPECT_THROW(verify_gemm({.m = 0, .n = 1, .k = 1}, &x, &x, &x, 1), std::invalid_argument);
  EXPECT_THROW(verify_gemm({.m = 1, .n = 1, .k = 1, .dtype = DType::fp8}, &x, &x, &x, 1),
               std::invalid_argument);
}

// Two products one after the other, as a library is given them.
TEST(VerifyGemm, LooksAtEveryGroup) {
  for (const std::int64_t k : {64, 9000}) {  // all elements; sums and samples
    const Solved one({.m = 260, .n = 250, .k = k, .dtype = DType::fp32});
    GemmProblem two = one.problem;
    two.groups = 2;
    const auto twice = [](const Bytes& bytes) {
      Bytes out = bytes;
      out.insert(out.end(), bytes.begin(), bytes.end());
      return out;
    };
    const Bytes a = twice(one.a);
    const Bytes b = twice(one.b);
    Bytes c = twice(one.c);
    EXPECT_TRUE(verify_gemm(two, a.data(), b.data(), c.data(), 1).ok);
    as<float>(c)[one.problem.m * one.problem.n + 77] += 10 * std::sqrt(static_cast<float>(k));
    EXPECT_FALSE(verify_gemm(two, a.data(), b.data(), c.data(), 1).ok) << k;
    poison_gemm_output(two, c.data());
    EXPECT_TRUE(std::isnan(as<float>(c)[2 * one.problem.m * one.problem.n - 1]));
  }
}

}  // namespace
}  // namespace trainmeter
