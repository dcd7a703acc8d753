// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all GEMM implementations share: names and sizes.
#include "kernels/gemm.hpp"

#include <stdexcept>

namespace trainmeter {

std::string_view to_string(Layout layout) {
  switch (layout) {
    case Layout::nn:
      return "nn";
    case Layout::nt:
      return "nt";
    case Layout::tn:
      return "tn";
  }
  throw std::invalid_argument("no such layout");
}

std::int64_t output_size_of(DType input) {
  switch (input) {
    case DType::fp64:
      return 8;
    case DType::fp32:
    case DType::tf32:
    case DType::int8:
      return 4;
    case DType::fp16:
    case DType::bf16:
    case DType::fp8:
    case DType::fp8_e5m2:
      return 2;
  }
  throw std::invalid_argument("no such element type");
}

}  // namespace trainmeter
