// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// On a CPU: all its threads write.
#include "kernels/cache_flush.hpp"

#include "kernels/host_buffer.hpp"

#include <memory>

namespace trainmeter {

std::function<void()> cache_flusher(DeviceKind device, std::int64_t bytes) {
  if (device == DeviceKind::gpu) return gpu_cache_flusher(bytes);
  return [buffer = std::make_shared<HostBuffer>(bytes), bytes, value = 0.0]() mutable {
    auto* const out = buffer->as<double>();
    value += 1;
    const double written = value;
    const std::int64_t count = bytes / static_cast<std::int64_t>(sizeof(double));
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < count; ++i) out[i] = written;
  };
}

}  // namespace trainmeter
