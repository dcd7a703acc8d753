// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads overlaps, and carries them to the share of the SMs that a run's collectives hold.
#include "report/slowdowns.hpp"

#include "record/formulas.hpp"
#include "record/overlap.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

// SMs that NCCL's kernels hold. Inside a node 16 to 24 (factors.json); between nodes 8 to 16
// channels of rings over all GPUs and NICs (report/step_links.cpp has those of one NIC).
constexpr double kNodeSms = 20;
constexpr double kNetworkSms = 12;
constexpr double kLeastLost = 0.01;  // less than samples resolve, and no logarithm of 0
constexpr double kNormal95 = 1.96;   // half a 95 % interval of a normal, in standard deviations

// Standard deviation of the relative error of a ratio of two rows' times.
double error_of(const MedianEstimate& ratio, const Measurement& a, const Measurement& b) {
  if (ratio.interval) return ratio.half_width() / kNormal95;
  return std::hypot(noise_of(a), noise_of(b));  // of one sample: no less is known
}

std::optional<Slowdown> slowdown_of(const Record& record, const Interference& one) {
  const Measurement& gemm = *one.alone;
  Slowdown out;
  out.dtype = gemm.dtype;
  out.traffic = one.co_alone->operation;
  const bool collective = is_collective(out.traffic);
  if (gemm.operation != "gemm" && gemm.operation != "grouped_gemm") return std::nullopt;
  // What only polls or stays in the caches is no collective's traffic, a set rate nobody's.
  if (!collective && out.traffic != "memory_mover") return std::nullopt;
  if (gemm.shape.contains(kCoRate) || gemm.shape.contains("virtual_ranks")) return std::nullopt;
  out.share = static_cast<double>(gemm.shape.at(kCoSms)) / static_cast<double>(gemm.sms);
  std::vector<double> lost = {lost_share(one.both.median)};
  if (one.untold) lost.push_back(lost_share(one.untold->median));
  if (!collective) lost.push_back(lost_share(one.sms.median));
  for (double& share : lost) share = std::max(share, kLeastLost);
  const auto [least, most] = std::ranges::minmax(lost);
  out.least = least;
  out.most = most;
  // d log(1 - 1 / r) = dr / r / (r - 1)
  out.sigma = error_of(one.both, *one.together, gemm) * (1 - lost.front()) / lost.front();
  out.traffic_takes = one.co_traffic.median;
  for (const Line& line : record.lines) {
    const Measurement* m = &line.measurement;
    if (m == one.alone || m == one.together || (one.untold && m == one.crowded) ||
        (!collective && m == one.held) ||
        (collective && (m == one.co_alone || m == one.co_together)))
      out.origins.push_back(fmt::format("{}:{}", record.file.string(), line.line));
  }
  return out;
}

double distance(const Slowdown& known, double share) {
  return std::abs(std::log(known.share / share));
}

// All of them at one share.
Lost carried(const std::vector<const Slowdown*>& known, double share) {
  Lost out;
  double least = 1;
  double most = 0;
  double sigma = 0;
  double takes = 0;
  const Slowdown& first = *known.front();
  for (const Slowdown* one : known) {
    least = std::min(least, one->least);
    most = std::max(most, one->most);
    sigma = std::max(sigma, one->sigma);
    takes += std::log(one->traffic_takes) / static_cast<double>(known.size());
    out.origins.insert(out.origins.end(), one->origins.begin(), one->origins.end());
  }
  const double times = share / first.share;
  out.value = std::min(1.0, times * std::sqrt(least * most));
  // The 90 % range holds all of them, and reaches to what was measured at the other share.
  constexpr double kHalf = kSigmasOf90Percent / 2;
  out.sigma =
      std::hypot(std::log(most / least) / kSigmasOf90Percent, sigma, std::log(times) / kHalf);
  constexpr double kLeastSigma = 0.02;
  out.sigma = std::max(out.sigma, kLeastSigma);
  if (is_collective(first.traffic)) out.collective_takes = std::exp(takes);
  out.how = fmt::format("1 - time alone / time beside {}, of {} GEMM{} in {}: {:.2f} to {:.2f}",
                        first.traffic, known.size(), known.size() == 1 ? "" : "s", first.dtype,
                        least, most);
  constexpr double kSame = 1e-3;
  if (kSame < std::abs(std::log(times)))
    out.how += fmt::format(" with {:.3g} % of the SMs or cores, x {:.2f} for {:.3g} %",
                           first.share * 100, times, share * 100);
  return out;
}

