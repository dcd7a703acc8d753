// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Empties a device's caches of what a measured operation left in them.
#pragma once

#include "kernels/operation.hpp"

#include <cstdint>
#include <functional>

namespace trainmeter {

// Each call writes `bytes` of a buffer of its own (twice the last-level cache, say) and returns
// when that is done. Unavailable where there is no memory for it.
std::function<void()> cache_flusher(DeviceKind device, std::int64_t bytes);
std::function<void()> gpu_cache_flusher(std::int64_t bytes);

}  // namespace trainmeter
