// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program `trainmeter`: doctor, report, predict, validate, claims, compare, export. Exit codes:
// docs/contributing.md.
#include "record/error.hpp"
#include "record/names.hpp"
#include "report/cases.hpp"
#include "report/claims.hpp"
#include "report/compare.hpp"
#include "report/doctor.hpp"
#include "report/exports.hpp"
#include "report/stages.hpp"
#include "report/story.hpp"
#include "report/transfer.hpp"
#include "report/validate.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <unistd.h>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

constexpr int kFine = 0, kCheckFailed = 1, kBadInput = 2, kEnvironmentFailed = 4;

void write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  if (!out) throw BadInput(file + ": cannot be written: " + std::strerror(errno));
  if (!(out << text).flush())
    throw EnvironmentFailed(file + ": writing failed: " + std::strerror(errno));
}

// To the file, or to stdout where none is named.
void put(const std::string& file, const std::string& text) {
  if (!file.empty()) {
    write_file(file, text);
  } else if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
             std::fflush(stdout) != 0) {
    throw EnvironmentFailed(std::string("stdout: writing failed: ") + std::strerror(errno));
  }
}

std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) fmt::print(stderr, "warning: {}\n", warning);
}

struct Output {
  std::string format = "text";
  std::string file;

  void options(CLI::App* command) {
    command->add_option("--format", format, "text, md or json")
        ->check(CLI::IsMember({"text", "md", "json"}));
    command->add_option("-o,--output", file, "write here instead of to stdout");
  }

  void write(const Document& document, const std::function<nlohmann::ordered_json()>& json) const {
    if (format == "json") {
      put(file, dumped(json()));
    } else if (format == "md") {
      put(file, to_markdown(document));
    } else {
      put(file, to_text(document, file.empty() ? style_of_stdout() : TextStyle{}));
    }
  }
};

// Records as named; a folder stands for the newest record in it.
std::vector<Record> read_records(const std::vector<std::string>& names) {
  std::vector<Record> out;
  for (const std::string& name : names) {
    fs::path file = name;
    if (std::error_code error; fs::is_directory(file, error)) {
      std::vector<fs::path> found;
      for (const auto& entry :
           fs::recursive_directory_iterator(file, fs::directory_options::skip_permission_denied)) {
        if (entry.path().extension() == ".jsonl") found.push_back(entry.path());
      }
      if (found.empty()) throw BadInput(name + ": no record (*.jsonl) in this folder");
      file = *std::ranges::max_element(found, {},
                                       [](const fs::path& f) { return fs::last_write_time(f); });
    }
    out.push_back(read_record(file));
    warn(out.back().warnings);
  }
  return out;
}

struct ReportCommand {
  std::vector<std::string> records;
  std::string run = "gpt2-124m-10b";
  std::optional<double> price;
  Output output;

  int run_it() const {
    StoryOptions options{.run = run, .predict = {.price_usd_per_gpu_hour = price}};
    const Library library(published_data());
    const std::vector<std::string> names =
        records.empty() ? std::vector<std::string>{"results/measured"} : records;
    const Story story = tell(read_records(names), library, options);
    output.write(to_document(story), [&] { return to_json(story); });
    return kFine;
  }
};

// --price: dollars, or the published listings.
const std::string kListings = "listings";

// Cost at the listings' range instead of one price.
void price_by_listings(Prediction& prediction, const System& on, const Library& library) {
  const auto listed = listed_prices(library, on);
  if (!listed) throw BadInput(fmt::format("--price listings: none are published for {}", on.id));
  const Estimate& price = listed->usd_per_gpu_hour;
  prediction.price_usd_per_gpu_hour = price.p50;
  for (RunEstimates* e : {&prediction.estimates, &prediction.null_model}) {
    if (e->gpu_hours) e->cost_usd = product(*e->gpu_hours, price);
  }
  prediction.assumptions.push_back(fmt::format("rent of {} to {} per GPU-hour: {}",
                                               format_usd(price.p05), format_usd(price.p95),
                                               listed->how));
}

struct PredictCommand {
  std::string run, system, price;
  std::vector<std::string> rates;
  PredictOptions options;
  Output output;

  int run_it() const {
    const Library library(published_data());
    const Run which = library.run(run);
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
    PredictOptions priced = options;
    if (!price.empty() && price != kListings) priced.price_usd_per_gpu_hour = std::stod(price);
    Prediction prediction = predict_run(which, on, book, load_knowledge(library), priced);
    if (price == kListings) price_by_listings(prediction, on, library);
    for (const std::string& note : notes) prediction.assumptions.push_back(note);
    output.write(to_document(prediction, fmt::format("{} on {}", which.title, on.id)),
                 [&] { return to_json(prediction); });
    return kFine;
  }
};

struct ClaimsCommand {
  std::vector<std::string> which, rates;
  std::string price = kListings;
  double beyond_final_run = 1;
  bool strict = false;
  Output output;