double sigma_of(const Belief& belief, std::size_t factor) {
  return std::sqrt(belief.log_covariance[factor * (kFactors + 1)]);
}

}  // namespace

std::optional<Lost> Slowdowns::of(std::string_view dtype, double share) const {
  if (!(share > 0)) return std::nullopt;
  const std::string_view twin = dtype == "bf16" ? "fp16" : dtype == "fp16" ? "bf16" : dtype;
  for (const bool collective : {true, false}) {
    for (const std::string_view as : {dtype, twin}) {
      const auto fits = [&](const Slowdown& one) {
        return one.dtype == as && is_collective(one.traffic) == collective;
      };
      const Slowdown* nearest = nullptr;
      for (const Slowdown& one : known_) {
        if (fits(one) && (nearest == nullptr || distance(one, share) < distance(*nearest, share)))
          nearest = &one;
      }
      if (nearest == nullptr) continue;
      std::vector<const Slowdown*> found;
      for (const Slowdown& one : known_)
        if (fits(one) && one.share == nearest->share) found.push_back(&one);
      return carried(found, share);
    }
  }
  return std::nullopt;
}

Slowdowns measured_slowdowns(const std::vector<Record>& records) {
  Slowdowns out;
  for (const Record& record : records) {
    for (const Interference& one : interferences(record)) {
      if (is_hot(record, one)) continue;  // a step's operands are cold
      if (auto found = slowdown_of(record, one)) out.add(std::move(*found));
    }
  }
  return out;
}

// On a CPU a rank's collective has one of the rank's cores.
double share_inside_a_node(const System& system) {
  if (system.sms < 1) return 0;
  const auto of = [&](double held) {
    return std::min(1.0, held / static_cast<double>(system.sms));
  };
  return of(system.kind == "cpu" ? static_cast<double>(system.gpus_per_node) : kNodeSms);
}

double share_between_nodes(const System& system) {
  return share_inside_a_node(system) * (system.kind == "cpu" ? 1 : kNetworkSms / kNodeSms);
}

std::vector<MeasuredFactor> measured_factors(const Slowdowns& slowdowns, std::string_view dtype,
                                             const System& system) {
  std::vector<MeasuredFactor> out;
  for (const auto& [factor, share] :
       {std::pair(Factor::node_interference, share_inside_a_node(system)),
        std::pair(Factor::network_interference, share_between_nodes(system))}) {
    if (auto lost = slowdowns.of(dtype, share)) out.push_back({factor, std::move(*lost)});
  }
  return out;
}

Belief with_measured(Belief belief, const std::vector<MeasuredFactor>& measured) {
  for (const MeasuredFactor& one : measured) {
    const auto f = static_cast<std::size_t>(one.factor);
    const double times = one.is.sigma / sigma_of(belief, f);
    belief.log_mean[f] = std::log(one.is.value);
    for (std::size_t other = 0; other < kFactors; ++other) {
      belief.log_covariance[f * kFactors + other] *= times;
      belief.log_covariance[other * kFactors + f] *= times;
    }
  }
  return belief;
}

FactorValues with_measured(FactorValues logs, const Belief& belief,
                           const std::vector<MeasuredFactor>& measured) {
  for (const MeasuredFactor& one : measured) {
    const auto f = static_cast<std::size_t>(one.factor);
    const double drawn = std::log(one.is.value) +
                         (logs[f] - belief.log_mean[f]) * one.is.sigma / sigma_of(belief, f);
    logs[f] = std::min(drawn, 0.0);  // no second loses more than itself
  }
  return logs;
}

}  // namespace trainmeter
