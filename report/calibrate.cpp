// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Gauss-Newton on log step times.
#include "report/calibrate.hpp"

#include "record/error.hpp"

#include <Eigen/Dense>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <set>
#include <thread>

namespace trainmeter {
namespace {

constexpr auto kN = static_cast<Eigen::Index>(kFactors);
constexpr double kRowSigma = 0.10;    // what a row's own circumstances are worth, in log step time
constexpr double kRowsOfAFamily = 3;  // rows of one table share their circumstances
constexpr int kIterations = 12;

FactorValues values_of(const Eigen::VectorXd& logs) {
  FactorValues out{};
  for (std::size_t i = 0; i < kFactors; ++i) out[i] = std::exp(logs[static_cast<Eigen::Index>(i)]);
  return out;
}

// The linear model of every row's log error around one point.
struct Linear {
  Eigen::VectorXd error;
  Eigen::MatrixXd slope;
};

// A published step beside the ways that a fit finds likely.
struct WeighedRow {
  const ScoredRun* row;
  std::vector<Candidate> ways;
};
using RowList = std::vector<WeighedRow>;

void weigh(RowList& rows, const FactorValues& factors) {
  for (WeighedRow& row : rows) row.ways = weighed(row.row->ways, factors);
}

double log_step(const WeighedRow& row, const std::vector<StepSampler>& samplers,
                const FactorValues& factors) {
  double out = 0;
  for (std::size_t c = 0; c < samplers.size(); ++c) {
    out += row.ways[c].weight * std::log(samplers[c](factors, {}));
  }
  return out;
}

Linear linearise(const RowList& rows, const Eigen::VectorXd& at_logs) {
  constexpr double kStep = 1e-3;
  const auto n = static_cast<Eigen::Index>(rows.size());
  Linear out{Eigen::VectorXd(n), Eigen::MatrixXd(n, kN)};
  const FactorValues centre = values_of(at_logs);
  for (Eigen::Index r = 0; r < n; ++r) {
    const WeighedRow& row = rows[static_cast<std::size_t>(r)];
    std::vector<StepSampler> samplers;
    for (const Candidate& c : row.ways) samplers.emplace_back(c.bill, centre);
    const double base = log_step(row, samplers, centre);
    out.error[r] = base - std::log(row.row->published_s);
    for (Eigen::Index f = 0; f < kN; ++f) {
      FactorValues moved = centre;
      moved[static_cast<std::size_t>(f)] *= std::exp(kStep);
      out.slope(r, f) = (log_step(row, samplers, moved) - base) / kStep;
    }
  }
  return out;
}

class Fit {
 public:
  Fit(const RowList& rows, const FactorTable& factors)
      : rows_(rows), prior_(prior_belief(factors)) {
    for (const WeighedRow& row : rows) count_[row.row->run.family] += 1;
    mean_ = Eigen::Map<const Eigen::VectorXd>(prior_.log_mean.data(), kN);
    precision_ = Eigen::VectorXd(kN);
    for (Eigen::Index i = 0; i < kN; ++i) {
      precision_[i] = 1 / prior_.log_covariance[static_cast<std::size_t>(i) * (kFactors + 1)];
    }
  }

  [[nodiscard]] const Eigen::VectorXd& start() const { return mean_; }

  // One step from `from`, without `family` where it names one.
  Belief solve(const Linear& linear, const Eigen::VectorXd& from,
               const std::optional<std::string>& family) const {
    Eigen::MatrixXd normal = precision_.asDiagonal();
    Eigen::VectorXd right = precision_.cwiseProduct(mean_ - from);
    for (Eigen::Index r = 0; r < linear.error.size(); ++r) {
      const std::string& its = rows_[static_cast<std::size_t>(r)].row->run.family;
      if (its == family) continue;
      const double rows = count_.at(its);
      // A row far off has a cause that the model lacks: it counts for less (Huber's weight).
      constexpr double kFar = 0.25;
      const double far = std::min(1.0, kFar / std::max(1e-9, std::abs(linear.error[r])));
      const double weight = far * std::min(rows, kRowsOfAFamily) / rows / (kRowSigma * kRowSigma);
      normal.noalias() += weight * linear.slope.row(r).transpose() * linear.slope.row(r);
      right.noalias() -= weight * linear.error[r] * linear.slope.row(r).transpose();
    }
    const Eigen::LDLT<Eigen::MatrixXd> solver(normal);
    const Eigen::VectorXd logs = from + solver.solve(right);
    const Eigen::MatrixXd covariance = solver.solve(Eigen::MatrixXd::Identity(kN, kN));
    Belief out;
    for (std::size_t i = 0; i < kFactors; ++i) out.log_mean[i] = logs[static_cast<Eigen::Index>(i)];
    out.log_covariance.assign(kFactors * kFactors, 0);
    for (Eigen::Index i = 0; i < kN; ++i) {
      for (Eigen::Index j = 0; j < kN; ++j) {
        out.log_covariance[static_cast<std::size_t>(i * kN + j)] = covariance(i, j);
      }
    }
    return out;
  }

