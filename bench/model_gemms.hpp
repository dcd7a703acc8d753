// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GEMMs of models' steps as one GPU has them: --models with --tokens or --decode, --tp, --ep.
#pragma once

#include "bench/case.hpp"
#include "bench/options.hpp"
#include "workload/step.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

struct ModelGemm {
  GemmWork work;
  std::vector<std::int64_t> sizes;  // of routed experts: tokens of each local one. Else empty
  std::string model;
  std::string pass;  // fprop, dgrad, wgrad; of a decode step of 8 sequences decode:8
  std::string step;  // "deepseek-v3 tokens:8192 tp:1 ep:64", "deepseek-v3 decode tp:1 ep:64"
};

// Of each of --models in turn, of a micro-batch of `tokens` or of the steps of --decode. BadInput
// naming the model where --tp or --ep don't divide what they should.
std::vector<ModelGemm> model_gemms(const Options& options, std::int64_t tokens);

// Which GEMMs of which steps a case is.
struct StepNotes {
  std::string in_step;  // "deepseek-v3 q_b fprop x 61; ...": how often a micro-batch over all
                        // layers, or a decode step, has it
  std::string step;     // their steps, each once

  void add(const ModelGemm& gemm, double count);
  void add(const StepNotes& other);
  void write(Case& made) const;  // and behind those that it has
};

// "2048 each"; "1 for 64, none for 192".
std::string tokens_of_experts(const std::vector<std::int64_t>& sizes);

// "deepseek-v3 q_b fprop x 61".
std::string in_step_note(const std::string& model, const std::string& name, const std::string& pass,
                         double count);

}  // namespace trainmeter
