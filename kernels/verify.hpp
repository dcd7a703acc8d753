// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Is C what it should be? On the host, for the GEMMs of the CPU and of the GPU.
#pragma once

#include "kernels/gemm.hpp"
#include "kernels/operation.hpp"

#include <cstdint>

namespace trainmeter {

// Compares C (m x n, row-major, in the output type of `problem.dtype`) with A B, where A and B are
// stored as `problem.layout` says, in problem.dtype (tf32: as fp32; with a scaling: their values,
// in fp32). Where C is added to, this is what one run adds. All elements in fp64 while
// groups m n k <= 1024^3; beyond that Freivalds' check in fp64 and 64 sampled rows in fp64, of each
// group. `error` is the largest error in units of what rounding can explain at that element,
// `bound` is 1 (int8: the largest difference, bound 0.5). verify.cpp says where the bound comes
// from.
Check verify_gemm(const GemmProblem& problem, const void* a, const void* b, const void* c,
                  std::uint64_t seed);

// Fills C with what no correct run leaves: NaN, or the smallest integer for int8's int32.
void poison_gemm_output(const GemmProblem& problem, void* c);

}  // namespace trainmeter
