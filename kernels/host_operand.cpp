// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where the sets of an operand lie in host memory.
#include "kernels/host_operand.hpp"

#include "kernels/operation.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

constexpr std::int64_t kPage = 4096;
// From here on the threads share each copy; below, each copies whole operands.
constexpr std::int64_t kSharedFrom = 1 << 20;

std::int64_t total_bytes(std::int64_t bytes, int sets) {
  if (sets < 1) throw std::invalid_argument("an operand has at least one set");
  std::int64_t total = 0;
  if (__builtin_mul_overflow(operand_stride(bytes), static_cast<std::int64_t>(sets), &total)) {
    throw Unavailable(std::to_string(sets) + " sets of " + std::to_string(bytes) +
                      " bytes are beyond any memory");
  }
  return total;
}

}  // namespace

HostOperand::HostOperand(std::int64_t bytes, int sets)
    : bytes_(bytes),
      stride_(operand_stride(bytes)),
      sets_(sets),
      buffer_(total_bytes(bytes, sets)) {}

void* HostOperand::data(int set) const {
  if (set < 0 || set >= sets_) {
    throw std::out_of_range("operand set " + std::to_string(set) + " of " + std::to_string(sets_));
  }
  return buffer_.as<char>() + set * stride_;
}

void HostOperand::repeat_first() const {
  const char* const first = buffer_.as<char>();
  if (stride_ < kSharedFrom) {
#pragma omp parallel for schedule(static)
    for (int set = 1; set < sets_; ++set) {
      std::memcpy(buffer_.as<char>() + set * stride_, first, static_cast<std::size_t>(bytes_));
    }
    return;
  }
  const std::int64_t pages = ceil_div(bytes_, kPage);
  for (int set = 1; set < sets_; ++set) {
    char* const to = buffer_.as<char>() + set * stride_;
#pragma omp parallel for schedule(static)
    for (std::int64_t page = 0; page < pages; ++page) {
      const std::int64_t at = page * kPage;
      std::memcpy(to + at, first + at, static_cast<std::size_t>(std::min(kPage, bytes_ - at)));
    }
  }
}

}  // namespace trainmeter
