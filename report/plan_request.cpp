// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Puts options over a run file's keys, reads the result as a run file, and writes one.
#include "report/plan_request.hpp"

#include "record/error.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

namespace trainmeter {

namespace fs = std::filesystem;

namespace {

// An id as it is spelled in its folder; what a file holds.
nlohmann::json id_or_content(const Library& library, const std::string& kind,
                             const std::string& id_or_file) {
  const fs::path file = library.file(kind, id_or_file);
  if (file.parent_path() == library.root() / kind) return file.stem().string();
  return read_json_file(file);
}

// What an object names, where it names a file: the file may lie elsewhere than the new one.
void embed(nlohmann::json& json, const std::string& where, const char* key) {
  if (!json.contains(key) || !json[key].is_string()) return;
  const auto text = json[key].get<std::string>();
  if (names_a_file(text)) json[key] = read_json_file(named(StrictObject(json, where), key, text));
}

void require_one_models_steps(const PlanFile& file) {
  const auto refuse = [&](const char* key, const char* why) {
    throw BadInput(fmt::format("{}: {}: expected none: {}", file.where, key, why));
  };
  const Run& run = file.run;
  if (run.rl) refuse("rl", "a plan is of training steps");
  if (!run.stages.empty()) refuse("stages", "a plan is of one run: name one of them");
  if (!run.operations.empty()) refuse("operations", "they are those of one layout");
  if (run.host_s) refuse("host_s", "it is that of one layout");
  if (!run.model) throw BadInput(file.where + ": model: missing; name one with --model");
  if (!run.says_gpus) throw BadInput(file.where + ": gpus: missing; say how many with --gpus");
}

// The layout that a run came with, for other GPUs: as many replicas as they allow. None for another
// model.
std::optional<Parallel> own_parallel(const Run& original, const Run& run) {
  if (!original.parallel || !original.model || original.model->id != run.model->id)
    return std::nullopt;
  Parallel out = *original.parallel;
  if (original.gpus != run.gpus) out.dp.reset();
  return out;
}

}  // namespace

PlanFile read_request(const PlanRequest& request, const Library& library) {
  PlanFile out{.json = nlohmann::json::object(), .where = "plan", .run = {}, .notes = {}};
  Run original;
  if (!request.run.empty()) {
    const fs::path path = library.file("runs", request.run);
    out.where = path.string();
    out.json = read_json_file(path);
    original = library.run(request.run);
    // Where no stack is printed, ZeRO 3 of the layout, which is taken out here, says which.
    if (original.stack != TrainingStack::megatron) out.json["stack"] = to_string(original.stack);
    out.json.erase("parallel");
  } else if (request.model.empty()) {
    throw BadInput("plan: expected --model or --run");
  } else if (!request.gpus) {
    throw BadInput("plan: --gpus: missing");
  }
  if (!request.model.empty()) {
    const std::string id = library.model(request.model).id;
    out.json["model"] = id_or_content(library, "models", request.model);
    out.json["id"] = "plan-" + id;
    out.json["title"] = id;
  }
  const auto put = [&](const char* key, const auto& value) {
    if (value) out.json[key] = *value;
  };
  put("gpus", request.gpus);
  put("seq_len", request.seq_len);
  put("global_batch_sequences", request.global_batch_sequences);
  put("tokens", request.tokens);
  if (!request.precision.empty()) out.json["precision"] = request.precision;
  if (!request.stack.empty()) out.json["stack"] = request.stack;
  out.run = read_run(StrictObject(out.json, out.where), library);
  std::erase(out.run.left_out, "parallel");
  require_one_models_steps(out);
  out.run.parallel = own_parallel(original, out.run);
  return out;
}

void fill_in(PlanFile& file, const System& system, const std::vector<std::int64_t>& gpus) {
  Run& run = file.run;
  if (!run.seq_len) {
    run.seq_len = file.json["seq_len"] = kUsualSequence;
    file.notes.push_back(fmt::format("seq_len isn't said: {} assumed", *run.seq_len));
  }
  if (run.global_batch_sequences) return;
  const std::int64_t usual = std::max<std::int64_t>(1, kUsualStepTokens / *run.seq_len);
  std::int64_t shares = run.gpus;
  for (const std::int64_t count : gpus) shares = std::min(usual + 1, std::lcm(shares, count));
  // More GPUs than sequences: every node has one.
  if (shares > usual) shares = std::max<std::int64_t>(1, run.gpus / system.gpus_per_node);
  run.global_batch_sequences = file.json["global_batch_sequences"] =
      (usual + shares - 1) / shares * shares;
  file.notes.push_back(
      fmt::format("global_batch_sequences isn't said: {} assumed", *run.global_batch_sequences));
}

nlohmann::ordered_json run_file(const PlanFile& file, const Parallel& parallel,
                                const std::string& system, const System& on, const Library& library,
                                std::optional<double> price_usd_per_gpu_hour) {
  nlohmann::json json = file.json;
  embed(json, file.where, "model");
  embed(json, file.where, "system");
  if (!left_out_on(on, file.run).empty()) {  // another system's would be taken for this one's
    json.erase("price_usd_per_gpu_hour");
    if (json.contains("context")) json["context"].erase("power_cap_w");
  }
  if (!system.empty()) {
    json.erase("system");
    if (system != "measured") json["system"] = id_or_content(library, "systems", system);
  }
  for (const char* key : {"published", "source", "parallel"}) json.erase(key);
  if (file.run.published.mfu_attention)
    json["published"]["mfu_attention"] = to_string(*file.run.published.mfu_attention);
  if (price_usd_per_gpu_hour) json["price_usd_per_gpu_hour"] = *price_usd_per_gpu_hour;
  nlohmann::ordered_json out;
  for (const char* key : {"id", "title", "model", "system", "gpus"}) {
    if (json.contains(key)) out[key] = json[key];
  }
  for (const auto& [key, value] : json.items()) {
    if (!out.contains(key)) out[key] = value;
  }
  out["parallel"] = to_json(parallel);
  return out;
}

}  // namespace trainmeter
