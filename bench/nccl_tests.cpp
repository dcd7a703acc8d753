// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The table's lines, to the space.
#include "bench/nccl_tests.hpp"

#include "bench/session.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/nccl_names.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace trainmeter {
namespace {

constexpr const char* kVersion = "2.19.6";  // whose text this is
constexpr const char* kNotThere = "N/A";

// sendrecv_perf names the reduction it was given, too.
bool names_sum(const std::string& operation) {
  return operation == "allreduce" || operation == "reducescatter" || operation == "reduce" ||
         operation == "sendrecv";
}

// As many decimals as fit `width`, two at most.
std::string fitted(double value, std::size_t width) {
  for (const int decimals : {2, 1, 0}) {
    std::string text = fmt::format("{:{}.{}f}", value, width, decimals);
    if (text.size() <= width) return text;
  }
  return fmt::format("{:{}.{}e}", value, width, width >= 7 ? 1 : 0);
}

}  // namespace

std::string nccl_tests_device(int rank, int group, int process, const std::string& host, int device,
                              const std::string& name) {
  return fmt::format("#  Rank {:2} Group {:2} Pid {:6} on {:>10} device {:2} [0000:00:00] {}\n",
                     rank, group, process, host, device, name);
}

NcclTestsTable::NcclTestsTable(const Options& options, std::string by, Put put)
    : options_(options),
      by_(std::move(by)),
      put_(std::move(put)),
      program_(nccl_program(options.collective.operations.front())) {}

void NcclTestsTable::begin(const std::vector<std::string>& devices) {
  const CollectiveOptions& asked = options_.collective;
  const bool factor = asked.factor > 1;
  put_(fmt::format("# nccl-tests version {} nccl-headers=0 nccl-library=0\n", kVersion));
  put_(fmt::format("# trainmeter {}: {}\n", program_version(), by_));
  put_(fmt::format("# Collective test starting: {}\n", program_));
  put_(fmt::format(
      "# nThread 1 nGpus {} minBytes {} maxBytes {} step: {}({}) warmup iters: {} iters: {} agg "
      "iters: 1 validation: {} graph: 0 unalign: 0\n#\n",
      asked.gpus == 0 ? 1 : asked.gpus, asked.least_bytes, asked.most_bytes,
      factor ? asked.factor : asked.step_bytes, factor ? "factor" : "bytes", *asked.warmup,
      *asked.iterations, asked.checks));
  put_("# Using devices\n");
  for (const std::string& line : devices) put_(line);
  put_(
      fmt::format("#\n# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}           out-of-place                "
                  "       in-place          \n",
                  "", "", "", "", ""));
  const auto columns = [&](const std::vector<const char*>& c) {
    put_(
        fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}  {:>7}  {:>6}  {:>6}  {:>6}  {:>7}  "
                    "{:>6}  {:>6}  {:>6} \n",
                    c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[5], c[6], c[7], c[8]));
  };
  columns({"size", "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong"});
  columns({"(B)", "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)", ""});
}

void NcclTestsTable::take(const Measurement& row, std::int64_t wrong) {
  Half mine{.row = row, .wrong = wrong};
  const bool in_place = row.shape.contains("in_place");
  if (!waiting_.empty()) {
    const Measurement& last = waiting_.back().row;
    const bool same_size = last.shape.at("bytes") == row.shape.at("bytes");
    if (!same_size || (!in_place && last.repetition >= row.repetition)) print_waiting();
  }
  if (!in_place) {
    waiting_.push_back(std::move(mine));
    return;
  }
  const auto other = std::ranges::find_if(
      waiting_, [&](const Half& one) { return one.row.repetition == row.repetition; });
  if (other == waiting_.end()) {  // the filter left it out
    line(nullptr, &mine);
  } else {
    line(&*other, &mine);
    waiting_.erase(other);
  }
}

void NcclTestsTable::line(const Half* out_of_place, const Half* in_place) {
  const Measurement& row = (out_of_place != nullptr ? out_of_place : in_place)->row;
  const std::int64_t elements =
      row.shape.at("bytes") / static_cast<std::int64_t>(dtype_bytes(row.dtype));
  const bool rooted = row.operation == "broadcast" || row.operation == "reduce";
  put_(fmt::format("{:>12}  {:>12}  {:>8}  {:>6}  {:>6}", static_cast<std::int64_t>(row.bytes),
                   nccl_counts_parts(row.operation) ? elements / row.ranks : elements,
                   nccl_type(row.dtype), names_sum(row.operation) ? "sum" : "none",
                   rooted ? 0 : -1));
  half(out_of_place);
  half(in_place);
  put_("\n");
}

void NcclTestsTable::half(const Half* half) {
  if (half == nullptr) {
    put_(fmt::format("  {:>7}  {:>6}  {:>6}  {:>6}", kNotThere, kNotThere, kNotThere, kNotThere));
    return;
  }
  const auto& [row, wrong] = *half;
  if (wrong > 0 || !row.failure.empty()) ++failed_rows_;
  const std::string wrong_text = options_.collective.checks > 0
                                     ? fmt::format("{:>6.6g}", static_cast<double>(wrong))
                                     : "  N/A";
  if (row.time_s.empty()) {
    put_(fmt::format("  {:>7}  {:>6}  {:>6}  {}", kNotThere, kNotThere, kNotThere, wrong_text));
    return;
  }
  const double seconds = mean(row.time_s);
  const double algorithm = rate(row.bytes, seconds) / 1e9;
  const double bus = algorithm * bus_factor(row.operation, row.ranks);
  put_(fmt::format("  {}  {}  {}  {}", fitted(seconds * 1e6, 7), fitted(algorithm, 6),
                   fitted(bus, 6), wrong_text));
  bus_sum_ += bus;
  ++halves_;
}

// Whose other half doesn't come: the backend can't do it in place.
void NcclTestsTable::print_waiting() {
  for (const Half& one : waiting_) line(&one, nullptr);
  waiting_.clear();
}

bool NcclTestsTable::end(double least_GBps) {
  print_waiting();
  // Of no row there is nothing to say: --max_seconds left all out, or a signal came before.
  const bool none = halves_ == 0 && failed_rows_ == 0;
  const double average = halves_ > 0 ? bus_sum_ / static_cast<double>(halves_) : 0;
  const bool slow = halves_ > 0 && average < 0.9 * least_GBps;
  const auto verdict = [](bool told, bool failed) { return !told ? "" : failed ? "FAILED" : "OK"; };
  put_(fmt::format("# {:<20} : {} {}\n", "Out of bounds values", failed_rows_,
                   verdict(!none, failed_rows_ > 0)));
  put_(fmt::format("# {:<20} : {:g} {}\n#\n", "Avg bus bandwidth", average,
                   verdict(least_GBps >= 0 && halves_ > 0, slow)));
  put_(fmt::format("# Collective test concluded: {}\n#\n\n", program_));
  return failed_rows_ == 0 && !slow;
}

}  // namespace trainmeter
