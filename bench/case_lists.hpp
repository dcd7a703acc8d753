// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What each program measures, by default and by its flags; the most telling cases first.
#pragma once

#include "bench/case.hpp"
#include "bench/model_gemms.hpp"
#include "bench/options.hpp"
#include "bench/target.hpp"
#include "kernels/attention.hpp"
#include "kernels/collective.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_grouped.hpp"
#include "kernels/memory.hpp"
#include "kernels/transfer.hpp"
#include "workload/step.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// Each throws BadInput for what is wrong on every machine. Sizes that this one has no memory for are
// left out.
CaseList gemm_cases(const Options& options, const Target& target);
CaseList grouped_cases(const Options& options, const Target& target);        // with --groups
CaseList model_grouped_cases(const Options& options, const Target& target);  // with --models
CaseList published_grouped_cases(const Options& options, const Target& target);
CaseList memory_cases(const Options& options, const Target& target);
CaseList overlap_cases(const Options& options, const Target& target);
CaseList attention_cases(const Options& options, const Target& target);
CaseList layer_cases(const Options& options, const Target& target);

// Of memory_bench on a GPU: between the host and the first GPU, and between all `gpus`.
CaseList transfer_cases(const Options& options, const Target& target, int gpus);
// Each GPU to each other one, and each pair both ways at once. By 8 GPUs that is 84, of which
// --max_seconds may leave the last ones out: the first GPU's come first (its neighbour by number,
// the farthest, the others), then each other's to its neighbour.
std::vector<TransferProblem> peer_transfers(std::int64_t bytes, int gpus);

// One operation by one backend, as the lists above make them.
Case gemm_case(const GemmProblem& problem, const GemmBackend& backend);
Case grouped_case(const GroupedGemmProblem& problem, Skew skew, const GroupedGemmBackend& backend);
Case attention_case(const AttentionProblem& problem, const AttentionBackend& backend);

// By what flags and records call it; nt where it is neither nn nor tn.
GemmLayout layout_named(std::string_view layout);

// Tokens of a micro-batch for --models.
std::int64_t tokens_of_models(const Options& options, const Target& target);

// The grouped GEMMs of a GPU's local experts in a step of each of --models, each once.
struct ExpertGemm {
  GroupedGemmProblem problem;
  StepNotes notes;
};
std::vector<ExpertGemm> expert_gemms(const Options& options, std::int64_t tokens);

// --published: the GEMMs of the published figures whose ids begin so, each once, the most rows
// first; with groups, those of experts: m rows each. BadInput where no id begins so.
std::vector<GemmProblem> published_gemms(const Options& options);

// Whether a backend that is measured on request only was asked for, by --benchmark_filter or
// --versus.
bool asked_for(const Options& options, std::string_view backend);

// One memory kernel by one backend. `in_l2`: of arrays that stay in the cache, under a name of its
// own: l2_copy.
Case memory_case(const MemoryProblem& problem, const MemoryBackend& backend, bool in_l2 = false);

// The element types and layouts that the flags name, or all; their sizes are left open.
std::vector<GemmProblem> gemm_problems(const Options& options);

// `world` is null where the cases are only listed.
CaseList collective_cases(const Options& options, const Target& target, World* world);

}  // namespace trainmeter
