// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The backends that a program's flags may name, whatever this build and this machine have of them:
// what isn't here is a mistake on every machine, what is may be lacking on this one.
#pragma once

#include "bench/options.hpp"

#include <string>
#include <vector>

namespace trainmeter {

const std::vector<std::string>& backend_names(Program program);

// BadInput where --versus names none of them.
void require_versus(const Options& options);

}  // namespace trainmeter
