// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// RL stages that several tests predict.
#pragma once

#include "predict_fixtures.hpp"

namespace trainmeter {

using RunFile = trainmeter::Run;  // testing has a Run too

// On the run's own system, from published rates.
inline Prediction rl_predicted(const RunFile& run,
                               const PredictOptions& options = {.samples = 400}) {
  return predict(run, *run.system, published_book(*run.system), knowledge(), options);
}

inline RunFile r1_zero() {
  return library().run("deepseek-r1-zero");
}

// DualPipe is printed (arXiv 2501.12948v2, B.1); fp8 is DeepSeek-V3's precision.
inline RunFile r1_zero_as_v3() {
  RunFile run = r1_zero();
  run.stack = TrainingStack::deepseek;
  run.precision = "fp8";
  run.family = "deepseek h800 fp8";
  return run;
}

inline RunFile grpo(const std::string& model, System system, std::int64_t gpus,
                    const std::string& precision, double mean_output_tokens = 4096) {
  RunFile run;
  run.id = "grpo";
  run.model = library().model(model);
  run.system = std::move(system);
  run.gpus = gpus;
  run.precision = precision;
  run.family = "mine";
  run.rl = Rl{.questions_per_step = 64, .samples_per_question = 16};
  run.rl->phases = {
      {.steps = 1000, .mean_output_tokens = mean_output_tokens, .max_output_tokens = 16384}};
  return run;
}

}  // namespace trainmeter
