// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which in-place ratio (report/in_place.hpp) each operation of a step takes, and what they come to
// over the step.
#pragma once

#include "report/step_time.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

class StepInPlace {
 public:
  // `assume` hears what is assumed. The arguments outlive it.
  StepInPlace(const RateBook& book, std::function<void(std::string)> assume);

  // Of a GEMM of a class with `factors`, which takes `alone_s` of the step by itself. 1 where its
  // dtype was in no layer: the factors' then. 1, too, where it wasn't timed in turn with the layer:
  // under a power cap GEMMs are slowest alone, and all else is fastest alone, so a step gets back
  // with the one what it gains with the other; how far that ratio is from 1 is the error then.
  InPlace gemm(const GemmFactors& factors, const std::string& dtype, std::string_view layout,
               const GemmWork& work, double alone_s);
  // Of an operation of the run's own list.
  InPlace other(const StepOperation& operation, double alone_s);

  // By kind: time alone / time in the step.
  [[nodiscard]] std::vector<MeasuredInPlace> used() const;

 private:
  struct Kind {
    std::string what;
    double alone_s = 0, in_place_s = 0;
    double sigma = 0;  // x in_place_s
    bool as_alone = false;
    std::vector<const InPlace*> of;  // each once, in the order of use
  };
  void use(const std::string& what, const InPlace& known, const InPlace& taken, double alone_s);

  const RateBook& book_;
  std::function<void(std::string)> assume_;
  std::vector<Kind> kinds_;
};

}  // namespace trainmeter
