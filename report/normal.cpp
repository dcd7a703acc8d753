// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The covariance's symmetric root, since rounding may leave it singular, and since it is the one
// root that changes little where the covariance does: other roots hang on eigenvectors' signs and
// order, so that the same draws would mean other factors after the last digit's rounding.
#include "report/normal.hpp"

#include <Eigen/Dense>

namespace trainmeter {

NormalSampler::NormalSampler(const FactorValues& mean, const std::vector<double>& covariance)
    : mean_(mean), root_(kFactors * kFactors) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto n = static_cast<Eigen::Index>(kFactors);
  const Eigen::Map<const Matrix> c(covariance.data(), n, n);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(c);
  Eigen::Map<Matrix>(root_.data(), n, n) =
      solver.eigenvectors() * solver.eigenvalues().cwiseMax(0).cwiseSqrt().asDiagonal() *
      solver.eigenvectors().transpose();
}

FactorValues NormalSampler::operator()(const FactorValues& standard) const {
  FactorValues out = mean_;
  for (std::size_t i = 0; i < kFactors; ++i) {
    for (std::size_t j = 0; j < kFactors; ++j) out[i] += root_[i * kFactors + j] * standard[j];
  }
  return out;
}

}  // namespace trainmeter