  int run_it() const {
    const Library library(published_data());
    JudgeOptions options{.rates = read_records(rates), .cost = {}};
    if (price != kListings) options.cost.price_usd_per_gpu_hour = std::stod(price);
    options.cost.beyond_final_run = beyond_final_run;
    std::vector<Verdict> verdicts;
    for (const std::string& id : which.empty() ? library.ids("claims") : which) {
      verdicts.push_back(judge(library.claim(id), library, options));
    }
    output.write(to_document(verdicts), [&] {
      auto json = nlohmann::ordered_json::array();
      for (const Verdict& verdict : verdicts) json.push_back(to_json(verdict));
      return json;
    });
    return strict && std::ranges::any_of(verdicts, &Verdict::fails) ? kCheckFailed : kFine;
  }
};

struct ValidateCommand {
  ValidateOptions options;
  std::string calibration;
  Output output;

  int run_it() const {
    const Library library(published_data());
    if (!calibration.empty()) {
      write_file(calibration, to_json_text(fit_again(library)));
      return kFine;
    }
    const Validation validation = validate(library, options);
    output.write(to_document(validation), [&] { return to_json(validation); });
    return kFine;
  }
};

// As read_record_list, with the records' warnings.
std::vector<Record> records_in(const std::string& list) {
  std::vector<Record> out = read_record_list(list);
  for (const Record& record : out) warn(record.warnings);
  return out;
}

struct CompareCommand {
  std::string old_list, new_list;
  double tolerance_pct = 2;
  std::optional<double> spread_pct;
  CompareOptions options;
  Output output;

  int run_it() {
    options.tolerance = tolerance_pct / 100;
    if (spread_pct) options.spread = *spread_pct / 100;
    const Comparison comparison = compare(records_in(old_list), records_in(new_list), options);
    warn(warnings(comparison));
    output.write(to_document(comparison), [&] { return to_json(comparison); });
    return comparison.regressed() ? kCheckFailed : kFine;
  }
};

struct ExportCommand {
  std::vector<std::string> lists;
  std::string format = "google";
  std::string file;

  int run_it() const {
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

// CLI11's own range checks print the largest double, 309 digits long, as the upper end.
CLI::Validator number_above_0() {
  return {[](std::string& text) {
            double value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, failed] = std::from_chars(text.data(), end, value);
            const bool good = failed == std::errc{} && stop == end && std::isfinite(value);
            return good && value > 0 ? ""
                                     : fmt::format("expected a number above 0, found '{}'", text);
          },
          ""};
}

CLI::Validator price() {
  return {[](std::string& text) { return text == kListings ? "" : number_above_0()(text); }, ""};
}

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  return {[=](std::string& text) {
            std::int64_t value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, failed] = std::from_chars(text.data(), end, value);
            const bool good = failed == std::errc{} && stop == end;
            return good && value >= least && value <= most
                       ? ""
                       : fmt::format("expected a whole number of {} to {}, found '{}'", least, most,
                                     text);
          },
          ""};
}

CLI::Validator number_between(double least, double most) {
  return {[=](std::string& text) {
            double value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, failed] = std::from_chars(text.data(), end, value);
            const bool good = failed == std::errc{} && stop == end;
            return good && value >= least && value <= most
                       ? ""
                       : fmt::format("expected a number of {} to {}, found '{}'", least, most,
                                     text);
          },
          ""};
}

// "unknown argument '--fromat' (did you mean '--format'?)"
std::string unknown_argument(const CLI::App& app, const std::string& what) {
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands({})) known.push_back(command->get_name());
  std::vector<const CLI::App*> apps = {&app};
  for (const CLI::App* command : app.get_subcommands()) apps.push_back(command);
  for (const CLI::App* command : apps) {
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
  }
  const std::string name = what.substr(0, what.find('='));
  const std::string near = nearest(name, known);
  return fmt::format("unknown argument '{}'{}", name,
                     near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near));
}

