// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program `trainmeter`: reads the command line and runs one command.
#include "record/error.hpp"
#include "record/strict_json.hpp"
#include "record/text_limits.hpp"
#include "report/command.hpp"
#include "report/completion.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

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
  return fmt::format("unknown argument '{}'{}", name, suggestion(name, known));
}

// What is wrong with the command line, in one line.
std::string complaint(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const auto extras = app.remaining(true);
    return unknown_argument(app, extras.empty() ? "" : extras.front());
  }
  if (app.get_subcommands().empty()) {
    for (int i = 1; i < argc; ++i) {
      if (argv[i][0] != '\0') return unknown_argument(app, argv[i]);
    }
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
    return fmt::format("expected a command: {} (--help says more)", fmt::join(names, ", "));
  }
  std::string what = error.what();
  std::ranges::replace(what, '\n', ' ');
  return what;
}

int run_program(int argc, char** argv) {
  CLI::App app{"What a GPU node really delivers, and what training on it would cost."};
  app.name("trainmeter");
  app.require_subcommand(1);
  app.set_version_flag("--version", "trainmeter " TRAINMETER_VERSION);
  const auto all = commands();
  for (const auto& command : all)
    command->options(*app.add_subcommand(command->name, command->about));
  app.add_subcommand("completion", "for bash: source <(trainmeter completion)");
  app.footer(
      "Exit codes: 0 fine; 1 a check failed (a regression, a bad node); 2 bad usage or input;\n"
      "3 this machine lacks what was asked for; 4 the environment failed. COMMAND --help has its\n"
      "options; docs/report.md, claims.md, comparing.md, accepting.md, operating.md its meaning.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    if (app.get_subcommands().empty() && !app.remaining().empty())
      throw BadInput(unknown_argument(app, app.remaining().front()));
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    throw BadInput(complaint(app, error, argc, argv));
  }
  const std::string chosen = app.get_subcommands().front()->get_name();
  if (chosen == "completion") {
    put("", bash_completion(app));
    return kFine;
  }
  require_no_input_replaced(*app.get_subcommands().front());
  return (*std::ranges::find(all, chosen, &Command::name))->run();
}

}  // namespace
}  // namespace trainmeter

int main(int argc, char** argv) {
  try {
    return trainmeter::run_program(argc, argv);
  } catch (const trainmeter::BadInput& error) {
    fmt::print(stderr, "trainmeter: {}\n", trainmeter::visible(error.what()));
    return trainmeter::kBadInput;
  } catch (const trainmeter::MachineLacks& error) {
    fmt::print(stderr, "trainmeter: {}\n", error.what());
    return trainmeter::kUnavailable;
  } catch (const std::exception& error) {
    fmt::print(stderr, "trainmeter: {}\n", trainmeter::visible(error.what()));
    return trainmeter::kEnvironmentFailed;
  }
}
