// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command `trainmeter import`.
#include "record/error.hpp"
#include "report/command.hpp"
#include "report/import.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <set>

namespace trainmeter {
namespace {

struct ImportCommand : Command {
  std::vector<std::string> files;
  std::string record, operation;

  ImportCommand()
      : Command("import", "outputs of nccl-tests, nvbandwidth and Google Benchmark as a record") {}

  void options(CLI::App& app) override {
    app.add_option("FILE", files, "nccl-tests' text or JSON, nvbandwidth's or Google Benchmark's")
        ->required();
    app.add_option("--operation", operation,
                   "of nccl-tests' text that doesn't say its test, as older versions' doesn't: "
                   "all_reduce, all_gather, ...")
        ->check([](const std::string& word) {
          return operation_named(word).empty()
                     ? fmt::format("expected a test of nccl-tests, such as all_reduce, found '{}'",
                                   word)
                     : std::string();
        });
    app.add_option("-o,--output", record,
                   "write here instead of to stdout; the originals go to the folder "
                   "RECORD.originals, named by their SHA-256");
  }

  int run() override {
    require_new_record();
    std::vector<Imported> all;
    std::set<std::string> seen;
    for (const std::string& file : files) {
      all.push_back(import_file(file, operation_named(operation)));
      if (!seen.insert(all.back().hash).second) {
        throw BadInput(file + ": the same content as a file before it");
      }
    }
    std::string text;
    for (const Imported& one : all) {
      warn(one.left_out);
      text += to_json_line(one.header) + "\n";
      for (const Measurement& row : one.rows) text += to_json_line(row) + "\n";
    }
    if (!record.empty() && will_be_regular(record)) {
      const std::filesystem::path folder = record + ".originals";
      std::error_code failed;
      std::filesystem::create_directories(folder, failed);
      if (failed) throw BadInput(fmt::format("{}: {}", folder.string(), failed.message()));
      for (const Imported& one : all) write_file((folder / one.hash).string(), one.original);
    }
    put(record, text);
    return kFine;
  }

 private:
  // A record is measurements that may have taken days: none is replaced.
  void require_new_record() const {
    if (record.empty() || !will_be_regular(record)) return;
    std::error_code none;
    if (std::filesystem::file_size(record, none) > 0 && !none)
      throw BadInput(record + ": is there already; expected the path of a new record");
  }
};

}  // namespace

std::unique_ptr<Command> import_command() {
  return std::make_unique<ImportCommand>();
}

}  // namespace trainmeter
