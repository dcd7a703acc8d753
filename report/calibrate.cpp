// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Gauss-Newton on log step times, its steps shortened until they lead downhill: a step time has
// kinks (the longer of two things that run side by side), and whole steps jump from one side of a
// kink to the other for ever.
#include "report/calibrate.hpp"

#include "record/error.hpp"
#include "report/in_parallel.hpp"

#include <Eigen/Dense>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace trainmeter {
namespace {

constexpr auto kN = static_cast<Eigen::Index>(kFactors);
constexpr double kRowSigma = 0.10;    // what a row's own circumstances are worth, in log step time
constexpr double kRowsOfAFamily = 3;  // rows of one table share their circumstances

FactorValues values_of(const Eigen::VectorXd& logs) {
  FactorValues out{};
  for (std::size_t i = 0; i < kFactors; ++i) out[i] = std::exp(logs[static_cast<Eigen::Index>(i)]);
  return out;
}

// A published step beside the ways that a fit finds likely.
struct WeighedRow {
  const ScoredRun* row;
  std::vector<Candidate> ways;
};
using RowList = std::vector<WeighedRow>;

void weigh(RowList& rows, const FactorValues& factors) {
  for (WeighedRow& row : rows) row.ways = weighed(row.row->ways, factors);
}

// Every row's step as a function of the factors, right at the points that it has learned.
class Steps {
 public:
  Steps(const RowList& rows, const Eigen::VectorXd& logs) : rows_(rows) {
    const FactorValues factors = values_of(logs);
    for (const WeighedRow& row : rows) {
      std::vector<StepSampler>& ways = samplers_.emplace_back();
      ways.reserve(row.ways.size());
      for (const Candidate& c : row.ways) ways.emplace_back(c.bill, factors);
    }
  }

  void learn(const Eigen::VectorXd& logs) {
    const FactorValues factors = values_of(logs);
    for (std::vector<StepSampler>& ways : samplers_) {
      for (StepSampler& way : ways) way.learn(factors);
    }
  }

  // By row: the log of predicted / published.
  [[nodiscard]] Eigen::VectorXd errors(const Eigen::VectorXd& logs) const {
    const FactorValues factors = values_of(logs);
    Eigen::VectorXd out(static_cast<Eigen::Index>(rows_.size()));
    for (Eigen::Index r = 0; r < out.size(); ++r) {
      const double published_s = rows_[static_cast<std::size_t>(r)].row->published_s;
      out[r] = log_step(r, factors) - std::log(published_s);
    }
    return out;
  }

  // By row and factor: what an error gains by a factor's logarithm. From both sides, so that it is
  // the mean of the two at a kink.
  [[nodiscard]] Eigen::MatrixXd slopes(const Eigen::VectorXd& logs) const {
    constexpr double kStep = 0.01;
    const FactorValues factors = values_of(logs);
    Eigen::MatrixXd out(static_cast<Eigen::Index>(rows_.size()), kN);
    for (Eigen::Index f = 0; f < kN; ++f) {
      FactorValues more = factors;
      FactorValues less = factors;
      more[static_cast<std::size_t>(f)] *= std::exp(kStep);
      less[static_cast<std::size_t>(f)] *= std::exp(-kStep);
      for (Eigen::Index r = 0; r < out.rows(); ++r) {
        out(r, f) = (log_step(r, more) - log_step(r, less)) / (2 * kStep);
      }
    }
    return out;
  }

 private:
  [[nodiscard]] double log_step(Eigen::Index r, const FactorValues& factors) const {
    const auto row = static_cast<std::size_t>(r);
    double out = 0;
    for (std::size_t c = 0; c < samplers_[row].size(); ++c) {
      out += rows_[row].ways[c].weight * std::log(samplers_[row][c](factors, {}));
    }
    return out;
  }

