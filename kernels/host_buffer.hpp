// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Host memory for operands: page-aligned, untouched (so that the thread which fills a page places
// it), large pages where the kernel has them, and an error with sizes where there is none left.
#pragma once

#include <cstdint>

namespace trainmeter {

class HostBuffer {
 public:
  explicit HostBuffer(std::int64_t bytes);  // Unavailable where the system refuses
  ~HostBuffer();
  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer(const HostBuffer&) = delete;  // operands are large: never copied by accident
  HostBuffer& operator=(const HostBuffer&) = delete;
  HostBuffer& operator=(HostBuffer&&) = delete;

  [[nodiscard]] void* data() const { return data_; }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// What operands may take of the memory that is free now: 15/16 of it, since checking a result and
// the libraries need some too.
std::int64_t host_bytes_for_operands();

}  // namespace trainmeter
