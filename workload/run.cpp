// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of run files.
#include "workload/run.hpp"

#include "record/error.hpp"
#include "record/names.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

const std::vector<std::string> kPrecisions = {"bf16", "fp16", "fp32", "fp8"};  // of GEMMs

std::int64_t at_least_one(StrictObject& object, const std::string& key, std::int64_t otherwise) {
  return object.has(key) ? bounded(object, key, 1, kMaxRunSize) : otherwise;
}

std::optional<double> fraction(StrictObject& object, const std::string& key) {
  if (!object.has(key)) return std::nullopt;
  const double value = object.positive(key);
  if (!(value <= 1)) object.refuse(key, "a fraction above 0 and at most 1");
  return value;
}

std::optional<std::int64_t> some(StrictObject& object, const std::string& key) {
  if (!object.has(key)) return std::nullopt;
  return bounded(object, key, 1, kMaxRunSize);
}

Parallel read_parallel(StrictObject object) {
  Parallel p;
  p.tp = at_least_one(object, "tp", 1);
  p.pp = at_least_one(object, "pp", 1);
  p.cp = at_least_one(object, "cp", 1);
  p.ep = at_least_one(object, "ep", 1);
  p.etp = at_least_one(object, "etp", 1);
  p.vpp = some(object, "vpp");
  p.dp = some(object, "dp");
  p.microbatch_sequences = some(object, "microbatch_sequences");
  p.sp = object.optional(&StrictObject::boolean, "sp");
  if (object.has("zero")) {
    p.zero = object.integer("zero");
    if (*p.zero < 0 || *p.zero > 3) object.refuse("zero", "0, 1, 2 or 3");
  }
  if (object.has("schedule")) p.schedule = read_word<Schedule>(object, "schedule");
  if (object.has("recompute")) p.recompute = read_word<Recompute>(object, "recompute");
  if (object.has("overlap")) {
    p.overlap = object.texts("overlap");
    for (const std::string& what : *p.overlap) {
      if (what != "tp" && what != "dp" && what != "pp" && what != "ep")
        object.refuse("overlap", "a list of tp, dp, pp, ep");
    }
  }
  object.finish();
  return p;
}

// The layout must fit the GPUs: a `dp` that says otherwise would be passed over in silence.
void check_layout(StrictObject& run, const Parallel& p, std::int64_t gpus) {
  const double one_model =
      static_cast<double>(p.tp) * static_cast<double>(p.pp) * static_cast<double>(p.cp);
  const auto all = static_cast<double>(gpus);
  if (!(one_model <= all)) {
    throw BadInput(fmt::format(
        "{}: {}: expected tp x pp x cp of at most the run's {} GPUs, found {} x {} x {} = {:.0f}",
        run.where(), run.path_of("parallel"), gpus, p.tp, p.pp, p.cp, one_model));
  }
  if (p.dp && one_model * static_cast<double>(*p.dp) != all) {
    run.object("parallel").refuse("dp", fmt::format("tp x pp x cp x dp = the run's {} GPUs", gpus));
  }
}

Published read_claimed(StrictObject object) {
  Published p;
  p.gpu_hours = at_most_if_there(object, "gpu_hours", kMaxGpuHours, "GPU-hours");
  p.wall_hours = at_most_if_there(object, "wall_hours", kMaxWallHours, "hours");
  p.step_time_s = at_most_if_there(object, "step_time_s", kMaxWallHours * 3600, "seconds");
  p.tokens_per_s_per_gpu = within_if_there(object, "tokens_per_s_per_gpu", kTokensPerS);
  p.tokens_per_day = within_if_there(object, "tokens_per_day", kTokensPerDay);
  p.tflops_per_gpu = within_if_there(object, "tflops_per_gpu", kTflopsPerGpu);
  p.slot_time_s = at_most_if_there(object, "slot_time_s", kMaxSlotS, "seconds");
  p.mfu = fraction(object, "mfu");
  p.hfu = fraction(object, "hfu");
  p.mfu_peak_flops = within_if_there(object, "mfu_peak_flops", kFlopsPerS);
  if (object.has("mfu_attention"))
    p.mfu_attention = read_word<AttentionFlops>(object, "mfu_attention");
  p.cost_usd = at_most_if_there(object, "cost_usd", kMaxUsd, "USD");
  object.finish();
  return p;
}

