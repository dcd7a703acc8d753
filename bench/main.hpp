// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the programs' main functions share.
#pragma once

#include "bench/case_lists.hpp"

namespace trainmeter {

// The whole of a program that measures one device from one process. Returns the exit code.
int device_main(Program program, int argc, char** argv,
                CaseList (*cases)(const Options&, const Target&));

// The whole of collective_bench.
int collective_main(int argc, char** argv);

}  // namespace trainmeter
