// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The header of this program's part of a record: who measures, with what, under which settings.
#pragma once

#include "bench/options.hpp"
#include "bench/target.hpp"
#include "record/record.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// Of the checkout this was built from, "-dirty" where it had changes; written anew at every build.
std::string_view git_revision();
std::string_view program_version();

Discipline discipline_of(const Target& target, const Options& options, const Rules& rules);
Header make_header(const Options& options, const Target& target, const Rules& rules);

// Of `variables` ("NAME=value"), those that change what is measured and tell nothing else.
std::map<std::string, std::string> allowed_environment(const char* const* variables);

}  // namespace trainmeter
