// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where a launcher (mpirun, srun, torchrun) started several processes of a program that knows no
// ranks, each measures beside its copies: that is said, and stands in the record.
#pragma once

#include "bench/options.hpp"
#include "record/record.hpp"

#include <string>

namespace trainmeter {

// For stderr, of rank 0 alone; empty where there is nothing to say.
std::string warning_of_copies(const Options& options);
void note_copies(Device& device);  // in its details, as `launched`

}  // namespace trainmeter
