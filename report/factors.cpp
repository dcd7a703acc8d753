// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads factors and calibrations.
#include "report/factors.hpp"

#include "record/error.hpp"
#include "record/strict_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr std::array<std::string_view, kFactors> kNames = {
    "in_place_hopper",     "in_place_hopper_fp8",
    "in_place_ampere",     "in_place_other",
    "sustained_clock",     "sustained_clock_fp8",
    "weight_pass",         "grouped_gemm",
    "attention_fused",     "attention_flash2",
    "traffic_fused",       "traffic_eager",
    "traffic_experts",     "node_links",
    "network_links",       "hop_latency_s",
    "node_interference",   "network_interference",
    "tensor_interference", "experts_host_s",
    "step_overhead_s",     "jitter"};

Belief read_belief(StrictObject object) {
  Belief out;
  out.place = object.place();
  const std::vector<double> mean = object.numbers("log_mean");
  if (mean.size() != kFactors) object.refuse("log_mean", fmt::format("{} numbers", kFactors));
  std::ranges::copy(mean, out.log_mean.begin());
  out.log_covariance = object.numbers("log_covariance");
  if (out.log_covariance.size() != kFactors * kFactors) {
    object.refuse("log_covariance", fmt::format("{} numbers", kFactors * kFactors));
  }
  out.form_sigma = object.non_negative("form_sigma");
  if (object.has("family")) (void)object.text("family");
  object.finish();
  return out;
}

nlohmann::ordered_json rounded(const auto& values) {
  auto out = nlohmann::ordered_json::array();
  for (const double v : values) out.push_back(std::stod(fmt::format("{:.6g}", v)));
  return out;
}

std::string line(const Belief& belief) {
  nlohmann::ordered_json json;
  json["log_mean"] = rounded(belief.log_mean);
  json["log_covariance"] = rounded(belief.log_covariance);
  json["form_sigma"] = std::stod(fmt::format("{:.6g}", belief.form_sigma));
  return json.dump();
}

}  // namespace

std::string_view to_string(Factor factor) {
  return kNames[static_cast<std::size_t>(factor)];
}

double FactorPrior::log_sigma() const {
  return std::log(high / low) / kSigmasOf90Percent;
}

FactorValues Belief::medians() const {
  FactorValues out{};
  for (std::size_t i = 0; i < kFactors; ++i) out[i] = std::exp(log_mean[i]);
  return out;
}

FactorValues FactorTable::medians() const {
  FactorValues out{};
  for (std::size_t i = 0; i < kFactors; ++i) out[i] = priors[i].median;
  return out;
}

FactorTable read_factors(const std::filesystem::path& file) {
  const nlohmann::json json = read_json_file(file);
  StrictObject object(json, file.string());
  FactorTable out;
  for (std::size_t i = 0; i < kFactors; ++i) {
    StrictObject one = object.object(std::string(kNames[i]));
    FactorPrior& prior = out.priors[i];
    prior.median = one.positive("median");
    prior.low = one.positive("low");
    prior.high = one.positive("high");
    prior.why = one.text("why");
    prior.place = one.place();
    if (!(prior.low < prior.median)) one.refuse("low", "less than median");
    if (!(prior.median < prior.high)) one.refuse("high", "more than median");
    one.finish();
  }
  object.finish();
  return out;
}

Belief prior_belief(const FactorTable& table) {
  Belief out;
  out.log_covariance.assign(kFactors * kFactors, 0);
  for (std::size_t i = 0; i < kFactors; ++i) {
    out.log_mean[i] = std::log(table.priors[i].median);
    out.log_covariance[i * kFactors + i] = std::pow(table.priors[i].log_sigma(), 2);
  }
  out.form_sigma = 0.12;  // before any row was looked at
  return out;
}

const Belief& Calibration::for_family(const std::string& family) const {
  const auto found = std::ranges::find(without, family, &std::pair<std::string, Belief>::first);
  return found == without.end() ? all : found->second;
}

std::optional<OneFamily> Calibration::learnt_from_one(Factor factor) const {
  constexpr double kMostSpreads = 2;
  const auto f = static_cast<std::size_t>(factor);
  const auto sigma = [&](const Belief& belief) {
    return std::sqrt(belief.log_covariance[f * (kFactors + 1)]);
  };
  const auto shift = [&](const std::pair<std::string, Belief>& one) {
    return std::abs(one.second.log_mean[f] - all.log_mean[f]);
  };
  const auto most = std::ranges::max_element(without, {}, shift);
  if (most == without.end() || !(shift(*most) > kMostSpreads * sigma(all))) return std::nullopt;
  const double middle = std::exp(most->second.log_mean[f]);
  const double half = std::exp(kSigmasOf90Percent / 2 * sigma(most->second));
  return OneFamily{most->first, middle / half, middle, middle * half};
}

Calibration read_calibration(const std::filesystem::path& file) {
  const nlohmann::json json = read_json_file(file);
  StrictObject object(json, file.string());
  Calibration out;
  if (!std::ranges::equal(object.texts("factors"), kNames)) {
    object.refuse("factors", "this version's factors in their order (validate --calibrate)");
  }
  out.all = read_belief(object.object("all"));
  for (StrictObject& one : object.objects("without")) {
    std::string family = one.text("family");
    out.without.emplace_back(std::move(family), read_belief(one));
  }
  object.finish();
  return out;
}

std::string to_json_text(const Calibration& calibration) {
  std::string out = "{\n  \"factors\": " +
                    nlohmann::json(std::vector<std::string>(kNames.begin(), kNames.end())).dump() +
                    ",\n";
  out += "  \"all\": " + line(calibration.all) + ",\n  \"without\": [\n";
  for (std::size_t i = 0; i < calibration.without.size(); ++i) {
    const auto& [family, belief] = calibration.without[i];
    out += "    {\"family\": " + nlohmann::json(family).dump() + ", " + line(belief).substr(1);
    out += i + 1 < calibration.without.size() ? ",\n" : "\n";
  }
  return out + "  ]\n}\n";
}

}  // namespace trainmeter
