// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Names of the memory kernels.
#include "kernels/memory.hpp"

#include <stdexcept>

namespace trainmeter {

std::string_view to_string(MemoryKernel kernel) {
  switch (kernel) {
    case MemoryKernel::copy:
      return "copy";
    case MemoryKernel::read:
      return "read";
    case MemoryKernel::write:
      return "write";
    case MemoryKernel::triad:
      return "triad";
  }
  throw std::invalid_argument("no such memory kernel");
}

}  // namespace trainmeter
