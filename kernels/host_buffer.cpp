// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Host memory straight from the kernel.
#include "kernels/host_buffer.hpp"

#include "kernels/machine.hpp"
#include "kernels/operation.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace trainmeter {

HostBuffer::HostBuffer(std::int64_t bytes) : bytes_(bytes) {
  if (bytes < 1) throw std::invalid_argument("a buffer holds at least one byte");
  const auto length = static_cast<std::size_t>(bytes);
  void* mapped = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    throw Unavailable("no " + std::to_string(bytes) + " bytes of memory: " + std::strerror(errno));
  }
  madvise(mapped, length, MADV_HUGEPAGE);  // a wish: where it is refused, small pages serve
  data_ = mapped;
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

HostBuffer::~HostBuffer() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(bytes_));
}

std::int64_t host_bytes_for_operands() {
  const std::int64_t available = cpu_info().memory_available_bytes;
  return available - available / 16;
}

}  // namespace trainmeter
