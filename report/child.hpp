// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Runs another program, never through a shell: its arguments are what it gets.
#pragma once

#include <string>
#include <vector>

namespace trainmeter {

struct ChildOutput {
  int code = 0;  // exit code; 128 + the signal that ended it
  std::string out, err;
};

// Found in PATH where the name has no slash. EnvironmentFailed where it can't be started.
ChildOutput run_child(const std::vector<std::string>& command);  // keeps what it says
// It says so itself; its exit code. `input` is what it reads, where it isn't empty.
int run_visibly(const std::vector<std::string>& command, const std::string& input = "");

}  // namespace trainmeter
