// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A training run as a run file describes it (results/published/runs/<id>.json): model, system,
// layout, and what the source claims.
#pragma once

#include "record/strict_json.hpp"
#include "workload/micro.hpp"
#include "workload/model.hpp"
#include "workload/system.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// The layout as the file gives it. What is absent was not printed: workload/layout.hpp lists the
// plausible ways to fill it in.
struct Parallel {
  std::int64_t tp = 1, pp = 1, cp = 1, ep = 1, etp = 1;
  std::optional<std::int64_t> vpp, dp, zero, microbatch_sequences;
  std::optional<bool> sp;
  std::optional<Schedule> schedule;
  std::optional<Recompute> recompute;
  std::optional<std::vector<std::string>> overlap;  // of tp dp pp ep
};

struct RlPhase {
  double steps = 0;
  std::optional<double> mean_output_tokens, max_output_tokens;
};

// An RL stage: every step asks `questions_per_step` questions `samples_per_question` times; outputs
// are generated `outputs_per_rollout` at a time and trained on in `minibatches` updates.
struct Rl {
  std::int64_t questions_per_step = 1, samples_per_question = 1;
  std::optional<std::int64_t> outputs_per_rollout, minibatches;
  bool reference_model = true;  // its logits too are computed for every output (GRPO's KL term)
  std::vector<RlPhase> phases;
};

struct Context {  // how a published figure was taken, where printed
  std::optional<double> power_cap_w;
  std::optional<std::string> software;
  std::optional<bool> compiled;
};

// What a step's software does beside the GEMMs of its weights, kernel by kernel, where that is
// known: so many times a step on each device, each moving `bytes` at least.
struct StepOperation {
  std::string operation, dtype, layout = "none";
  std::map<std::string, std::int64_t> shape;  // as in a record
  double bytes = 0, count = 1;
};

struct Published {  // what the source claims; seconds, hours, FLOP/s, fractions
  std::optional<double> gpu_hours, wall_hours, step_time_s, tokens_per_s_per_gpu, tokens_per_day,
      tflops_per_gpu, slot_time_s;
  std::optional<double> mfu, hfu, mfu_peak_flops, cost_usd;
  std::optional<AttentionFlops> mfu_attention;
};

struct Run;

// A part of a claim: a run (by id or inline), or just its numbers.
struct Stage {
  std::string title;
  std::shared_ptr<const Run> run;                               // null where only numbers are given
  std::optional<double> gpus, wall_hours, gpu_hours, cost_usd;  // of the run, where it is one
};

struct Run {
  KeyPlace place;  // of the object in a file
  std::string id, title;
  std::optional<Model> model;  // absent where only hours and money are claimed
  std::optional<System> system;
  std::int64_t gpus = 1;
  bool says_gpus = false;  // where the file does; else one
  std::optional<double> tokens;
  std::optional<std::int64_t> seq_len, global_batch_sequences;
  std::string family;
  std::string precision = "bf16";
  std::optional<std::string> attention_precision;  // else as `precision`, of fp8 bf16
  std::optional<Parallel> parallel;
  TrainingStack stack = TrainingStack::megatron;
  // Instead of what the engine assumes of attention, memory-bound kernels and optimizer.
  std::vector<StepOperation> operations;
  // What the host takes to launch a step, where it was measured; a step is no shorter.
  std::optional<double> host_s;
  double goodput = 1;
  std::optional<double> price_usd_per_gpu_hour;
  Published published;
  Context context;
  std::vector<Stage> stages;
  std::optional<Rl> rl;
  std::optional<Source> source;
  // Of precision, stack, parallel and goodput, those that the file leaves out: their defaults
  // decide much, and are said.
  std::vector<std::string> left_out;
};

struct Claim;

// Finds files by id below a folder of published data (results/published). Ids are file names
// without .json. An argument that names an existing file (or ends in .json) is read as a file.
// BadInput where there is none, with the nearest id.
class Library {
 public:
  explicit Library(std::filesystem::path published);
  [[nodiscard]] Model model(const std::string& id_or_file) const;
  [[nodiscard]] System system(const std::string& id_or_file) const;
  [[nodiscard]] Run run(const std::string& id_or_file) const;
  [[nodiscard]] Claim claim(const std::string& id_or_file) const;  // workload/claim.hpp
  // Read once: every prediction looks through all of them. Copies of a library share what was read;
  // callable from several threads.
  [[nodiscard]] const Micro& micro(const std::string& id_or_file) const;
  [[nodiscard]] std::vector<std::string> ids(
      const std::string& kind) const;  // models systems runs claims micro, sorted
  [[nodiscard]] std::filesystem::path file(const std::string& kind,
                                           const std::string& id_or_file) const;
  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  // For what a file names: there a name without a folder and without .json is an id alone, not a
  // file of the working directory, in which anything may lie.
  [[nodiscard]] Library for_names_in_files() const;

 private:
  struct Read;  // micro files so far
  std::filesystem::path root_;
  std::shared_ptr<Read> read_;
  bool plain_files_ = true;
};

// Of those that the file says. What isn't printed was hardly one: no hours follow from it.
std::optional<double> printed_gpus(const Run& run);

Run read_run(StrictObject object, const Library& library);

// results/published: $TRAINMETER_DATA, else beside the program (../share/trainmeter/published,
// ../published), else the source tree's.
std::filesystem::path published_data();

}  // namespace trainmeter