  const RowList& rows_;
  std::vector<std::vector<StepSampler>> samplers_;  // by row and way
};

// The linear model of every row's log error around one point.
struct Linear {
  Eigen::VectorXd error;
  Eigen::MatrixXd slope;
};

class Fit {
 public:
  Fit(const RowList& rows, const FactorTable& factors) : rows_(rows) {
    std::map<std::string, double> count;
    for (const WeighedRow& row : rows) count[row.row->run.family] += 1;
    for (const WeighedRow& row : rows) {
      const double of_family = count.at(row.row->run.family);
      weights_.push_back(std::min(of_family, kRowsOfAFamily) / of_family / (kRowSigma * kRowSigma));
    }
    const Belief prior = prior_belief(factors);
    mean_ = Eigen::Map<const Eigen::VectorXd>(prior.log_mean.data(), kN);
    precision_ = Eigen::VectorXd(kN);
    for (Eigen::Index i = 0; i < kN; ++i) {
      precision_[i] = 1 / prior.log_covariance[static_cast<std::size_t>(i) * (kFactors + 1)];
    }
  }

  [[nodiscard]] const Eigen::VectorXd& prior() const { return mean_; }

  // What a fit makes least: the rows' errors, those far off by Huber's loss, since they have a
  // cause that the model lacks; and the way from the prior.
  [[nodiscard]] double misfit(const Eigen::VectorXd& errors, const Eigen::VectorXd& logs) const {
    double out = precision_.dot((logs - mean_).cwiseAbs2());
    for (Eigen::Index r = 0; r < errors.size(); ++r) {
      const double off = std::abs(errors[r]);
      out += weights_[static_cast<std::size_t>(r)] *
             (off < kFar ? off * off : kFar * (2 * off - kFar));
    }
    return out;
  }

  // The least misfit of the linear model around `from`, without `family` where it names one.
  struct Solution {
    Eigen::VectorXd step;
    Eigen::MatrixXd covariance;
  };
  [[nodiscard]] Solution solve(const Linear& linear, const Eigen::VectorXd& from,
                               const std::optional<std::string>& family) const {
    Eigen::MatrixXd normal = precision_.asDiagonal();
    Eigen::VectorXd right = precision_.cwiseProduct(mean_ - from);
    for (Eigen::Index r = 0; r < linear.error.size(); ++r) {
      if (rows_[static_cast<std::size_t>(r)].row->run.family == family) continue;
      const double far = std::min(1.0, kFar / std::max(1e-9, std::abs(linear.error[r])));
      const double weight = far * weights_[static_cast<std::size_t>(r)];
      normal.noalias() += weight * linear.slope.row(r).transpose() * linear.slope.row(r);
      right.noalias() -= weight * linear.error[r] * linear.slope.row(r).transpose();
    }
    const Eigen::LDLT<Eigen::MatrixXd> solver(normal);
    return {solver.solve(right), solver.solve(Eigen::MatrixXd::Identity(kN, kN))};
  }

 private:
  static constexpr double kFar = 0.25;  // in log step time

