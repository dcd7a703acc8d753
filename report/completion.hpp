// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Completion of the command line in bash, from the command line's own definition.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace trainmeter {

// A script to be sourced: commands after the program's name, a command's options after it, files
// for the rest.
std::string bash_completion(const CLI::App& app);

}  // namespace trainmeter
