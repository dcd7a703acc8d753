// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A run's figures with their places in its file.
#include "report/used_inputs.hpp"

namespace trainmeter {

std::vector<UsedInput> run_inputs(const Run& run) {
  std::vector<UsedInput> out;
  const auto add = [&](const char* key, double value, const char* how) -> UsedInput& {
    UsedInput input;
    input.what = key;
    input.value = value;
    input.how = how;
    input.place = run.place.at(key);
    return out.emplace_back(std::move(input));
  };
  add("gpus", static_cast<double>(run.gpus), "of the run");
  add("goodput", run.goodput, "share of the wall time that trains");
  if (run.tokens) add("tokens", *run.tokens, "that the run trains on");
  if (run.seq_len) add("seq_len", static_cast<double>(*run.seq_len), "tokens of a sequence");
  if (run.global_batch_sequences) {
    add("global_batch_sequences", static_cast<double>(*run.global_batch_sequences),
        "sequences of a step");
  }
  if (run.host_s) {
    add("host_s", *run.host_s, "what the host takes to launch a step, measured").parts = {
        "waiting_for_host"};
  }
  return out;
}

UsedInput step_flops(const Run& run, double flops) {
  UsedInput out;
  out.what = "flops_per_step";
  out.value = flops;
  out.how = "model FLOPs of a step (docs/flops.md), of this model";
  out.kind = "derived";
  if (run.model) out.place = run.model->place;
  if (run.rl) {
    out.of = {"steps"};
  } else {
    out.of = {"seq_len", "global_batch_sequences"};
  }
  return out;
}

}  // namespace trainmeter
