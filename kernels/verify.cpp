// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where the bounds come from, with u the unit roundoff of the accumulation type, u_out of C's:
//
// - One element: |c - c_ref| <= (min(k, 4 sqrt(k)) + 1) u ||a_i|| ||b_j|| + u_out |c_ref|.
//   Higham, Accuracy and Stability of Numerical Algorithms (2002), 3.1: k u |a_i|.|b_j| whatever
//   the order of the sum. Higham and Mary (SIAM J. Sci. Comput. 41(5), 2019, A2815): with
//   independent rounding errors lambda sqrt(k) u instead of k u; lambda = 4. By Cauchy-Schwarz
//   |a_i|.|b_j| <= ||a_i|| ||b_j||, which costs no second product. Random data of mean zero keep
//   two orders of magnitude away from it.
// - Freivalds: the columns of a block, with random signs r, give sum_j r_j c_ij = (A (B r))_i. The
//   errors e_j are fixed before r is drawn, so by Hoeffding |sum r_j e_j| stays below
//   lambda sqrt(sum e_j^2); with each e_j at the bound above, of which rounding on average takes
//   less than half, lambda = 4 means more than eight standard deviations. One wrong element keeps
//   its full size in the sum; a wrong row escapes one block and vector with probability <= 1/2.
// - fp8: a tensor core cuts terms off after 13 bits of fraction (fp8_model.hpp), so u = 2^-13
//   within the 128 of k after which a kernel goes on in fp32. The errors of the ceil(k / 128) sums
//   are independent: with norms alike, as random data has, all of them together come to that of
//   one with the norms of the whole rows, divided by the root of their number.
// - int8 is exact in int32 and in fp64 here: the bound is half a unit.
#include "kernels/verify.hpp"

#include "kernels/matrix.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr double kAllElementsUpTo = 1024.0 * 1024.0 * 1024.0;  // groups m n k
constexpr double kLambda = 4;
constexpr std::int64_t kVectors = 3;
constexpr std::int64_t kSampledRows = 64;
// Blocks of columns are narrow, since the rounding of many columns hides one wrong element, but
// never so many that A (B r) takes more than this many multiply-adds for a vector.
constexpr std::int64_t kLeastBlock = 128;
constexpr double kMostWork = 0x1p31;

struct Rounding {
  double accumulation = 0;
  double output = 0;
  double smallest = 0;  // half the smallest step of the output type
  bool exact = false;
};

// Tensor cores cut their sums off instead of rounding: twice the unit roundoff of fp32.
Rounding rounding_of(DType type) {
  switch (type) {
    case DType::fp64:  // the reference rounds as C does: twice
      return {0x1p-52, 0x1p-53, 0x1p-1074};
    case DType::fp32:
      return {0x1p-24, 0x1p-24, 0x1p-149};
    case DType::tf32:
      return {0x1p-23, 0x1p-24, 0x1p-149};
    case DType::fp16:
      return {0x1p-23, 0x1p-11, 0x1p-25};
    case DType::bf16:
      return {0x1p-23, 0x1p-8, 0x1p-134};
    case DType::int8:
      return {.exact = true};
    case DType::fp8:
      return {0x1p-13, 0x1p-8, 0x1p-134};
    case DType::fp8_e5m2:
      break;
  }
  throw std::invalid_argument("no check for this element type");
}

Rounding rounding_of(const GemmProblem& p) {
  Rounding rounding = rounding_of(p.dtype);
  if (has_fp32_output(p)) rounding.output = 0x1p-24, rounding.smallest = 0x1p-149;
  return rounding;
}

// How far the roundings of a sum of k terms add up, in units of one.
double growth_of(const GemmProblem& p) {
  constexpr std::int64_t kPromotion = 128;
  const bool promoted = p.dtype == DType::fp8;
  const auto depth = static_cast<double>(promoted ? std::min(p.k, kPromotion) : p.k);
  const std::int64_t sums = promoted ? ceil_div(p.k, kPromotion) : 1;
  return (std::min(depth, kLambda * std::sqrt(depth)) + 1) / std::sqrt(static_cast<double>(sums));
}

DType stored_type(const GemmProblem& p) {
  return p.scaling == Scaling::none ? p.dtype : DType::fp32;
}

MatrixView view_of_a(const GemmProblem& p, const void* a) {
  const bool stored_k_by_m = p.layout == GemmLayout::tn;
  return {a, stored_type(p), p.m, p.k, stored_k_by_m ? 1 : p.k, stored_k_by_m ? p.m : 1};
}

MatrixView view_of_b(const GemmProblem& p, const void* b) {
  const bool stored_n_by_k = p.layout == GemmLayout::nt;
  return {b, stored_type(p), p.k, p.n, stored_n_by_k ? 1 : p.n, stored_n_by_k ? p.k : 1};
}

const void* after(const void* data, std::int64_t bytes) {
  return static_cast<const std::byte*>(data) + bytes;
}