Context read_context(StrictObject object) {
  Context c;
  c.power_cap_w = within_if_there(object, "power_cap_w", kPowerW);
  c.software = object.optional(&StrictObject::text, "software");
  c.compiled = object.optional(&StrictObject::boolean, "compiled");
  object.finish();
  return c;
}

Rl read_rl(StrictObject object) {
  Rl rl;
  rl.questions_per_step = at_least_one(object, "questions_per_step", 1);
  rl.samples_per_question = at_least_one(object, "samples_per_question", 1);
  rl.outputs_per_rollout = some(object, "outputs_per_rollout");
  rl.minibatches = some(object, "minibatches");
  if (object.has("reference_model")) rl.reference_model = object.boolean("reference_model");
  if (object.has("phases")) {
    for (StrictObject& phase : object.objects("phases")) {
      RlPhase p{.steps = static_cast<double>(bounded(phase, "steps", 1, kMaxRunSize))};
      p.mean_output_tokens =
          at_most_if_there(phase, "mean_output_tokens", kMaxOutputTokens, "tokens");
      p.max_output_tokens =
          at_most_if_there(phase, "max_output_tokens", kMaxOutputTokens, "tokens");
      if (p.mean_output_tokens && p.max_output_tokens &&
          !(*p.mean_output_tokens <= *p.max_output_tokens)) {
        phase.refuse("mean_output_tokens", "at most `max_output_tokens`");
      }
      phase.finish();
      rl.phases.push_back(p);
    }
  }
  object.finish();
  return rl;
}

std::vector<StepOperation> read_operations(StrictObject& run) {
  std::vector<StepOperation> out;
  for (StrictObject& object : run.objects("operations")) {
    StepOperation one;
    one.operation = object.text("operation");
    one.dtype = object.one_of("dtype", dtype_names());
    if (object.has("layout")) one.layout = object.one_of("layout", {"none", "nn", "nt", "tn"});
    StrictObject shape = object.object("shape");
    for (const auto& item : object.raw("shape").items()) {
      one.shape[item.key()] = bounded(shape, item.key(), 1, kMaxOperationSize);
    }
    if (one.operation == "gemm") {
      (void)object.one_of("dtype", kPrecisions);
      for (const char* key : {"m", "n", "k"}) {
        if (!one.shape.contains(key)) shape.refuse(key, "a size of this GEMM");
      }
    }
    one.bytes = at_most(object, "bytes", kMaxBytes, "bytes");
    one.count = at_most(object, "count", static_cast<double>(kMaxRunSize), "times a step");
    object.finish();
    out.push_back(std::move(one));
  }
  return out;
}

// Counts of a whole step on one device: nothing says how they lie on the ranks of one replica.
void check_operations(StrictObject& run, const std::optional<Parallel>& p) {
  if (p && (p->tp > 1 || p->pp > 1 || p->cp > 1)) {
    run.refuse("operations", "a run whose parallel has tp, pp and cp of 1");
  }
}

Stage stage_of(Run run) {
  Stage stage{.title = run.title,
              .run = nullptr,
              .gpus = printed_gpus(run),
              .wall_hours = run.published.wall_hours,
              .gpu_hours = run.published.gpu_hours,
              .cost_usd = run.published.cost_usd};
  stage.run = std::make_shared<const Run>(std::move(run));
  return stage;
}

bool only_numbers(const nlohmann::json& stage) {
  if (!stage.is_object()) return true;
  // An inline run has an id; anything else is a list of numbers, and its unknown keys are refused
  // as such.
  return !stage.contains("id");
}

// What stands at `key`: inline, or in a file that it names.
template <class Read, class Find>
auto read_or_find(StrictObject& object, const std::string& key, Read read, Find find) {
  if (!object.raw(key).is_string()) return read(object.object(key));
  const std::string file = named(object, key, object.text(key));
  return referred(object.where() + ": " + key, [&] { return find(file); });
}

// A run that names itself among its stages would never end.
thread_local int depth = 0, stages = 0;

