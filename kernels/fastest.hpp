// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The fastest of several ways to do the same on a GPU, found by doing it.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace trainmeter {

// The seconds of each way in `order`, run one after the other.
using TimesOfWays =
    std::function<std::vector<double>(const std::vector<std::size_t>& order, int trial)>;

// The index of the way with the lowest median of six trials. They begin with other ways, and go
// forward and backward: the clock falls from the rest before a trial on, and who is always first
// would win. One that takes half as long again as the best isn't tried again.
std::size_t fastest_of(std::size_t ways, const TimesOfWays& times_of);

// The same of launch(way, trial) on `stream` (a cudaStream_t). `kernels`: launches of one run.
std::size_t fastest_of(void* stream, std::size_t ways,
                       const std::function<void(std::size_t way, int trial)>& launch,
                       int kernels = 1);

}  // namespace trainmeter