// C as stored: an int32 for int8, bf16 for fp8, fp32 where it is added to or asked for, else the
// element type.
double element_of(const GemmProblem& p, const void* c, std::int64_t index) {
  if (has_fp32_output(p)) return static_cast<const float*>(c)[index];
  switch (p.dtype) {
    case DType::fp64:
      return static_cast<const double*>(c)[index];
    case DType::int8:
      return static_cast<const std::int32_t*>(c)[index];
    case DType::fp16:
      return float_from_fp16(static_cast<const std::uint16_t*>(c)[index]);
    case DType::bf16:
    case DType::fp8:
      return float_from_bf16(static_cast<const std::uint16_t*>(c)[index]);
    default:
      return static_cast<const float*>(c)[index];
  }
}

class Comparison {
 public:
  explicit Comparison(const GemmProblem& problem)
      : rounding_(rounding_of(problem)), growth_(growth_of(problem)) {}

  // How far rounding may move an element.
  [[nodiscard]] double allowed(double a_norm, double b_norm, double value) const {
    return growth_ * rounding_.accumulation * a_norm * b_norm + rounding_.output * std::abs(value) +
           rounding_.smallest;
  }

  // The error in units of what is allowed; of int8, in units of one. Not finite: infinite.
  [[nodiscard]] double scaled(double difference, double allowance) const {
    const double error = std::abs(difference) / (rounding_.exact ? 1.0 : allowance);
    return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
  }

  void take(double error) {
    const std::lock_guard lock(mutex_);
    worst_ = std::max(worst_, error);
  }

  [[nodiscard]] Check result(std::string how) const {
    const double bound = rounding_.exact ? 0.5 : 1.0;
    return {.ok = worst_ < bound, .error = worst_, .bound = bound, .how = std::move(how)};
  }

 private:
  Rounding rounding_;
  double growth_;
  double worst_ = 0;
  std::mutex mutex_;
};

// Compares the given rows of C, whole, with a reference in fp64; `a` holds just these rows.
void compare_rows(const GemmProblem& p, const MatrixView& a, const MatrixView& b, const void* c,
                  const std::vector<std::int64_t>& rows, Comparison& comparison) {
  reference_product(a, b, [&](const Tile& tile) {
    double worst = 0;
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      const std::int64_t row = rows.empty() ? tile.row + i : rows[tile.row + i];
      for (std::int64_t j = 0; j < tile.cols; ++j) {
        const double reference = tile.values[i * kTileCols + j];
        const double value = element_of(p, c, row * p.n + tile.col + j);
        const double allowance = comparison.allowed(tile.a_norm[i], tile.b_norm[j], reference);
        worst = std::max(worst, comparison.scaled(value - reference, allowance));
      }
    }
    comparison.take(worst);
  });
}

// Up to 64 rows: the first, the last, and random ones between, each once.
std::vector<std::int64_t> sampled_rows(std::int64_t m, std::mt19937_64& random) {
  std::set<std::int64_t> rows = {0, m - 1};
  std::uniform_int_distribution<std::int64_t> any(0, m - 1);
  const auto wanted = static_cast<std::size_t>(std::min(kSampledRows, m));
  while (rows.size() < wanted) rows.insert(any(random));
  return {rows.begin(), rows.end()};
}

std::int64_t compare_sampled_rows(const GemmProblem& p, const MatrixView& a, const MatrixView& b,
                                  const void* c, std::mt19937_64& random, Comparison& comparison) {
  const std::vector<std::int64_t> rows = sampled_rows(p.m, random);
  const auto count = static_cast<std::int64_t>(rows.size());
  std::vector<double> picked(static_cast<std::size_t>(count * p.k));
  for (std::int64_t i = 0; i < count; ++i) {
    load_block(a, rows[i], 1, 0, p.k, picked.data() + i * p.k, p.k);
  }
  compare_rows(p, {picked.data(), DType::fp64, count, p.k, p.k, 1}, b, c, rows, comparison);
  return count;
}

// Signs of the vectors, +-1, [vector][column].
std::vector<double> random_signs(std::int64_t n, std::mt19937_64& random) {
  std::vector<double> signs(static_cast<std::size_t>(kVectors * n));
  for (double& sign : signs) sign = (random() >> 63) != 0 ? 1.0 : -1.0;
  return signs;
}