int run_program(int argc, char** argv) {
  CLI::App app{"What a GPU node really delivers, and what training on it would cost."};
  app.name("trainmeter");
  app.require_subcommand(1);
  app.set_version_flag("--version", "trainmeter " TRAINMETER_VERSION);

  Output doctor_output;
  CLI::App* doctor =
      app.add_subcommand("doctor", "what this machine has, what can be measured, what is missing");
  doctor_output.options(doctor);

  ReportCommand report_command;
  CLI::App* report = app.add_subcommand("report", "the whole story of one or more records");
  report->add_option("RECORD", report_command.records,
                     "records, or folders (the newest record in each); default results/measured");
  report
      ->add_option("--run", report_command.run,
                   "the run that is carried to the measured machine: id or file")
      ->capture_default_str();
  report->add_option("--price", report_command.price, "USD per device-hour")
      ->check(number_above_0());
  report_command.output.options(report);

  PredictCommand predict_command;
  CLI::App* predict = app.add_subcommand(
      "predict", "one training run: step time, MFU, GPU-hours, cost, with ranges");
  predict->add_option("--run", predict_command.run, "run file or id")->required();
  predict->add_option("--rates", predict_command.rates,
                      "records to take the rates from; default: published ones");
  predict->add_option("--system", predict_command.system,
                      "system id or file, or 'measured': the records' own; default: the run's");
  predict
      ->add_option("--price", predict_command.price,
                   "USD per GPU-hour, or 'listings': the range of published rents")
      ->check(price());
  predict
      ->add_option("--samples", predict_command.options.samples,
                   "draws; 0: no range, every input at its median")
      ->check(whole_number(0, 1'000'000))
      ->capture_default_str();
  predict->add_option("--seed", predict_command.options.seed, "of the draws")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
  predict_command.output.options(predict);

  ClaimsCommand claims_command;
  CLI::App* claims =
      app.add_subcommand("claims", "published claims: their arithmetic and their verdict");
  claims->add_option("ID", claims_command.which, "ids or files; default: all published");
  claims->add_option("--rates", claims_command.rates,
                     "records to take the ceilings from; default: published ones");
  claims
      ->add_option("--price", claims_command.price,
                   "USD per GPU-hour, or 'listings': the range of published rents")
      ->check(price())
      ->capture_default_str();
  claims
      ->add_option("--beyond-final-run", claims_command.beyond_final_run,
                   "multiply costs by this for what a final run leaves out; 1: nothing added")
      ->check(number_between(1, 1000))
      ->capture_default_str();
  claims->add_flag("--strict", claims_command.strict,
                   "exit 1 where a claim is contradictory or exceeds what anybody measured");
  claims_command.output.options(claims);

  ValidateCommand validate_command;
  CLI::App* validate_app = app.add_subcommand(
      "validate", "every published run: published, predicted, error, null model");
  validate_app->add_option("--samples", validate_command.options.samples, "draws a run")
      ->check(whole_number(100, 1'000'000))
      ->capture_default_str();
  validate_app->add_option("--seed", validate_command.options.seed, "of the draws")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
  validate_app
      ->add_option("--threads", validate_command.options.threads,
                   "threads; the result is the same for any number")
      ->check(whole_number(1, 1024));
  validate_app->add_option("--calibrate", validate_command.calibration,
                           "fit the factors to the published runs again, write them here, and end");
  validate_command.output.options(validate_app);

  CompareCommand compare_command;
  CLI::App* compare_app = app.add_subcommand(
      "compare", "two sets of records, case by case; exit 1 where new is slower beyond tolerance");
  compare_app
      ->add_option("OLD", compare_command.old_list,
                   "a record, a folder (all records in it), or several, separated by commas")
      ->required();
  compare_app->add_option("NEW", compare_command.new_list, "the same")->required();
  compare_app
      ->add_option("--tolerance", compare_command.tolerance_pct,
                   "percent of a rate: less is no difference, more is a regression")
      ->check(number_between(0, 50))
      ->capture_default_str();
  compare_app
      ->add_option("--confidence", compare_command.options.confidence,
                   "of the intervals; 1 - it: how often like cases are told apart")
      ->check(number_between(0.5, 0.9999))
      ->capture_default_str();
  compare_app
      ->add_option("--spread", compare_command.spread_pct,
                   "known standard deviation between process starts, in percent; for sides with "
                   "fewer than five")
      ->check(number_above_0());
  compare_command.output.options(compare_app);

  ExportCommand export_command;
  CLI::App* export_app = app.add_subcommand("export", "records in other tools' formats");
  export_app->add_option("RECORD", export_command.lists, "records, or folders (all in them)")
      ->required();
  export_app
      ->add_option("--format", export_command.format,
                   "google (Google Benchmark's JSON), bigger (bigger-is-better JSON) or csv")
      ->check(CLI::IsMember({"google", "bigger", "csv"}))
      ->capture_default_str();
  export_app->add_option("-o,--output", export_command.file, "write here instead of to stdout");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ExtrasError&) {
    const auto extras = app.remaining(true);
    throw BadInput(unknown_argument(app, extras.empty() ? "" : extras.front()));
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    std::ranges::replace(what, '\n', ' ');
    if (app.get_subcommands().empty()) {
      for (int i = 1; i < argc; ++i) {
        if (argv[i][0] != '\0') throw BadInput(unknown_argument(app, argv[i]));
      }
      throw BadInput(
          "expected a command: doctor, report, predict, validate, claims, compare or export "
          "(--help "
          "says more)");
    }
    throw BadInput(what);
  }
  if (*doctor) {
    const Examination examination = examine();
    doctor_output.write(to_document(examination), [&] { return to_json(examination); });
    return kFine;
  }
  if (*report) return report_command.run_it();
  if (*predict) return predict_command.run_it();
  if (*validate_app) return validate_command.run_it();
  if (*compare_app) return compare_command.run_it();
  if (*export_app) return export_command.run_it();
  return claims_command.run_it();
}

}  // namespace
}  // namespace trainmeter

int main(int argc, char** argv) {
  try {
    return trainmeter::run_program(argc, argv);
  } catch (const trainmeter::BadInput& error) {
    fmt::print(stderr, "trainmeter: {}\n", error.what());
    return trainmeter::kBadInput;
  } catch (const std::exception& error) {
    fmt::print(stderr, "trainmeter: {}\n", error.what());
    return trainmeter::kEnvironmentFailed;
  }
}