  const RowList& rows_;
  std::vector<double> weights_;  // by row
  Eigen::VectorXd mean_, precision_;
};

Belief belief_of(const Eigen::VectorXd& logs, const Eigen::MatrixXd& covariance) {
  Belief out;
  Eigen::Map<Eigen::VectorXd>(out.log_mean.data(), kN) = logs;
  out.log_covariance.resize(kFactors * kFactors);
  Eigen::Map<Eigen::MatrixXd>(out.log_covariance.data(), kN, kN) = covariance;
  return out;
}

// Moves `logs` to the least misfit that is found downhill of it, `shift` added to the errors. The
// linear model around that point. A step is judged by the paths that are known before it; the ones
// learned there may show that it led uphill, so the best point counts, which need not be the last.
Linear descend(const Fit& fit, const RowList& rows, const Eigen::VectorXd& shift,
               Eigen::VectorXd& logs) {
  constexpr int kMostSteps = 30;
  constexpr double kLeastShare = 1.0 / 8;  // of a whole step
  constexpr double kLeastGain = 0.005;     // of misfit, which is a squared number of sigmas
  Steps steps(rows, logs);
  Linear best;
  Eigen::VectorXd best_logs;
  double best_misfit = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kMostSteps; ++i) {
    const Linear here{steps.errors(logs) + shift, steps.slopes(logs)};
    const double misfit = fit.misfit(here.error, logs);
    if (misfit < best_misfit) {
      best = here;
      best_logs = logs;
      best_misfit = misfit;
    }
    const Eigen::VectorXd whole = fit.solve(here, logs, std::nullopt).step;
    double share = 1;
    const auto gains = [&] {
      const Eigen::VectorXd there = logs + share * whole;
      return fit.misfit(steps.errors(there) + shift, there) < misfit - kLeastGain;
    };
    while (share >= kLeastShare && !gains()) share /= 2;
    if (share < kLeastShare) break;
    logs += share * whole;
    steps.learn(logs);
  }
  logs = best_logs;
  return best;
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

RowList rows_without(const Rows& all, const std::optional<std::string>& family) {
  RowList out;
  for (const ScoredRun& row : all.scored) {
    if (row.run.family != family) out.push_back({&row, {}});
  }
  return out;
}

// Weighs each row's ways as `belief` finds them likely. What sampling the factors adds to their
// centres, by row, since medians are reported.
Eigen::VectorXd weigh_and_shift(RowList& rows, Belief belief) {
  belief.form_sigma = 0;
  weigh(rows, belief.medians());
  Eigen::VectorXd out(static_cast<Eigen::Index>(rows.size()));
  for (Eigen::Index r = 0; r < out.size(); ++r) {
    out[r] = median_shift(rows[static_cast<std::size_t>(r)].ways, belief, {});
  }
  return out;
}

// The fit to all rows but those of `without`, which has no part in anything here: neither in the
// point that the model is linearised around nor in the width of the ranges.
Belief fitted(const Rows& all, const FactorTable& factors,
              const std::optional<std::string>& without) {
  RowList rows = rows_without(all, without);
  const Fit fit(rows, factors);
  Eigen::VectorXd logs = fit.prior();
  // First the centres, of ways as the priors weigh them; then medians, of ways as the fit before
  // weighs them.
  weigh(rows, values_of(logs));
  Eigen::VectorXd shift = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(rows.size()));
  Linear linear = descend(fit, rows, shift, logs);
  Fit::Solution solution = fit.solve(linear, logs, std::nullopt);
  constexpr int kMoreRounds = 2;
  for (int round = 0; round < kMoreRounds; ++round) {
    shift = weigh_and_shift(rows, belief_of(logs, solution.covariance));
    linear = descend(fit, rows, shift, logs);
    solution = fit.solve(linear, logs, std::nullopt);
  }
  Belief out = belief_of(logs, solution.covariance);

  std::map<std::string, std::vector<Residual>> errors;
  for (const WeighedRow& row : rows) errors[row.row->run.family];
  for (auto& [family, residuals] : errors) {
    const Fit::Solution other = fit.solve(linear, logs, family);
    // At a kink the linear model would step even from the best point: it is the difference that
    // the family makes.
    const Belief belief = belief_of(logs + other.step - solution.step, other.covariance);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      if (rows[r].row->run.family != family) continue;
      const Eigen::RowVectorXd slope = linear.slope.row(static_cast<Eigen::Index>(r));
      residuals.push_back({log_error(*rows[r].row, belief) + shift[static_cast<Eigen::Index>(r)],
                           (slope * other.covariance * slope.transpose())(0, 0)});
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

double left_to_gain(const Rows& all, const FactorTable& factors, const Belief& belief, double by) {
  RowList rows = rows_without(all, std::nullopt);
  const Eigen::VectorXd shift = weigh_and_shift(rows, belief);
  const Fit fit(rows, factors);
  const auto misfit = [&](const Eigen::VectorXd& logs) {
    return fit.misfit(Steps(rows, logs).errors(logs) + shift, logs);
  };
  const Eigen::VectorXd arrived = Eigen::Map<const Eigen::VectorXd>(belief.log_mean.data(), kN);
  const double least = misfit(arrived);
  double most = 0;
  for (Eigen::Index f = 0; f < kN; ++f) {
    for (const double way : {by, -by}) {
      most = std::max(most, least - misfit(arrived + way * Eigen::VectorXd::Unit(kN, f)));
    }
  }
  return most;
}

Calibration calibrate(const Rows& rows, const FactorTable& factors) {
  std::set<std::string> families;
  for (const ScoredRun& row : rows.scored) families.insert(row.run.family);
  Calibration out;
  for (const std::string& family : families) out.without.emplace_back(family, Belief{});
  // Each fit for itself; the last one is of all rows.
  in_parallel(out.without.size() + 1, 0, [&](std::size_t i) {
    if (i == out.without.size()) {
      out.all = fitted(rows, factors, std::nullopt);
    } else {
      out.without[i].second = fitted(rows, factors, out.without[i].first);
    }
  });
  return out;
}

}  // namespace trainmeter
