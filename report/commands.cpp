// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Each command of the program: its options and what it does.
#include "record/error.hpp"
#include "report/command.hpp"
#include "report/compare.hpp"
#include "report/doctor.hpp"
#include "report/exports.hpp"
#include "report/stages.hpp"
#include "report/story.hpp"
#include "report/transfer.hpp"
#include "report/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace trainmeter {
namespace {

struct DoctorCommand : Command {
  Output output;

  DoctorCommand()
      : Command("doctor", "what this machine has, what can be measured, what is missing") {}

  void options(CLI::App& app) override { output.options(app); }

  int run() override {
    const Examination examination = examine();
    output.write(to_document(examination), [&] { return to_json(examination); });
    return kFine;
  }
};

struct PredictCommand : Command {
  std::string run_id, system;
  std::vector<std::string> rates;
  PredictOptions predict;
  Output output;

  PredictCommand()
      : Command("predict", "one training run: step time, MFU, GPU-hours, cost, with ranges") {}

  void options(CLI::App& app) override {
    app.add_option("--run", run_id, "run file or id")->required();
    app.add_option("--rates", rates, "records to take the rates from; default: published ones");
    app.add_option("--system", system,
                   "system id or file, or 'measured': the records' own; default: the run's");
    app.add_option("--price", predict.price_usd_per_gpu_hour, "USD per GPU-hour")
        ->check(number_above_0());
    app.add_option("--samples", predict.samples, "draws; 0: no range, every input at its median")
        ->check(whole_number(0, 1'000'000))
        ->capture_default_str();
    app.add_option("--seed", predict.seed, "of the draws")
        ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
        ->capture_default_str();
    output.options(app);
  }

  int run() override {
    const Library library(published_data());
    const Run which = library.run(run_id);
    RateBook book;
    std::vector<std::string> notes;
    const std::vector<Record> records = read_records(rates);
    System on;
    if (system == "measured") {
      if (records.empty()) throw BadInput("--system measured: needs a record (--rates)");
      for (const Record& record : records) book.add(record);
      on = measured_system(records, book, library, notes);
    } else if (!system.empty()) {
      on = library.system(system);
    } else if (which.system) {
      on = *which.system;
    } else {
      throw BadInput(fmt::format("run {}: system: missing; name one with --system", which.id));
    }
    book.describe(on);
    if (records.empty()) {
      book.add_published(library, on);
    } else if (system != "measured") {
      if (which.context.power_cap_w) on.power_w = which.context.power_cap_w;
      book.describe(on);
      const std::vector<std::string> reasons = add_projected(book, records, on, library);
      notes.insert(notes.end(), reasons.begin(), reasons.end());
    }
    Prediction prediction = predict_run(which, on, book, load_knowledge(library), predict);
    for (const std::string& note : notes) prediction.assumptions.push_back(note);
    output.write(to_document(prediction, fmt::format("{} on {}", which.title, on.id)),
                 [&] { return to_json(prediction); });
    return kFine;
  }
};

struct ClaimsCommand : Command {
  std::vector<std::string> which;
  bool strict = false;
  Output output;

  ClaimsCommand() : Command("claims", "published claims: their arithmetic and their verdict") {}

  void options(CLI::App& app) override {
    app.add_option("ID", which, "ids or files; default: all published");
    app.add_flag("--strict", strict,
                 "exit 1 where a claim is contradictory or exceeds what anybody measured");
    output.options(app);
  }

  int run() override {
    const Library library(published_data());
    std::vector<Verdict> verdicts;
    for (const std::string& id : which.empty() ? library.ids("claims") : which) {
      verdicts.push_back(judge(library.claim(id), library));
    }
    output.write(to_document(verdicts), [&] {
      auto json = nlohmann::ordered_json::array();
      for (const Verdict& verdict : verdicts) json.push_back(to_json(verdict));
      return json;
    });
    return strict && std::ranges::any_of(verdicts, &Verdict::fails) ? kCheckFailed : kFine;
  }
};

struct ValidateCommand : Command {
  ValidateOptions validation;
  std::string calibration;
  Output output;

