// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Work that comes in parts, by several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace trainmeter {

// part(i) for each i below `count`, in any order. `threads`: 0: as many as there are cores. Throws
// what the first part threw that failed, once all are done.
void in_parallel(std::size_t count, int threads, const std::function<void(std::size_t)>& part);

}  // namespace trainmeter
