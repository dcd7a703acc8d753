// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command `trainmeter anonymise`.
#include "record/anonymise.hpp"
#include "report/command.hpp"

#include <fmt/format.h>

#include <random>

namespace trainmeter {
namespace {

struct AnonymiseCommand : Command {
  std::string record, salt, file;

  AnonymiseCommand()
      : Command("anonymise", "a record without hosts, serial numbers, users and paths") {}

  void options(CLI::App& app) override {
    app.add_option("RECORD", record, "a record")->required();
    app.add_option(
        "--salt", salt,
        "a secret: records with the same salt keep the same pseudonyms; default: random");
    app.add_option("-o,--output", file, "write here instead of to stdout");
  }

  int run() override {
    const Record read = read_record(record);
    warn(read.warnings);
    std::random_device random;
    if (salt.empty())
      salt = fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
    put(file, to_text(anonymised(read, salt)));
    return kFine;
  }
};

}  // namespace

std::unique_ptr<Command> anonymise_command() {
  return std::make_unique<AnonymiseCommand>();
}

}  // namespace trainmeter
