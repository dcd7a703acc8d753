// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From independent standard normals to draws of the factors' logarithms from a joint one.
#pragma once

#include "report/factors.hpp"

#include <vector>

namespace trainmeter {

class NormalSampler {
 public:
  // `covariance` is kFactors x kFactors, row by row, positive semi-definite up to rounding.
  NormalSampler(const FactorValues& mean, const std::vector<double>& covariance);
  FactorValues operator()(const FactorValues& standard) const;

 private:
  FactorValues mean_;
  std::vector<double> root_;  // root x its transpose is the covariance
};

}  // namespace trainmeter
