// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// trainmeter plan: the parallel layouts of a model on so many GPUs, the fastest first.
#include "record/error.hpp"
#include "report/command.hpp"
#include "report/plan_request.hpp"
#include "report/run_rates.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

namespace trainmeter {
namespace {

template <IsWord Word>
std::vector<std::string> words() {
  return {Spelling<Word>::kAll.begin(), Spelling<Word>::kAll.end()};
}

struct PlanCommand : Command {
  PlanRequest request;
  std::string system, write_run;
  std::vector<std::string> rates;
  std::vector<std::int64_t> gpus;
  PlanOptions planning;
  Output output;

  PlanCommand()
      : Command("plan", "the parallel layouts of a model on so many GPUs, fastest first") {}

  void options(CLI::App& app) override {
    app.add_option("--model", request.model, "model file or id");
    app.add_option("--run", request.run,
                   "run file or id, for all that no other option says; its layout is compared");
    app.add_option("--system", system,
                   "system id or file, or 'measured': the records' own; default: the run's");
    app.add_option("--gpus", gpus, "how many; several, with commas between: the fastest of each")
        ->delimiter(',')
        ->check(whole_number(1, kMaxRunSize));
    add_rates_option(app, rates, "records to take the rates from; default: published ones");
    app.add_option("--seq_len", request.seq_len,
                   fmt::format("tokens of a sequence; default: the run's, or {}", kUsualSequence))
        ->check(whole_number(1, kMaxRunSize));
    app.add_option("--global_batch_sequences", request.global_batch_sequences,
                   fmt::format("sequences of a step; default: the run's, or some {} Mi tokens",
                               kUsualStepTokens >> 20))
        ->check(whole_number(1, kMaxRunSize));
    app.add_option("--tokens", request.tokens, "of the whole run, for its hours and cost")
        ->check(number_above_0());
    app.add_option("--precision", request.precision, "of GEMMs: bf16, fp8, fp16 or fp32")
        ->check(CLI::IsMember({"bf16", "fp8", "fp16", "fp32"}));
    app.add_option("--stack", request.stack, "training software: megatron, fsdp, deepseek, other")
        ->check(CLI::IsMember(words<TrainingStack>()));
    app.add_option("--price", planning.predict.price_usd_per_gpu_hour, "USD per GPU-hour")
        ->check(dollars());
    app.add_option("--most", planning.most, "layouts to list of one number of GPUs")
        ->check(whole_number(1, 1000))
        ->capture_default_str();
    app.add_option("--write_run", write_run,
                   "write the fastest as a run file, for `predict --run`");
    app.add_option(
           "--samples", planning.predict.samples,
           fmt::format("draws, at least {}; 0: no range, every input at its median", kLeastDraws))
        ->check(draws())
        ->capture_default_str();
    app.add_option("--seed", planning.predict.seed, "of the draws")
        ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
        ->capture_default_str();
    app.add_option("--threads", planning.threads, "threads; the result is the same for any number")
        ->check(whole_number(1, 1024));
    output.options(app);
  }

  int run() override {
    const Library library(published_data());
    if (!write_run.empty()) {
      if (gpus.size() > 1) throw BadInput("--write_run: expected one number of --gpus");
      if (!will_be_regular(write_run) || write_run == output.file)
        throw BadInput("--write_run: expected a file of its own, found " + write_run);
      require_writable(write_run);
    }
    if (!gpus.empty()) request.gpus = *std::ranges::max_element(gpus);  // all have its batch
    PlanFile file = read_request(request, library);
    const RunRates from = rates_for(
        file.run, read_records(rates), library,
        {.system = system, .priced = planning.predict.price_usd_per_gpu_hour.has_value()});
    warn(from.warnings);
    fill_in(file, from.system, gpus);
    const Knowledge knowledge = load_knowledge(library);
    const auto planned = [&](const Run& run) {
      LayoutPlan plan = make_plan(run, from.system, from.book, knowledge, planning);
      plan.notes = file.notes;
      plan.notes.insert(plan.notes.end(), from.notes.begin(), from.notes.end());
      if (std::string beyond = beyond_published(plan, library); !beyond.empty())
        plan.notes.push_back(std::move(beyond));
      return plan;
    };
    if (gpus.size() > 1) {
      const std::vector<PlanOfGpus> plans = planned_by_gpus(file.run, planned);
      std::set<std::string> traffic;
      for (const PlanOfGpus& one : plans) {
        if (one.plan) traffic.merge(left_out(*one.plan));
      }
      warn({traffic.begin(), traffic.end()});
      output.write(to_document(plans), [&] { return to_json(plans); });
      return kFine;
    }
    const LayoutPlan plan = planned(file.run);
    warn(left_out_traffic(plan.best.front().prediction));
    if (!write_run.empty()) {
      write_file(write_run,
                 dumped(run_file(file, plan.best.front().layout.parallel, system, from.system,
                                 library, planning.predict.price_usd_per_gpu_hour)));
    }
    output.write(to_document(plan), [&] { return to_json(plan); });
    return kFine;
  }

 private:
  static std::set<std::string> left_out(const LayoutPlan& plan) {
    const std::vector<std::string> traffic = left_out_traffic(plan.best.front().prediction);
    return {traffic.begin(), traffic.end()};
  }

  // What is wrong with all of them is said once, as of one.
  std::vector<PlanOfGpus> planned_by_gpus(Run run,
                                          const std::function<LayoutPlan(const Run&)>& planned) {
    planning.most = 1;
    std::vector<PlanOfGpus> out;
    for (const std::int64_t count : gpus) {
      run.gpus = count;
      try {
        out.push_back({count, planned(run), ""});
      } catch (const BadInput& error) {
        out.push_back({count, std::nullopt, error.what()});
      }
    }
    if (std::ranges::none_of(out, [](const PlanOfGpus& one) { return one.plan.has_value(); }))
      throw BadInput(out.front().why_not);
    return out;
  }
};

}  // namespace

std::unique_ptr<Command> plan_command() {
  return std::make_unique<PlanCommand>();
}

}  // namespace trainmeter
