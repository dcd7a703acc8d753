// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A record that can be shown to strangers: what was measured, and nothing of who measured it where
// (docs/record.md).
#pragma once

#include "record/record.hpp"

#include <string>

namespace trainmeter {

// Keeps numbers, times of day, and those words that it knows; all other text becomes "other", is
// left out, or (hosts, sessions, serial numbers of GPUs) becomes a pseudonym: the same for the same
// text and `salt`, and not to be traced back without it.
Record anonymised(const Record& record, const std::string& salt);

std::string to_text(const Record& record);  // its lines, as a file holds them

}  // namespace trainmeter
