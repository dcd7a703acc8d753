// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operands: seeded N(0,1) data, the same whatever the number of threads.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <cstdint>

namespace trainmeter {

// Fills `count` elements at `data` with N(0,1), rounded to `type`; `seed` and an element's index
// alone decide its value. int8: 32 N(0,1), rounded to nearest and clamped to [-127, 127]. In
// parallel, with the static partition of the OpenMP pool, so it also places pages.
// Other values: uniform in (-1, 1) (int8: times 32), zeros, whole numbers from -4 to 4 (exact in
// every format).
void fill_random(void* data, std::int64_t count, DType type, std::uint64_t seed,
                 Values values = Values::normal);

// One seed for each operand of each set, so that no two are alike.
std::uint64_t operand_seed(std::uint64_t seed, int set, int operand);

}  // namespace trainmeter
