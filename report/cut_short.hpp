// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which programs' lists of cases --max_seconds ended before they were done.
#pragma once

#include "record/record.hpp"

#include <vector>

namespace trainmeter {

// By header: whether its program was given so many seconds, and they had passed when it finished
// its last case. Then other cases of its list may be missing, and tell nothing of the device.
std::vector<bool> sessions_cut_short(const Record& record);

}  // namespace trainmeter
