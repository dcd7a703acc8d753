// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Writes the script.
#include "report/completion.hpp"

#include <fmt/format.h>

namespace trainmeter {

std::string bash_completion(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands += " " + command->get_name();
    std::string options;
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) options += " --" + name;
    }
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(), options);
  }
  return fmt::format(R"(_{0}() {{
  local words='{1}' word=${{COMP_WORDS[COMP_CWORD]}}
  if [ "$COMP_CWORD" -gt 1 ]; then
    words=
    if [[ $word == -* ]]; then case ${{COMP_WORDS[1]}} in
{2}    esac; fi
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _{0} {0}
)",
                     app.get_name(), commands, cases);
}

}  // namespace trainmeter
