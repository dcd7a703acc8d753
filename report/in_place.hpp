// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The in-place ratio from records: operations timed between the other kernels of a layer, against
// the same alone. It holds what the neighbours cost a kernel; a share of the SMs, the pass, the
// clock and what runs beside are other factors.
#pragma once

#include "record/record.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainmeter {

// A rate between the step's other kernels / the same alone, with the standard deviation of its
// logarithm.
struct InPlace {
  double ratio = 1, sigma = 0;
  std::size_t pairs = 0;  // operations that it is of; 0: of none, it was asked for
  // Each was timed alone in turn with the layer. Else the ratio is also of two clocks, or of what
  // the machine was at two times.
  bool in_turn = true;
  std::vector<std::string> origins = {};  // FILE:LINE of each in place and, where known, alone
};

// m, n, k and groups of a GEMM; all 0: of no one GEMM.
using GemmSize = std::array<std::int64_t, 4>;

// By dtype and, where a layout was in the layer, by pass: nt is fprop, nn dgrad, tn wgrad; and of
// each GEMM that was in the layer its own, which no other's stands in for: a layer with a head has
// half its time in the head, a step of many layers doesn't.
class InPlaceRatios {
 public:
  static InPlaceRatios all_one();  // GEMMs as fast as alone, of whatever dtype

  // `layout` empty: of all passes. The first of a dtype, layout and size stays.
  void add(std::string dtype, std::string layout, InPlace ratio, const GemmSize& size = {});
  // Of this very GEMM, else of this layout, else of the dtype; of bf16 for fp16 and the other way
  // round, which are one datapath. Nothing where no GEMM of that dtype was in a layer: it says
  // nothing of others.
  [[nodiscard]] const InPlace* of(std::string_view dtype, std::string_view layout,
                                  const GemmSize& size = {}) const;
  // Of an operation of a step that is no GEMM, by name.
  void add_other(const std::string& dtype, const std::string& operation, InPlace ratio) {
    others_[{dtype, operation}] = std::move(ratio);
  }
  [[nodiscard]] const InPlace* other(const std::string& dtype, const std::string& operation) const;
  [[nodiscard]] bool empty() const { return known_.empty(); }

 private:
  struct Known {
    std::string dtype, layout;
    GemmSize size;
    InPlace ratio;
  };
  std::vector<Known> known_;
  std::map<std::pair<std::string, std::string>, InPlace> others_;
};

// What several operations take in a layer together stands in one line of this operation, which they
// are named in (notes.of, with spaces between).
inline constexpr std::string_view kLayerOthers = "layer_others";

// Of all usable lines with "layer" beside them: the sum of the times alone / the sum of the times
// in place. Alone is the same case as the same session measured it in turn with the layer, as often
// as it stands in the layer; of a `gemm` of whose dtype none was measured so, the rate that the
// records have of the very shape and layout alone. No lines on operands that stay in the caches.
//
// A sigma is the error of that mean: the spread of the dtype's single ratios, weighted by time,
// over the root of the number of its GEMMs; of a lone GEMM, for all others, as wide as what is
// assumed where none is known.
InPlaceRatios measured_in_place(const std::vector<Record>& records);

}  // namespace trainmeter
