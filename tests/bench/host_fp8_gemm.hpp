// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A GEMM in fp8 with scales of blocks as its definition reads, on the CPU: what stands for the
// GPU's where there is none. Its operands lie as a GPU's do, of one product or of several groups;
// they are zeros until somebody fills them.
#pragma once

#include "kernels/gemm_grouped_operands.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <vector>

namespace trainmeter {

class HostFp8Gemm final : public Operation {
 public:
  explicit HostFp8Gemm(const GroupedGemmProblem& problem)
      : problem_(problem), plan_(plan_of(problem)), c_(static_cast<std::size_t>(plan_.c)) {
    laid_.a.resize(static_cast<std::size_t>(plan_.a));
    laid_.b.resize(static_cast<std::size_t>(plan_.b));
    laid_.scales_a.resize(static_cast<std::size_t>(plan_.scales_a));
    laid_.scales_b.resize(static_cast<std::size_t>(plan_.scales_b));
  }

  void run(int /*set*/) override {
    for (std::size_t group = 0; group < plan_.groups.size(); ++group) product(group);
  }

  Check verify() override {
    const GroupedOperands random(problem_, 1, Values::normal);
    laid_ = random.laid;
    const bool adds = problem_.all.accumulate;
    std::ranges::fill(c_, adds ? std::byte{0} : std::byte{0xff});
    run(0);
    return random.verify(c_.data(), 1);
  }

  [[nodiscard]] int sets() const override { return 1; }

  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    const auto place = [](const auto& of) {
      return OperandPlace{const_cast<void*>(static_cast<const void*>(of.data())),
                          std::ssize(of) * static_cast<std::int64_t>(sizeof(of[0]))};
    };
    return gemm_views(problem_.all, DeviceKind::cpu, {place(laid_.a), place(laid_.b), place(c_)},
                      {place(laid_.scales_a), place(laid_.scales_b)});
  }

 private:
  // Sums of up to 128 products in fp32, each times its two scales, added up in fp32.
  void product(std::size_t group) {
    const GemmProblem p = problem_of_group(problem_, group);
    const GroupPlace& at = plan_.groups[group];
    const ScaleBlock of_b = scale_block_of_b(p);
    const std::vector<float> a = elements(laid_.a, at.a, p.m, p.k, at.row);
    const std::vector<float> b = elements(laid_.b, at.b, p.n, p.k, at.row);
    const float* const scales_a = laid_.scales_a.data() + at.scales_a;
    const float* const scales_b = laid_.scales_b.data() + at.scales_b;
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        float sum = 0;
        for (std::int64_t k = 0; k < p.k; k += kCastBlock) {
          const float* const row = a.data() + i * p.k;
          const std::int64_t end = std::min(p.k, k + kCastBlock);
          sum += std::inner_product(row + k, row + end, b.data() + j * p.k + k, 0.0F) *
                 scales_a[k / kCastBlock * at.scales_row + i] *
                 scales_b[scale_index(of_b, p.n, p.k, j, k)];
        }
        store(p, c_.data() + at.c, i * p.n + j, sum);
      }
    }
  }

  static std::vector<float> elements(const std::vector<std::byte>& of, std::int64_t at,
                                     std::int64_t rows, std::int64_t k, std::int64_t step) {
    std::vector<float> out;
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto first = of.begin() + at + row * step;
      std::transform(first, first + k, std::back_inserter(out), [](std::byte element) {
        return float_from_fp8(std::to_integer<std::uint8_t>(element));
      });
    }
    return out;
  }

  static void store(const GemmProblem& p, std::byte* c, std::int64_t at, float sum) {
    if (p.accumulate) {
      reinterpret_cast<float*>(c)[at] += sum;
    } else {
      reinterpret_cast<std::uint16_t*>(c)[at] = bf16_from_float(sum);
    }
  }

  GroupedGemmProblem problem_;
  GroupedPlan plan_;
  LaidOperands laid_;
  std::vector<std::byte> c_;
};

}  // namespace trainmeter