 private:
  const RowList& rows_;
  Belief prior_;
  Eigen::VectorXd mean_, precision_;
  std::map<std::string, double> count_;
};

Eigen::VectorXd logs_of(const Belief& belief) {
  return Eigen::Map<const Eigen::VectorXd>(belief.log_mean.data(), kN);
}

struct Residual {
  double error = 0;            // of log step time
  double factor_variance = 0;  // what the factors' own uncertainty makes of it
};

// What the model's form leaves: the standard deviation which, together with the factors' own
// uncertainty, makes 90 % ranges that hold 90 % of the families' rows, every family alike, each
// predicted without itself.
double form_sigma(const std::map<std::string, std::vector<Residual>>& families) {
  const auto covered = [&](double sigma) {
    double share = 0;
    for (const auto& [family, residuals] : families) {
      for (const Residual& r : residuals) {
        const double bound = kSigmasOf90Percent / 2 * std::sqrt(sigma * sigma + r.factor_variance);
        if (std::abs(r.error) < bound) share += 1 / static_cast<double>(residuals.size());
      }
    }
    return share / static_cast<double>(families.size());
  };
  constexpr double kCovered = 0.90;
  constexpr double kLeast = 0.03;
  constexpr double kStep = 0.001;
  double sigma = kLeast;
  while (covered(sigma) < kCovered && sigma < 1) sigma += kStep;
  return sigma;
}

// The fit to all rows but those of `without`, which has no part in anything here: neither in the
// point that the model is linearised around nor in the width of the ranges.
Belief fitted(const Rows& all, const FactorTable& factors,
              const std::optional<std::string>& without) {
  RowList rows;
  for (const ScoredRun& row : all.scored) {
    if (row.run.family != without) rows.push_back({&row, {}});
  }
  const Fit fit(rows, factors);
  Eigen::VectorXd point = fit.start();
  Belief out;
  // First the centres, of ways as the priors weigh them; then twice more as the fit before weighs
  // them, and with what sampling adds to the centres, since medians are reported.
  weigh(rows, values_of(point));
  Eigen::VectorXd shift = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(rows.size()));
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kIterations; ++i) {
      Linear linear = linearise(rows, point);
      linear.error += shift;
      out = fit.solve(linear, point, std::nullopt);
      point = logs_of(out);
    }
    if (round + 1 == kRounds) break;
    weigh(rows, out.medians());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      shift[static_cast<Eigen::Index>(r)] = median_shift(rows[r].ways, out, {});
    }
  }

  Linear linear = linearise(rows, point);
  linear.error += shift;
  std::map<std::string, std::vector<Residual>> errors;
  for (const WeighedRow& row : rows) errors[row.row->run.family];
  for (auto& [family, residuals] : errors) {
    const Belief belief = fit.solve(linear, point, family);
    const Eigen::Map<const Eigen::MatrixXd> c(belief.log_covariance.data(), kN, kN);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      if (rows[r].row->run.family != family) continue;
      const Eigen::RowVectorXd slope = linear.slope.row(static_cast<Eigen::Index>(r));
      residuals.push_back({log_error(*rows[r].row, belief) + shift[static_cast<Eigen::Index>(r)],
                           (slope * c * slope.transpose())(0, 0)});
    }
  }
  out.form_sigma = form_sigma(errors);
  return out;
}

std::optional<std::string> why_not(const Run& run) {
  if (!run.model) return "no model";
  if (!run.system) return "no system";
  if (!run.seq_len) return "no sequence length";
  if (!run.global_batch_sequences) return "no batch";
  if (!run.parallel) return "no layout";
  const Published& p = run.published;
  if (!p.step_time_s && !p.tokens_per_s_per_gpu && !p.tokens_per_day && !p.tflops_per_gpu &&
      !p.mfu && !p.hfu) {
    return p.gpu_hours || p.wall_hours ? "whole-run hours only: restarts and evaluation included"
                                       : "no step time, rate or MFU";
  }
  return std::nullopt;
}

}  // namespace

Rows published_rows(const Library& library) {
  Rows out;
  std::map<std::string, RateBook> books;
  for (const std::string& id : library.ids("runs")) {
    Run run = library.run(id);
    if (const auto reason = why_not(run)) {
      out.unscored.push_back({run.id, run.family, *reason});
      continue;
    }
    RateBook& book = books[run.system->id];
    if (book.points().empty()) book.add_published(library, *run.system);
    try {
      ScoredRun row{.run = run, .published_s = 0, .null_s = 0, .ways = {}};
      row.ways = possible_ways(run, *run.system, book);
      const double peak = run.published.mfu_peak_flops.value_or(run.system->peak_flops.at("bf16"));
      row.published_s = *published_step_time(run, peak);
      row.null_s = *null_step_s(run, *run.system, book);
      out.scored.push_back(std::move(row));
    } catch (const BadInput& error) {
      out.unscored.push_back({run.id, run.family, error.what()});
    }
  }
  return out;
}

double log_error(const ScoredRun& row, const Belief& belief) {
  const FactorValues factors = belief.medians();
  return std::log(central_step_s(weighed(row.ways, factors), factors) / row.published_s);
}

Calibration calibrate(const Rows& rows, const FactorTable& factors) {
  std::set<std::string> families;
  for (const ScoredRun& row : rows.scored) families.insert(row.run.family);
  Calibration out;
  for (const std::string& family : families) out.without.emplace_back(family, Belief{});
  // Each fit for itself; the last one is of all rows.
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i <= out.without.size(); i = next++) {
      if (i == out.without.size()) {
        out.all = fitted(rows, factors, std::nullopt);
      } else {
        out.without[i].second = fitted(rows, factors, out.without[i].first);
      }
    }
  };
  std::vector<std::jthread> pool;
  for (unsigned t = 1; t < std::thread::hardware_concurrency(); ++t) pool.emplace_back(work);
  work();
  pool.clear();
  return out;
}

}  // namespace trainmeter
