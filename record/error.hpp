// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The errors of files and of the environment. main() alone turns them into exit codes
// (record/exit_code.hpp).
#pragma once

#include <stdexcept>
#include <string>

namespace trainmeter {

// Bad usage or bad input, wrong on every machine: exit code 2. The text is one line: file, key,
// what was expected.
class BadInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The environment failed in mid-run (disk full, dead rank): exit code 4. What was written before
// stays valid.
class EnvironmentFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace trainmeter