std::vector<Stage> read_stages(StrictObject& run, const Library& library) {
  std::vector<Stage> out;
  const auto& list = run.raw("stages");
  if (!list.is_array() || list.empty())
    run.refuse("stages",
               "a list of run ids, runs, or {title, gpus, wall_hours, gpu_hours, cost_usd}");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string item = fmt::format("stages[{}]", i);
    const std::string path = run.path_of(item);
    if (++stages > kMostStages)
      run.refuse("stages", fmt::format("at most {} of them, those of stages too", kMostStages));
    if (list[i].is_string()) {
      const std::string file = named(run, item, list[i].get<std::string>());
      out.push_back(
          stage_of(referred(run.where() + ": " + path, [&] { return library.run(file); })));
      continue;
    }
    StrictObject object(list[i], run.where(), path);
    if (!only_numbers(list[i])) {
      out.push_back(stage_of(read_run(object, library)));
      continue;
    }
    Stage stage;
    stage.title = object.text("title");
    stage.gpus = at_most_if_there(object, "gpus", static_cast<double>(kMaxRunSize), "GPUs");
    stage.wall_hours = at_most_if_there(object, "wall_hours", kMaxWallHours, "hours");
    stage.gpu_hours = at_most_if_there(object, "gpu_hours", kMaxGpuHours, "GPU-hours");
    stage.cost_usd = at_most_if_there(object, "cost_usd", kMaxUsd, "USD");
    object.finish();
    out.push_back(std::move(stage));
  }
  return out;
}

}  // namespace

std::optional<double> printed_gpus(const Run& run) {
  if (!run.says_gpus) return std::nullopt;
  return static_cast<double>(run.gpus);
}

Run read_run(StrictObject object, const Library& from) {
  const Library library = from.for_names_in_files();
  struct Depth {
    Depth() {
      if (depth++ == 0) stages = 0;
    }
    ~Depth() { --depth; }
  } const guard;
  constexpr int kDeepestStages = 8;
  if (depth > kDeepestStages)
    object.refuse("stages", "stages that do not name one another in a circle");

  Run run;
  run.place = object.place();
  run.id = filled(object, "id");
  run.title = filled(object, "title");
  if (object.has("model")) {
    run.model = read_or_find(object, "model", read_model,
                             [&](const std::string& file) { return library.model(file); });
  }
  if (object.has("system")) {
    run.system = read_or_find(object, "system", read_system,
                              [&](const std::string& file) { return library.system(file); });
  }
  run.gpus = at_least_one(object, "gpus", 1);
  run.says_gpus = object.has("gpus");
  run.tokens = object.optional(&StrictObject::positive, "tokens");
  if (run.tokens && !(*run.tokens <= kMaxTokens)) object.refuse("tokens", "at most 1e18");
  if (object.has("seq_len")) run.seq_len = bounded(object, "seq_len", 1, kMaxRunSize);
  if (object.has("global_batch_sequences")) {
    run.global_batch_sequences = bounded(object, "global_batch_sequences", 1, kMaxRunSize);
  }
  if (object.has("family")) run.family = object.text("family");
  if (object.has("precision")) run.precision = object.one_of("precision", kPrecisions);
  if (object.has("attention_precision"))
    run.attention_precision = object.one_of("attention_precision", kPrecisions);
  if (object.has("parallel")) {
    run.parallel = read_parallel(object.object("parallel"));
    check_layout(object, *run.parallel, run.gpus);
  }
  run.stack =
      run.parallel && run.parallel->zero == 3 ? TrainingStack::fsdp : TrainingStack::megatron;
  if (object.has("stack")) run.stack = read_word<TrainingStack>(object, "stack");
  if (object.has("operations")) {
    run.operations = read_operations(object);
    check_operations(object, run.parallel);
  }
  run.host_s = at_most_if_there(object, "host_s", kMaxHostS, "seconds");
  run.goodput = fraction(object, "goodput").value_or(1);
  run.price_usd_per_gpu_hour =
      at_most_if_there(object, "price_usd_per_gpu_hour", kMaxUsdPerGpuHour, "USD per GPU-hour");
  if (object.has("published")) run.published = read_claimed(object.object("published"));
  if (object.has("context")) run.context = read_context(object.object("context"));
  if (object.has("stages")) run.stages = read_stages(object, library);
  if (object.has("rl")) run.rl = read_rl(object.object("rl"));
  if (object.has("source")) run.source = read_source(object.object("source"));
  for (const char* key : {"precision", "stack", "parallel", "goodput"}) {
    if (!object.has(key)) run.left_out.emplace_back(key);
  }
  object.finish();
  return run;
}

}  // namespace trainmeter
