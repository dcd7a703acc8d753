// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the commands of the program `trainmeter` share: reading records, writing results, checking
// options.
#pragma once

#include "record/exit_code.hpp"
#include "record/record.hpp"
#include "report/document.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter {

// This machine lacks what was asked for: kUnavailable.
class MachineLacks : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Command {
  std::string name, about;
  Command(std::string its_name, std::string what_it_does)
      : name(std::move(its_name)), about(std::move(what_it_does)) {}
  virtual ~Command() = default;
  virtual void options(CLI::App& app) = 0;
  virtual int run() = 0;  // its exit code
};

// All there are, in the order that --help lists them.
std::vector<std::unique_ptr<Command>> commands();
std::unique_ptr<Command> predict_command();
std::unique_ptr<Command> plan_command();
std::unique_ptr<Command> claims_command();
std::unique_ptr<Command> accept_command();
std::unique_ptr<Command> anonymise_command();
std::unique_ptr<Command> import_command();
std::unique_ptr<Command> submit_command();
void add_report_commands(std::vector<std::unique_ptr<Command>>& to);  // report, explain

// BadInput where the file can't be written or is a record, before anything is made for it.
void require_writable(const std::string& file);
bool will_be_regular(const std::string& file);  // and no device, pipe or the like
// BadInput where the file can't be opened, EnvironmentFailed where writing fails. A regular file is
// replaced whole or not at all.
void write_file(const std::string& file, const std::string& text);
// BadInput where a file that the command is given is the one that it is to write.
void require_no_input_replaced(const CLI::App& command);
// To the file, or to stdout where none is named.
void put(const std::string& file, const std::string& text);
std::string dumped(const nlohmann::ordered_json& json);
void warn(const std::vector<std::string>& warnings);

struct Output {
  std::string format = "text";
  bool ascii = false;
  std::string file;

  void options(CLI::App& app);
  void write(const Document& document, const std::function<nlohmann::ordered_json()>& json) const;
};

// Records as named; a folder stands for the newest record in it, by its header's `started_at`, then
// by name; which that is, and their warnings, go to stderr.
std::vector<Record> read_records(const std::vector<std::string>& names);
// --rates: one record, or several with commas between, for each time that it is given.
void add_rates_option(CLI::App& app, std::vector<std::string>& rates, const std::string& about);
// As read_record_list, with the records' warnings.
std::vector<Record> records_in(const std::string& list);

CLI::Validator number_above_0();
inline const std::string kListings = "listings";  // of --price: the published rents
CLI::Validator dollars();                         // of a GPU-hour, as much as a file may say
CLI::Validator dollars_or_listings();
CLI::Validator draws();  // 0: no range
CLI::Validator number_between(double least, double most);
CLI::Validator whole_number(std::int64_t least, std::int64_t most);

}  // namespace trainmeter
