// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What one line of a record says: of which kind its operation is, whether it gives a rate, and
// which.
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/rates.hpp"

#include <algorithm>

namespace trainmeter {

bool is_memory_kernel(std::string_view operation) {
  return operation == "copy" || operation == "read" || operation == "write" || operation == "triad";
}

bool is_step_kernel(std::string_view operation) {
  return std::ranges::find(step_kernel_names(), operation) != step_kernel_names().end();
}

bool is_collective(std::string_view operation) {
  return std::ranges::find(collective_names(), operation) != collective_names().end();
}

bool is_compute(std::string_view operation) {
  if (operation == "attention_decode") return false;  // reads keys and values once: memory-bound
  return operation == "gemm" || operation == "grouped_gemm" || operation == "fma" ||
         operation.starts_with("attention") || operation.starts_with("layer_");
}

bool gives_rate(const Measurement& m, const Header& header) {
  // A share of a GPU's multiprocessors says nothing of all of them.
  if (header.device.kind == "gpu" && m.sms > 0 && m.sms < header.device.sms) return false;
  if (m.shape.contains("virtual_ranks")) return false;  // one GPU's memory instead of links
  if (m.shape.contains(kCoSms)) return false;           // few samples, between others' runs
  const auto noted = [&](const char* what) { return m.notes.contains(what); };
  return m.usable() && m.beside == "none" && header.discipline.data == "normal" &&
         header.discipline.cache != "hot" && !noted("data") && !noted("cache") && !noted("probe") &&
         !noted("in_turn");
}

std::string pass_layout(const Measurement& m) {
  const bool adds = m.shape.contains("accumulate");
  return m.dtype == "fp8" && m.layout == "nt" && adds ? "tn" : m.layout;
}

std::string_view layout_that_serves(std::string_view dtype, std::string_view layout_of_pass) {
  return dtype == "fp8" && layout_of_pass == "nn" ? "nt" : layout_of_pass;
}

double noise_of(const Measurement& m) {
  const std::vector<double> time_s = counted_samples(m).time_s;
  return kNormalMad * median_absolute_deviation(time_s) / median(time_s);
}

double rate_at(const Measurement& m, const Header& header, double seconds) {
  if (is_compute(m.operation)) {
    return rate(m.flops, seconds) /
           static_cast<double>(std::max<std::int64_t>(1, header.device.count));
  }
  const double bytes_per_s = rate(m.bytes, seconds);
  return is_collective(m.operation) ? bytes_per_s * bus_factor(m.operation, m.ranks) : bytes_per_s;
}

double rate_of(const Measurement& m, const Header& header) {
  const std::vector<double> time_s = counted_samples(m).time_s;
  constexpr double kFast = 0.05;
  return rate_at(m, header, m.operation == "fma" ? quantile(time_s, kFast) : median(time_s));
}

}  // namespace trainmeter
