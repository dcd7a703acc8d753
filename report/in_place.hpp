// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The in-place ratio from records: GEMMs timed between the other kernels of a layer, against the
// same GEMMs alone. It holds what the neighbours cost a kernel; a share of the SMs, the pass, the
// clock and what runs beside are other factors.
#pragma once

#include "record/record.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// A GEMM's rate between the step's other kernels / its rate alone, with the standard deviation of
// its logarithm.
struct InPlace {
  double ratio = 1, sigma = 0;
  std::size_t pairs = 0;             // GEMMs that it is of; 0: of none, it was asked for
  std::vector<std::string> origins;  // FILE:LINE of each in place and, where one is known, alone
};

// By dtype and, where a layout was in the layer, by pass: nt is fprop, nn dgrad, tn wgrad.
class InPlaceRatios {
 public:
  static InPlaceRatios all_one();  // GEMMs as fast as alone, of whatever dtype

  // `layout` empty: of all passes. The first of a dtype and layout stays.
  void add(std::string dtype, std::string layout, InPlace ratio);
  // Of this layout, else of the dtype; of bf16 for fp16 and the other way round, which are one
  // datapath. Nothing where no GEMM of that dtype was in a layer: it says nothing of others.
  [[nodiscard]] const InPlace* of(std::string_view dtype, std::string_view layout) const;
  [[nodiscard]] bool empty() const { return known_.empty(); }

 private:
  struct Known {
    std::string dtype, layout;
    InPlace ratio;
  };
  std::vector<Known> known_;
};

// Of all usable lines of a `gemm` or `grouped_gemm` with "layer" beside it: the sum of the times
// alone / the sum of the times in place. Alone is the same case as the same session measured it in
// turn with the layer (layer_bench), as often as it stands in the layer; else, of a `gemm`, the
// rate that the records have of the very shape and layout alone. No lines on operands that stay in
// the caches.
//
// A sigma is the error of that mean: the spread of the dtype's single ratios, weighted by time,
// over the root of the number of its GEMMs.
InPlaceRatios measured_in_place(const std::vector<Record>& records);

}  // namespace trainmeter
