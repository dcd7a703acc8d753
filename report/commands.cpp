// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Each command of the program: its options and what it does.
#include "report/command.hpp"
#include "report/compare.hpp"
#include "report/doctor.hpp"
#include "report/exports.hpp"
#include "report/story.hpp"
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

struct ValidateCommand : Command {
  ValidateOptions validation;
  std::string calibration;
  Output output;

  ValidateCommand()
      : Command("validate", "every published run: published, predicted, error, null model") {}

  void options(CLI::App& app) override {
    app.add_option("--samples", validation.samples, "draws a run")
        ->check(whole_number(kLeastDraws, kMostDraws))
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
  bool strict = false;
  CompareOptions comparing;
  Output output;

  CompareCommand()
      : Command(
            "compare",
            "two sets of records, case by case; exit 1 where new is slower beyond tolerance, or "
            "fails") {}

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
    app.add_flag("--strict", strict, "exit 1 also where a case can't be told or is missing in new");
    output.options(app);
  }

  int run() override {
    comparing.tolerance = tolerance_pct / 100;
    if (spread_pct) comparing.spread = *spread_pct / 100;
    const Comparison comparison = compare(records_in(old_list), records_in(new_list), comparing);
    warn(warnings(comparison));
    output.write(to_document(comparison), [&] { return to_json(comparison); });
    const bool fails = comparison.regressed() || (strict && !comparison.judged_all());
    return fails ? kCheckFailed : kFine;
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
  out.push_back(predict_command());
  out.push_back(plan_command());
  out.push_back(claims_command());
  out.push_back(std::make_unique<ValidateCommand>());
  out.push_back(std::make_unique<CompareCommand>());
  out.push_back(std::make_unique<ExportCommand>());
  out.push_back(submit_command());
  out.push_back(accept_command());
  out.push_back(anonymise_command());
  out.push_back(import_command());
  return out;
}

}  // namespace trainmeter
