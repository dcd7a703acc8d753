// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Files: records, others' outputs, what is to be run, settings.
#include "record/anonymise.hpp"
#include "record/error.hpp"
#include "record/record.hpp"
#include "report/accept.hpp"
#include "report/factors.hpp"
#include "report/import.hpp"
#include "report/slurm_job.hpp"
#include "workload/claim.hpp"
#include "workload/memory_fit.hpp"
#include "workload/worklist.hpp"

#include "targets.hpp"

#include <algorithm>
#include <functional>

namespace trainmeter::fuzz {
namespace {

const Library& library() {
  static const Library published(std::filesystem::path(TRAINMETER_SOURCE_DIR) /
                                 "results/published");
  return published;
}

// A record that was accepted can be written, and what is written is that record.
void check_record(const Record& record) {
  const std::string text = to_text(record);
  const Record again = read_record(file_of(text, "written"));
  if (to_text(again) != text) throw Broken{"a record changes when it is written and read"};
}

// What can be worked out of a run without pricing it.
void work_out(const Run& run) {
  if (!run.model) return;
  const Model& model = *run.model;
  (void)parameters(model);
  (void)active_parameters(model);
  const std::int64_t length = run.seq_len.value_or(1);
  (void)training_flops_per_token(model, {.seq_len = length, .router = true, .mtp = true});
  (void)step_gemms(model, length);
  if (!run.seq_len || !run.global_batch_sequences) return;
  for (const Choice& choice : layouts(run)) {
    (void)memory_need(model, choice.layout, {.precision = run.precision, .stack = run.stack});
    for (const StageContent& stage : stage_contents(model, choice.layout))
      (void)stage_weights(model, choice.layout, stage);
    for (const LayerKind kind :
         {LayerKind::embedding, LayerKind::dense, LayerKind::moe, LayerKind::head, LayerKind::mtp})
      if (kind != LayerKind::moe || model.moe) (void)layer_work(model, kind, choice.layout, {});
  }
}

int count_accepted(const std::vector<std::function<void()>>& readers) {
  return static_cast<int>(
      std::ranges::count_if(readers, [](const auto& read) { return accepted<BadInput>(read); }));
}

}  // namespace

bool read_records(std::string_view text) {
  return accepted<BadInput>([&] {
    const Record record = read_record(file_of(text, "record"));
    check_record(record);
    check_record(anonymised(record, "salt"));
  });
}

bool read_imports(std::string_view text) {
  return accepted<BadInput>([&] {
    const Imported found = import_file(file_of(text, "import"));
    Record record{.headers = {found.header}};
    for (const Measurement& row : found.rows) record.lines.push_back({row, 0, 0});
    check_record(record);
  });
}

bool read_workloads(std::string_view text) {
  const std::filesystem::path file = file_of(text, "workload");
  nlohmann::json json;
  if (!accepted<BadInput>([&] { json = read_json_file(file); })) return false;
  const std::string where = file.string();
  return count_accepted({[&] {
                           (void)read_model({json, where});
                         },
                         [&] {
                           (void)read_system({json, where});
                         },
                         [&] {
                           (void)read_micro({json, where});
                         },
                         [&] {
                           work_out(read_run({json, where}, library()));
                         },
                         [&] { (void)read_claim(json, where, library()); }}) > 0;
}

bool read_settings(std::string_view text) {
  const std::filesystem::path file = file_of(text, "setting");
  JobRequest request;
  const bool is_site = accepted<BadInput>([&] { request.site = read_site(file); });
  for (const std::string& word : sbatch_command(request)) {
    if (word.find_first_of("$`;&|<>()\\\"' \n\t*?[]{}~!#") != std::string::npos)
      throw Broken{"a word that a shell would take apart: " + word};
  }
  return count_accepted({[&] { (void)read_accept_rules(file.string(), library()); },
                         [&] { (void)read_factors(file); },
                         [&] { (void)read_calibration(file); }}) > 0 ||
         is_site;
}

}  // namespace trainmeter::fuzz
