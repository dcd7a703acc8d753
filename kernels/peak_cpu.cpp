// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Multiply-adds on registers. Accumulators hold small whole numbers, so the sum of a run is known
// exactly and a lost or doubled iteration shows; they are folded into a 64-bit total before fp32
// would round.
#include "kernels/machine.hpp"
#include "kernels/peak.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <omp.h>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace trainmeter {
namespace {

// Independent chains of each loop: latency x issue rate is at most 12 for these instructions, and
// 12 with their operands fit the 16 registers of AVX2.
constexpr int kChains = 12;
// Iterations between two folds: 2^16 x the largest term (below) stays exact in fp32 and int32.
constexpr std::int64_t kFold = std::int64_t{1} << 16;

// One instruction in a loop. The left operand of lane l is 1 + l % 4, the right one 1, so one
// iteration adds `products` x (1 + l % 4) to lane l of each chain: at most 16, 2^20 in a fold.
struct PeakLoop {
  std::string_view name;
  int lanes = 0;                                     // of the accumulator
  int products = 0;                                  // multiply-adds of one lane in one instruction
  double (*run)(std::int64_t iterations) = nullptr;  // the sum over all chains and lanes
};

#if defined(__x86_64__)

// The bodies differ in nothing but their types and one instruction; `target` forbids a template,
// so each spells its loop out. An accumulator array of constant length lives in registers once
// the loops over it are unrolled. Chain c starts at c, which the fold takes off again: were all
// alike, the compiler would compute one of them and no more.

__attribute__((target("avx512f"))) double fma_fp32_avx512(std::int64_t iterations) {
  const __m512 x = _mm512_set_ps(4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1);
  const __m512 y = _mm512_set1_ps(1);
  double total = 0;
  for (std::int64_t done = 0; done < iterations; done += kFold) {
    __m512 sums[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
    for (std::int64_t i = std::min(kFold, iterations - done); i > 0; --i) {
#pragma GCC unroll 12
      for (__m512& sum : sums) sum = _mm512_fmadd_ps(x, y, sum);
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      alignas(64) std::array<float, 16> lanes;
      _mm512_store_ps(lanes.data(), sums[c]);
      for (const float lane : lanes) total += static_cast<double>(lane) - c;
    }
  }
  return total;
}

__attribute__((target("avx512f"))) double fma_fp64_avx512(std::int64_t iterations) {
  const __m512d x = _mm512_set_pd(4, 3, 2, 1, 4, 3, 2, 1);
  const __m512d y = _mm512_set1_pd(1);
  double total = 0;
  for (std::int64_t done = 0; done < iterations; done += kFold) {
    __m512d sums[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_pd(static_cast<double>(c));
    for (std::int64_t i = std::min(kFold, iterations - done); i > 0; --i) {
#pragma GCC unroll 12
      for (__m512d& sum : sums) sum = _mm512_fmadd_pd(x, y, sum);
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      alignas(64) std::array<double, 8> lanes;
      _mm512_store_pd(lanes.data(), sums[c]);
      for (const double lane : lanes) total += lane - c;
    }
  }
  return total;
}

__attribute__((target("avx2,fma"))) double fma_fp32_avx2(std::int64_t iterations) {
  const __m256 x = _mm256_set_ps(4, 3, 2, 1, 4, 3, 2, 1);
  const __m256 y = _mm256_set1_ps(1);
  double total = 0;
  for (std::int64_t done = 0; done < iterations; done += kFold) {
    __m256 sums[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = _mm256_set1_ps(static_cast<float>(c));
    for (std::int64_t i = std::min(kFold, iterations - done); i > 0; --i) {
#pragma GCC unroll 12
      for (__m256& sum : sums) sum = _mm256_fmadd_ps(x, y, sum);
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      alignas(32) std::array<float, 8> lanes;
      _mm256_store_ps(lanes.data(), sums[c]);
      for (const float lane : lanes) total += static_cast<double>(lane) - c;
    }
  }
  return total;
}

__attribute__((target("avx2,fma"))) double fma_fp64_avx2(std::int64_t iterations) {
  const __m256d x = _mm256_set_pd(4, 3, 2, 1);
  const __m256d y = _mm256_set1_pd(1);
  double total = 0;
  for (std::int64_t done = 0; done < iterations; done += kFold) {
    __m256d sums[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = _mm256_set1_pd(static_cast<double>(c));
    for (std::int64_t i = std::min(kFold, iterations - done); i > 0; --i) {
#pragma GCC unroll 12
      for (__m256d& sum : sums) sum = _mm256_fmadd_pd(x, y, sum);
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      alignas(32) std::array<double, 4> lanes;
      _mm256_store_pd(lanes.data(), sums[c]);
      for (const double lane : lanes) total += lane - c;
    }
  }
  return total;
}

__attribute__((target("avx512f,avx512bf16"))) double dot_bf16(std::int64_t iterations) {
  const __m512 x32 = _mm512_set_ps(4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1);
  const __m512 y32 = _mm512_set1_ps(1);
  // Both halves of each pair hold the lane's value: bf16 is the upper half of an fp32.
  const __m512i pairs =
      _mm512_or_si512(_mm512_castps_si512(x32), _mm512_srli_epi32(_mm512_castps_si512(x32), 16));
  const __m512i ones =
      _mm512_or_si512(_mm512_castps_si512(y32), _mm512_srli_epi32(_mm512_castps_si512(y32), 16));
  const auto x = reinterpret_cast<__m512bh>(pairs);
  const auto y = reinterpret_cast<__m512bh>(ones);
  double total = 0;
  for (std::int64_t done = 0; done < iterations; done += kFold) {
    __m512 sums[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
    for (std::int64_t i = std::min(kFold, iterations - done); i > 0; --i) {
#pragma GCC unroll 12
      for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, x, y);
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      alignas(64) std::array<float, 16> lanes;
      _mm512_store_ps(lanes.data(), sums[c]);
      for (const float lane : lanes) total += static_cast<double>(lane) - c;
    }
  }
  return total;
}

__attribute__((target("avx512f,avx512vnni"))) double dot_int8(std::int64_t iterations) {
  const __m512i x = _mm512_set4_epi32(0x04040404, 0x03030303, 0x02020202, 0x01010101);
  const __m512i y = _mm512_set1_epi8(1);
  double total = 0;
  for (std::int64_t done = 0; done < iterations; done += kFold) {
    __m512i sums[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_epi32(c);
    for (std::int64_t i = std::min(kFold, iterations - done); i > 0; --i) {
#pragma GCC unroll 12
      for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, x, y);
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      alignas(64) std::array<std::int32_t, 16> lanes;
      _mm512_store_si512(lanes.data(), sums[c]);
      for (const std::int32_t lane : lanes) total += lane - c;
    }
  }
  return total;
}

PeakLoop loop_for(DType type) {
  const bool avx512 = __builtin_cpu_supports("avx512f");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  switch (type) {
    case DType::fp32:
      if (avx512) return {"AVX-512 FMA", 16, 1, fma_fp32_avx512};
      if (avx2) return {"AVX2 FMA", 8, 1, fma_fp32_avx2};
      return {};
    case DType::fp64:
      if (avx512) return {"AVX-512 FMA", 8, 1, fma_fp64_avx512};
      if (avx2) return {"AVX2 FMA", 4, 1, fma_fp64_avx2};
      return {};
    case DType::bf16:
      if (__builtin_cpu_supports("avx512bf16")) return {"vdpbf16ps", 16, 2, dot_bf16};
      return {};
    case DType::int8:
      if (__builtin_cpu_supports("avx512vnni")) return {"vpdpbusd", 16, 4, dot_int8};
      return {};
    default:
      return {};
  }
}

#else

PeakLoop loop_for(DType) {
  return {};
}

#endif

// Of one core: lanes l = 0, 1, ... hold 1 + l % 4, 2.5 on average.
double expected_sum(const PeakLoop& loop, std::int64_t iterations) {
  return 2.5 * loop.lanes * loop.products * kChains * static_cast<double>(iterations);
}

class RegisterPeak final : public Operation {
 public:
  RegisterPeak(const PeakProblem& problem, const PeakLoop& loop)
      : iterations_(problem.iterations),
        loop_(loop),
        sums_(static_cast<std::size_t>(cpu_info().cores)) {}

  void run(int /*set*/) override {
    const int threads = static_cast<int>(sums_.size());
#pragma omp parallel num_threads(threads)
    sums_[static_cast<std::size_t>(omp_get_thread_num())] = loop_.run(iterations_);
  }

  Check verify() override {
    std::fill(sums_.begin(), sums_.end(), std::numeric_limits<double>::quiet_NaN());
    run(0);
    double worst = 0;
    for (const double sum : sums_) {
      const double error = std::abs(sum - expected_sum(loop_, iterations_));
      worst =
          std::max(worst, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
    }
    return {worst < 0.5, worst, 0.5,
            "sum of whole numbers on every core, exact, " + std::string(loop_.name)};
  }

  [[nodiscard]] int sets() const override {
    return 1;
  }

 private:
  std::int64_t iterations_;
  PeakLoop loop_;
  std::vector<double> sums_;  // of each core, of the last run
};

}  // namespace

std::string why_no_peak(const PeakProblem& problem) {
  if (loop_for(problem.dtype).run != nullptr) return "";
  switch (problem.dtype) {
    case DType::fp32:
    case DType::fp64:
      return "registers: the loop needs AVX2 and FMA";
    case DType::bf16:
      return "registers: the loop needs AVX-512 bf16";
    case DType::int8:
      return "registers: the loop needs AVX-512 VNNI";
    default:
      return "registers: no loop for " + std::string(to_string(problem.dtype));
  }
}

std::unique_ptr<Operation> make_peak(const PeakProblem& problem) {
  // The upper end keeps the sums exact in fp64.
  if (problem.iterations < 1 || problem.iterations > (std::int64_t{1} << 40)) {
    throw std::invalid_argument("iterations is between 1 and 2^40, not " +
                                std::to_string(problem.iterations));
  }
  if (std::string reason = why_no_peak(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<RegisterPeak>(problem, loop_for(problem.dtype));
}

double peak_flops_of_one_run(const PeakProblem& problem) {
  const PeakLoop loop = loop_for(problem.dtype);
  return 2.0 * loop.lanes * loop.products * kChains * static_cast<double>(problem.iterations) *
         cpu_info().cores;
}

}  // namespace trainmeter
