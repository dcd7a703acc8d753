// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Peaks with where each stands.
#include "report/mfu_peak.hpp"

#include "record/error.hpp"

#include <fmt/format.h>

namespace trainmeter {
namespace {

UsedInput of_system(const System& system, const std::string& dtype, double value) {
  UsedInput out;
  out.value = value;
  out.how = fmt::format("dense {} peak of {}", dtype, system.id);
  out.place = system.place.at("peak_flops." + dtype);
  out.numbers = {"machine:peak_flops." + dtype};
  return out;
}

UsedInput of_register_loop(const Rate& measured, const std::string& dtype) {
  UsedInput out;
  out.value = measured.value;
  out.how = fmt::format("register loop in {}", dtype);
  out.kind = "measured";
  out.origins = {measured.origin};
  return out;
}

UsedInput of_best_gemm(const RatePoint& gemm, const std::string& dtype) {
  UsedInput out;
  out.value = gemm.value;
  out.how = fmt::format("the best {} GEMM, which is above what else is known as the peak", dtype);
  out.kind = gemm.published ? "published" : "measured";
  out.origins = {gemm.origin};
  if (gemm.published) out.numbers = {gemm.name + ":rate"};
  return out;
}

}  // namespace

std::optional<UsedInput> dense_peak(const std::string& first, const Run& run, const System& system,
                                    const RateBook& book) {
  for (const std::string& dtype : {first, run.precision, std::string("fp32")}) {
    std::optional<UsedInput> peak;
    if (const auto found = system.peak_flops.find(dtype); found != system.peak_flops.end()) {
      peak = of_system(system, dtype, found->second);
    } else if (const auto measured = book.register_peak(dtype)) {
      peak = of_register_loop(*measured, dtype);
    }
    if (!peak) continue;
    const auto gemm = book.best_gemm(dtype);
    if (gemm && gemm->value > peak->value) peak = of_best_gemm(*gemm, dtype);
    return peak;
  }
  return std::nullopt;
}

UsedInput mfu_peak(const Run& run, const System& system, const RateBook& book) {
  UsedInput out;
  if (run.published.mfu_peak_flops) {
    out.value = *run.published.mfu_peak_flops;
    out.how = "the peak that the run's source gives MFU against";
    out.place = run.place.at("published.mfu_peak_flops");
  } else if (const auto peak = dense_peak("bf16", run, system, book)) {
    out = *peak;
  } else {
    throw BadInput(
        fmt::format("system {}: peak_flops: no bf16 or {} peak, so MFU has no denominator",
                    system.id, run.precision));
  }
  out.what = "mfu_peak_flops";
  return out;
}

}  // namespace trainmeter