void compare_checksums(const GemmProblem& p, const MatrixView& a, const MatrixView& b,
                       const void* c, std::mt19937_64& random, Comparison& comparison) {
  const double work =
      static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const std::int64_t width =
      std::max(kLeastBlock, static_cast<std::int64_t>(std::ceil(work / kMostWork)));
  const std::int64_t blocks = ceil_div(p.n, width);
  const std::int64_t sums = blocks * kVectors;
  const std::vector<double> signs = random_signs(p.n, random);

  // B r for each block and vector: k x sums, and the norms of B's columns on the way.
  std::vector<double> b_sums(static_cast<std::size_t>(p.k * sums));
  std::vector<double> b_norm(static_cast<std::size_t>(p.n));
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t end = std::min(p.n, (block + 1) * width);
    constexpr std::int64_t kDepth = 64;
    constexpr std::int64_t kCols = 128;
    std::vector<double> part(kDepth * kCols);
    for (std::int64_t j0 = block * width; j0 < end; j0 += kCols) {
      const std::int64_t cols = std::min(kCols, end - j0);
      for (std::int64_t k0 = 0; k0 < p.k; k0 += kDepth) {
        const std::int64_t depth = std::min(kDepth, p.k - k0);
        load_block(b, k0, depth, j0, cols, part.data(), kCols);
        for (std::int64_t q = 0; q < depth; ++q) {
          double* out = b_sums.data() + (k0 + q) * sums + block * kVectors;
          for (std::int64_t j = 0; j < cols; ++j) {
            const double x = part[q * kCols + j];
            b_norm[j0 + j] += x * x;
            for (std::int64_t v = 0; v < kVectors; ++v) out[v] += signs[v * p.n + j0 + j] * x;
          }
        }
      }
    }
    for (std::int64_t j = block * width; j < end; ++j) b_norm[j] = std::sqrt(b_norm[j]);
  }

  // A (B r) against C r, for each row, block and vector.
  const MatrixView sums_view = {b_sums.data(), DType::fp64, p.k, sums, sums, 1};
  reference_product(a, sums_view, [&](const Tile& tile) {
    double worst = 0;
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      for (std::int64_t s = 0; s < tile.cols;) {
        const std::int64_t block = (tile.col + s) / kVectors;
        const std::int64_t first = (tile.col + s) % kVectors;
        const std::int64_t last = std::min(kVectors, first + tile.cols - s);
        double c_sums[kVectors] = {};
        double variance = 0;
        for (std::int64_t j = block * width; j < std::min(p.n, (block + 1) * width); ++j) {
          const double value = element_of(p, c, (tile.row + i) * p.n + j);
          const double allowance = comparison.allowed(tile.a_norm[i], b_norm[j], value);
          variance += allowance * allowance;
          for (std::int64_t v = first; v < last; ++v) c_sums[v] += signs[v * p.n + j] * value;
        }
        const double allowance = kLambda * std::sqrt(variance);
        for (std::int64_t v = first; v < last; ++v, ++s) {
          const double difference = c_sums[v] - tile.values[i * kTileCols + s];
          worst = std::max(worst, comparison.scaled(difference, allowance));
        }
      }
    }
    comparison.take(worst);
  });
}

}  // namespace

Check verify_gemm(const GemmProblem& p, const void* a, const void* b, const void* c,
                  std::uint64_t seed) {
  if (p.m < 1 || p.n < 1 || p.k < 1) throw std::invalid_argument("m, n and k are at least 1");
  Comparison comparison(p);
  const double work = static_cast<double>(p.groups) * static_cast<double>(p.m) *
                      static_cast<double>(p.n) * static_cast<double>(p.k);
  const bool all = work <= kAllElementsUpTo;
  std::mt19937_64 random(seed);
  std::int64_t rows = 0;
  for (std::int64_t group = 0; group < p.groups; ++group) {
    const std::int64_t size = size_of(stored_type(p));
    const MatrixView a_view = view_of_a(p, after(a, group * p.m * p.k * size));
    const MatrixView b_view = view_of_b(p, after(b, group * p.k * p.n * size));
    const void* c_view = after(c, group * p.m * p.n * output_size_of(p));
    if (all) {
      compare_rows(p, a_view, b_view, c_view, {}, comparison);
    } else {
      compare_checksums(p, a_view, b_view, c_view, random, comparison);
      rows = compare_sampled_rows(p, a_view, b_view, c_view, random, comparison);
    }
  }
  if (all) return comparison.result("all elements, fp64");
  return comparison.result("Freivalds with " + std::to_string(kVectors) +
                           " vectors on every block of columns, and " + std::to_string(rows) +
                           " sampled rows" + (p.groups > 1 ? " of each group" : "") + ", fp64");
}

void poison_gemm_output(const GemmProblem& p, void* c) {
  const std::int64_t count = p.groups * p.m * p.n;
  switch (p.dtype) {
    case DType::fp64:
      std::fill_n(static_cast<double*>(c), count, std::numeric_limits<double>::quiet_NaN());
      return;
    case DType::fp32:
    case DType::tf32:
      std::fill_n(static_cast<float*>(c), count, std::numeric_limits<float>::quiet_NaN());
      return;
    case DType::fp16:
      std::fill_n(static_cast<std::uint16_t*>(c), count, std::uint16_t{0x7e00});
      return;
    case DType::bf16:
      std::fill_n(static_cast<std::uint16_t*>(c), count, std::uint16_t{0x7fc0});
      return;
    case DType::int8:
      std::fill_n(static_cast<std::int32_t*>(c), count, std::numeric_limits<std::int32_t>::min());
      return;
    case DType::fp8:
    case DType::fp8_e5m2:
      break;
  }
  throw std::invalid_argument("no check for this element type");
}

}  // namespace trainmeter
