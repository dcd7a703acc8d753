// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all GEMM implementations share: names and sizes.
#include "kernels/gemm.hpp"

#include <stdexcept>

namespace trainmeter {

std::string_view to_string(GemmLayout layout) {
  switch (layout) {
    case GemmLayout::nn:
      return "nn";
    case GemmLayout::nt:
      return "nt";
    case GemmLayout::tn:
      return "tn";
  }
  throw std::invalid_argument("no such layout");
}

std::string_view to_string(Scaling scaling) {
  switch (scaling) {
    case Scaling::none:
      return "none";
    case Scaling::tensor:
      return "tensor";
    case Scaling::block128:
      return "block128";
  }
  throw std::invalid_argument("no such scaling");
}

std::int64_t output_size_of(const GemmProblem& problem) {
  return has_fp32_output(problem) ? 4 : output_size_of(problem.dtype);
}

bool has_fp32_output(const GemmProblem& problem) {
  return problem.accumulate || problem.fp32_out;
}

std::string why_not_plain(std::string_view backend, const GemmProblem& problem) {
  const std::string name(backend);
  if (problem.scaling != Scaling::none) return name + ": has no scales";
  if (problem.accumulate) return name + ": writes C, and adds to none here";
  if (problem.fp32_out) return name + ": writes C in no other type here";
  if (problem.sms > 0) return name + ": takes all of the device";
  return "";
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
