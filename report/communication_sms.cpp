// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Adds up layers beside a co-runner, and finds those of a share of the SMs.
#include "report/communication_sms.hpp"

#include "record/layer_factors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kSameShare = 0.005;  // of all SMs: less than one of 132

struct Times {
  double on_all = 0, on_fewer = 0, beside = 0;  // of a kind of parts, in the layer

  void add(const LayerFactor& sum) {
    on_all += sum.in_place_s;
    on_fewer += sum.in_place_s * sum.sms_in_place();
    beside += sum.beside_s();
  }
};

SmsLoss in_proportion(double compute_sms) {
  return {.fewer = 1 / compute_sms};
}

SmsLoss loss_of(const Times& t) {
  return {.fewer = t.on_fewer / t.on_all, .traffic = t.beside / t.on_fewer};
}

// With a pace of its own the co-runner stands for nobody's dispatch; in caches it meets none of the
// layer's traffic; and a layer without its attention core would leave that to be assumed.
bool counts(const Record& record, const LayerFactors& layer) {
  const Measurement& m = *layer.whole.alone;
  return m.sms > 0 && !m.shape.contains(kCoRate) && layer.sums().size() == 3 &&
         layer.whole.co_together->notes.contains("co_layer_bytes") && !is_hot(record, layer.whole);
}

struct Pool {
  std::string dtype;
  double share;
  Times gemms = {}, attention = {}, others = {};
  std::vector<std::string> layers = {}, origins = {};
};

// One of the factors, as a prediction shows it.
struct Named {
  const char *key, *whose, *what;
  double value;
  std::vector<std::string> parts;  // of the breakdown that it acts on
};

std::vector<Named> named(const CommunicationSms& sms) {
  constexpr const char* kFewer = "on the SMs that are left / on all";
  constexpr const char* kBeside = "beside its traffic / beside none";
  const std::vector<std::string> lost = {"interference_and_host"};
  std::vector<Named> out = {
      {"sms.gemms", "GEMMs", kFewer, sms.gemms.fewer, {"gemm", "grouped_gemm"}},
      {"sms.attention", "attention", kFewer, sms.attention.fewer, {"attention_core"}},
      {"sms.others", "other kernels", kFewer, sms.others.fewer, {"memory_bound"}},
      {"sms.gemms_beside", "GEMMs", kBeside, sms.gemms.traffic, lost},
      {"sms.attention_beside", "attention", kBeside, sms.attention.traffic, lost},
      {"sms.others_beside", "other kernels", kBeside, sms.others.traffic, lost}};
  std::erase_if(out, [](const Named& one) { return one.value == 1; });
  return out;
}

LayersBeside summed(const Pool& pool) {
  LayersBeside out{.dtype = pool.dtype, .share = pool.share, .loses = {}};
  CommunicationSms& loses = out.loses;
  loses.gemms = loss_of(pool.gemms);
  loses.attention = loss_of(pool.attention);
  loses.others = loss_of(pool.others);
  loses.how = fmt::format("of {} layer{} in {} beside a co-runner on {:.3g} % of the SMs",
                          pool.layers.size(), pool.layers.size() == 1 ? "" : "s", pool.dtype,
                          pool.share * 100);
  loses.origins = pool.origins;
  return out;
}

}  // namespace

std::vector<LayersBeside> layers_beside_communication(const std::vector<Record>& records) {
  std::vector<Pool> pools;
  for (const Record& record : records) {
    for (const LayerFactors& layer : layer_factors(record)) {
      if (!counts(record, layer)) continue;
      const Measurement& m = *layer.whole.alone;
      const double share =
          static_cast<double>(layer.whole.co_alone->sms) / static_cast<double>(m.sms);
      auto pool = std::ranges::find_if(pools, [&](const Pool& p) {
        return p.dtype == m.dtype && std::abs(p.share - share) < kSameShare;
      });
      if (pool == pools.end()) pool = pools.insert(pools.end(), {.dtype = m.dtype, .share = share});
      pool->gemms.add(layer.gemms);
      pool->attention.add(layer.attention);
      pool->others.add(layer.others);
      pool->layers.push_back(m.name);
      for (const std::size_t line : layer.lines)
        pool->origins.push_back(fmt::format("{}:{}", record.file.string(), line));
    }
  }
  std::vector<LayersBeside> out;
  for (const Pool& pool : pools) out.push_back(summed(pool));
  return out;
}

CommunicationSms communication_sms(const std::vector<LayersBeside>& measured,
                                   std::string_view dtype, double compute_sms) {
  CommunicationSms out;
  if (!(compute_sms < 1)) return out;
  const auto here = std::ranges::find_if(measured, [&](const LayersBeside& layers) {
    return layers.dtype == dtype && std::abs(layers.share - (1 - compute_sms)) < kSameShare;
  });
  if (here != measured.end()) return here->loses;
  out.gemms = out.attention = in_proportion(compute_sms);
  out.how =
      fmt::format("in proportion to the {:.3g} % of the SMs that are left", compute_sms * 100);
  return out;
}

std::string in_words(const CommunicationSms& sms) {
  std::vector<std::string> factors;
  for (const Named& one : named(sms))
    factors.push_back(fmt::format("{} {:.3f} times as long {}", one.whose, one.value, one.what));
  return fmt::format("communication has SMs of its own: {} ({})", fmt::join(factors, ", "),
                     sms.how);
}

std::vector<UsedInput> inputs_of(const CommunicationSms& sms) {
  std::vector<UsedInput> out;
  for (const Named& one : named(sms)) {
    UsedInput input;
    input.what = one.key;
    input.value = one.value;
    input.how = fmt::format("time of {} {} ({})", one.whose, one.what, sms.how);
    input.kind = sms.origins.empty() ? "assumed" : "measured";
    input.origins = sms.origins;
    if (sms.origins.empty()) input.origins = {"the constant kCommunicationSms of report/stack.cpp"};
    input.parts = one.parts;
    out.push_back(std::move(input));
  }
  return out;
}

}  // namespace trainmeter
