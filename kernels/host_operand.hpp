// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One operand of every set in host memory. The sets lie in one mapping: small operands by the
// hundred thousand, which caches of hundreds of MB ask for, would exceed the number of mappings
// that a process may have, and take a page each.
#pragma once

#include "kernels/host_buffer.hpp"

#include <cstdint>

namespace trainmeter {

class HostOperand {
 public:
  HostOperand(std::int64_t bytes, int sets);  // Unavailable where the system refuses

  [[nodiscard]] int sets() const { return sets_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }  // of one set
  [[nodiscard]] void* data(int set) const;                     // std::out_of_range beyond sets()
  template <class T>
  [[nodiscard]] T* as(int set) const {
    return static_cast<T*>(data(set));
  }

  // Gives every set the content of set 0, at the speed of memory where drawing random numbers would
  // take many times as long. In parallel with the static partition of the OpenMP pool, so it also
  // places pages that nobody has touched yet.
  void repeat_first() const;

 private:
  std::int64_t bytes_;
  std::int64_t stride_;
  int sets_;
  HostBuffer buffer_;
};

}  // namespace trainmeter
