// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A root of the covariance by its eigenvectors, since rounding may leave it singular.
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
      solver.eigenvectors() * solver.eigenvalues().cwiseMax(0).cwiseSqrt().asDiagonal();
}

FactorValues NormalSampler::operator()(std::mt19937_64& random) const {
  std::normal_distribution<double> normal;
  FactorValues z{};
  for (double& value : z) value = normal(random);
  FactorValues out = mean_;
  for (std::size_t i = 0; i < kFactors; ++i) {
    for (std::size_t j = 0; j < kFactors; ++j) out[i] += root_[i * kFactors + j] * z[j];
  }
  return out;
}

}  // namespace trainmeter
