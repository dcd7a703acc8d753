// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The sums that a claim's printed figures allow, redone.
#pragma once

#include "report/claims.hpp"

#include <vector>

namespace trainmeter {

// How far a printed TFLOP/s may lie from tokens/s x FLOPs per token: authors count embeddings,
// router and norms differently.
inline constexpr double kCountingTolerance = 0.05;

// Sums and products of hours and money, over the claim, its stages, and the sums that it names.
std::vector<Arithmetic> sums_of(const Claim& claim);

// Tokens/s x FLOPs per token against the printed TFLOP/s, in the convention nearest to it. Where
// all of them are more than kCountingTolerance off it doesn't agree; a third of one is a forward
// pass alone (2ND for 6ND), and the note says so. Nothing where a part isn't printed.
std::optional<Arithmetic> work_of(const Run& run);

// The peak that printed TFLOP/s and MFU imply (or that is printed) against the dense peak of the
// run's precision, and bf16's, which many divide by whatever they run in. Twice the precision's
// is the peak with 2:4 sparsity, which no dense model reaches; the note says so.
std::optional<Arithmetic> denominator_of(const Run& run);

// The three ways to count a token: 6 FLOPs for each weight used, with the causal half of attention,
// with all of it. Attention needs a sequence length; without one only the first.
std::vector<Convention> conventions(const Model& model, std::optional<std::int64_t> seq_len);

// Where the figures of a claim stand in what its source says (`original`): of a stage or of the
// whole. Empty where all of them belong together, or one is found nowhere; else one sentence.
std::string mixed_up(const Claim& claim, const Claim& original);

}  // namespace trainmeter
