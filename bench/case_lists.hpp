// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What each program measures, by default and by its flags; the most telling cases first.
#pragma once

#include "bench/case.hpp"
#include "bench/options.hpp"
#include "bench/target.hpp"
#include "kernels/collective.hpp"
#include "kernels/gemm.hpp"
#include "kernels/memory.hpp"

#include <vector>

namespace trainmeter {

// Each throws BadInput for what is wrong on every machine, and Unavailable for sizes asked for that
// this one has no memory for.
CaseList gemm_cases(const Options& options, const Target& target);
CaseList grouped_cases(const Options& options, const Target& target);  // with --groups
CaseList memory_cases(const Options& options, const Target& target);
CaseList overlap_cases(const Options& options, const Target& target);
CaseList attention_cases(const Options& options, const Target& target);

// Of memory_bench on a GPU: between the host and the first GPU, and between all `gpus`.
CaseList transfer_cases(const Options& options, const Target& target, int gpus);

// One GEMM by one backend, as gemm_cases() and --search make it.
Case gemm_case(const GemmProblem& problem, const GemmBackend& backend);

// One memory kernel by one backend. `in_l2`: of arrays that stay in the cache, under a name of its
// own: l2_copy.
Case memory_case(const MemoryProblem& problem, const MemoryBackend& backend, bool in_l2 = false);

// The element types and layouts that the flags name, or all; their sizes are left open.
std::vector<GemmProblem> gemm_problems(const Options& options);

// `world` is null where the cases are only listed.
CaseList collective_cases(const Options& options, const Target& target, World* world);

}  // namespace trainmeter
