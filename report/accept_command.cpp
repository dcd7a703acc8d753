// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command `trainmeter accept`.
#include "record/error.hpp"
#include "report/accept.hpp"
#include "report/cases.hpp"
#include "report/command.hpp"
#include "report/job_outcomes.hpp"
#include "report/trend.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <future>
#include <sstream>
#include <thread>

namespace trainmeter {
namespace {

struct AcceptCommand : Command {
  std::vector<std::string> lists;
  std::string rules, drain;
  bool trend = false, strict = false;
  Output output;

  AcceptCommand()
      : Command("accept",
                "which nodes of a fleet to take, and why not the others; exit 1 where one "
                "fails") {}

  void options(CLI::App& app) override {
    app.add_option("RECORD", lists, "records of all nodes, or folders (all records in them)")
        ->required();
    app.add_option("--rules", rules, "rules file: floors, tolerance, false alarms");
    app.add_option("--drain", drain, "write failed nodes here, a line each: name and reasons");
    app.add_flag("--trend", trend, "each record is a date: what became slower, and since when");
    app.add_flag("--strict", strict,
                 "exit 1 also where a node or a pair, with --trend a series, can't be judged");
    app.add_option("--format", output.format, "text, md, json or junit (JUnit XML)")
        ->check(CLI::IsMember({"text", "md", "json", "junit"}));
    app.add_option("-o,--output", output.file, "write here instead of to stdout");
  }

  int run() override {
    const AcceptRules its_rules =
        rules.empty() ? AcceptRules{} : read_accept_rules(rules, Library(published_data()));
    return trend ? judge_history(its_rules) : judge_fleet(its_rules);
  }

 private:
  // In order of the files, and only a few at a time: a fleet's don't fit in memory.
  void for_each_record(const std::function<void(const Record&)>& use) const {
    const auto files = record_files(fmt::format("{}", fmt::join(lists, ",")));
    const std::size_t most = std::max(1U, std::thread::hardware_concurrency());
    constexpr std::size_t kFiles = 16;  // of a thread, which takes longer to start than one file
    const auto read = [&files](std::size_t first) {
      std::vector<Record> records;
      for (std::size_t i = first; i < std::min(first + kFiles, files.size()); ++i)
        records.push_back(read_record(files[i]));
      return records;
    };
    std::deque<std::future<std::vector<Record>>> reading;
    for (std::size_t next = 0; next < files.size() || !reading.empty();) {
      for (; next < files.size() && reading.size() < most; next += kFiles)
        reading.push_back(std::async(std::launch::async, read, next));
      const std::vector<Record> records = reading.front().get();
      reading.pop_front();
      for (const Record& record : records) {
        warn(record.warnings);
        use(record);
      }
    }
  }

  int judge_history(const AcceptRules& its_rules) const {
    if (!drain.empty() || output.format == "junit")
      throw BadInput("--trend: expected no --drain, and text, md or json");
    History history(its_rules);
    DevicesByHost devices;
    for_each_record([&](const Record& record) {
      history.add(record);
      add_devices(devices, record);
    });
    warn(mixed_hosts(devices));
    const Trend found = history.judge();
    output.write(to_document(found), [&] { return to_json(found); });
    return found.slower() || (strict && !found.judged_all()) ? kCheckFailed : kFine;
  }

  // The parts of those Slurm jobs whose folders are among the records.
  Absent expected_of_jobs() const {
    Absent expected;
    for (const std::string& list : lists) {
      std::istringstream words(list);
      for (std::string word; std::getline(words, word, ',');) {
        if (const auto job = job_folder_of(word)) expected.expect(outcomes_of(*job));
      }
    }
    return expected;
  }

  int judge_fleet(const AcceptRules& its_rules) const {
    FleetFacts facts(its_rules);
    Absent absent = expected_of_jobs();
    DevicesByHost devices;
    for_each_record([&](const Record& record) {
      facts.add(record);
      absent.strike(record);
      add_devices(devices, record);
    });
    warn(mixed_hosts(devices));
    Acceptance acceptance = accept(facts);
    absent.fail(acceptance);
    if (!drain.empty()) write_file(drain, to_drain_list(acceptance));
    if (output.format == "junit") {
      put(output.file, to_junit(acceptance));
    } else {
      output.write(to_document(acceptance), [&] { return to_json(acceptance); });
    }
    const bool fails = acceptance.failed() || (strict && !acceptance.judged_all());
    return fails ? kCheckFailed : kFine;
  }
};

}  // namespace

std::unique_ptr<Command> accept_command() {
  return std::make_unique<AcceptCommand>();
}

}  // namespace trainmeter