  ValidateCommand()
      : Command("validate", "every published run: published, predicted, error, null model") {}

  void options(CLI::App& app) override {
    app.add_option("--samples", validation.samples, "draws a run")
        ->check(whole_number(100, 1'000'000))
        ->capture_default_str();
    app.add_option("--seed", validation.seed, "of the draws")
        ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
        ->capture_default_str();
    app.add_option("--threads", validation.threads,
                   "threads; the result is the same for any number")
        ->check(whole_number(1, 1024));
    app.add_option("--calibrate", calibration,
                   "fit the factors to the published runs again, write them here, and end");
    output.options(app);
  }

  int run() override {
    const Library library(published_data());
    if (!calibration.empty()) {
      write_file(calibration, to_json_text(fit_again(library)));
      return kFine;
    }
    const Validation result = validate(library, validation);
    output.write(to_document(result), [&] { return to_json(result); });
    return kFine;
  }
};

struct CompareCommand : Command {
  std::string old_list, new_list;
  double tolerance_pct = 2;
  std::optional<double> spread_pct;
  CompareOptions comparing;
  Output output;

  CompareCommand()
      : Command("compare",
                "two sets of records, case by case; exit 1 where new is slower beyond tolerance") {}

  void options(CLI::App& app) override {
    app.add_option("OLD", old_list,
                   "a record, a folder (all records in it), or several, separated by commas")
        ->required();
    app.add_option("NEW", new_list, "the same")->required();
    app.add_option("--tolerance", tolerance_pct,
                   "percent of a rate: less is no difference, more is a regression")
        ->check(number_between(0, 50))
        ->capture_default_str();
    app.add_option("--confidence", comparing.confidence,
                   "of the intervals; 1 - it: how often like cases are told apart")
        ->check(number_between(0.5, 0.9999))
        ->capture_default_str();
    app.add_option("--spread", spread_pct,
                   "known standard deviation between process starts, in percent; for sides with "
                   "fewer than five")
        ->check(number_above_0());
    output.options(app);
  }

  int run() override {
    comparing.tolerance = tolerance_pct / 100;
    if (spread_pct) comparing.spread = *spread_pct / 100;
    const Comparison comparison = compare(records_in(old_list), records_in(new_list), comparing);
    warn(warnings(comparison));
    output.write(to_document(comparison), [&] { return to_json(comparison); });
    return comparison.regressed() ? kCheckFailed : kFine;
  }
};

struct ExportCommand : Command {
  std::vector<std::string> lists;
  std::string format = "google";
  std::string file;

  ExportCommand() : Command("export", "records in other tools' formats") {}

  void options(CLI::App& app) override {
    app.add_option("RECORD", lists, "records, or folders (all in them)")->required();
    app.add_option("--format", format,
                   "google (Google Benchmark's JSON), bigger (bigger-is-better JSON) or csv")
        ->check(CLI::IsMember({"google", "bigger", "csv"}))
        ->capture_default_str();
    app.add_option("-o,--output", file, "write here instead of to stdout");
  }

  int run() override {
    const std::vector<Record> records = records_in(fmt::format("{}", fmt::join(lists, ",")));
    if (format == "csv") {
      put(file, to_csv(records));
    } else {
      put(file,
          dumped(format == "google" ? to_google_benchmark(records) : to_bigger_is_better(records)));
    }
    return kFine;
  }
};

}  // namespace

std::vector<std::unique_ptr<Command>> commands() {
  std::vector<std::unique_ptr<Command>> out;
  out.push_back(std::make_unique<DoctorCommand>());
  add_report_commands(out);
  out.push_back(std::make_unique<PredictCommand>());
  out.push_back(std::make_unique<ClaimsCommand>());
  out.push_back(std::make_unique<ValidateCommand>());
  out.push_back(std::make_unique<CompareCommand>());
  out.push_back(std::make_unique<ExportCommand>());
  return out;
}

}  // namespace trainmeter
