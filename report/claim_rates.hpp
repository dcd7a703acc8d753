// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What each printed figure of a claim says of the speed of one GPU: the average over all hours, and
// the rate while it trains.
#pragma once

#include "report/claims.hpp"
#include "report/printed_figure.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Below this share of its steady rate a whole run is worth a sentence: more than half of its hours
// went elsewhere.
inline constexpr double kLowShareOfSteady = 0.5;

// Tokens/s per GPU by one figure.
struct TokenRate {
  std::string figure;  // tokens/s, step time, tokens a day, tokens and hours
  std::string said;    // "0.3 s a step: "; empty where it is tokens/s as printed
  Printed tokens_per_s;
};

// As printed, by step time, by tokens a day: those that the file allows. The last two need the
// number of GPUs.
std::vector<TokenRate> steady_token_rates(const Run& run);
double tokens_per_s_per_gpu(const Run& run);  // the first of them; 0: none

// FLOP/s by every printed figure. An MFU counts where no TFLOP/s is printed; with both, the
// denominator is checked (report/claim_arithmetic.hpp).
std::vector<ImpliedRate> implied_rates(const Run& run, std::optional<double> hours);

// The whole run's rate against each steady one, where it is the higher beyond rounding; against
// FLOP/s also beyond how authors count. Nothing where no figure is passed.
std::optional<Arithmetic> faster_than_steady(const Run& run, std::optional<double> hours);

// Two steady rates of one run (tokens/s, step time, tokens a day) that are apart beyond rounding and
// kCountingTolerance, or an HFU below the MFU, of which it is the MFU and what is computed again.
std::optional<Arithmetic> steady_rates_apart(const Run& run);

double bf16_peak(const Run& run);  // 0: unknown

}  // namespace trainmeter
