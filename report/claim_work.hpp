// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a claim's figures ask of each GPU, and what was measured on it.
#pragma once

#include "report/claims.hpp"

#include <vector>

namespace trainmeter {

// The most FLOP/s per GPU that one of its printed figures asks for (report/claim_rates.hpp).
// `hours` as the claim prints them for this run. For RL without such a figure the most that the
// work can have been. Nothing where a part isn't printed.
std::optional<Implied> implied_by(const Run& run, std::optional<double> hours);
Implied implied_by(const KernelClaim& kernel, const std::string& id);

// The best GEMM of `dtype` in the book.
std::optional<Ceiling> ceiling_for(const RateBook& book, const std::string& dtype);

// The best figure of the same operation, dtype and ranks that was published for `system`, but for
// the claim's own and what is refuted; where there is none and the rate is of FLOPs, for another
// card of the same chip.
std::optional<Ceiling> ceiling_for(const KernelClaim& kernel, const System& system,
                                   const Library& library);
// The same of what the user measured.
std::optional<Ceiling> ceiling_for(const KernelClaim& kernel, const RateBook& book);

// The higher of two; what is there where one is missing.
std::optional<Ceiling> higher(const std::optional<Ceiling>& one,
                              const std::optional<Ceiling>& other);
// Whether the source's address is of `who` said something.
bool published_by(const std::string& who, const Source& source);

std::optional<double> hours_of(const Run& run);  // printed, or printed GPUs x wall

}  // namespace trainmeter
