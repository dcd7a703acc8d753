// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/reporter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <sstream>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

benchmark::BenchmarkReporter::Run run_of(const std::string& name, const std::string& counter) {
  benchmark::BenchmarkReporter::Run run;
  run.run_name.function_name = name;
  run.iterations = 1;
  run.counters[counter] = benchmark::Counter(2);
  return run;
}

// What the reporter of such a file writes of these, one after the other.
std::string written(const std::string& format,
                    const std::vector<benchmark::BenchmarkReporter::Run>& runs) {
  Progress progress(static_cast<int>(runs.size()), false);
  GoogleFlags flags;
  flags.out_format = format;
  const std::unique_ptr<Reporter> reporter = file_reporter(flags, progress);
  std::ostringstream out;
  reporter->SetOutputStream(&out);
  reporter->SetErrorStream(&out);
  benchmark::BenchmarkReporter::Context::executable_name = "test";  // of all reporters
  benchmark::BenchmarkReporter::Context context;
  context.name_field_width = 40;  // it has none of itself: the console would pad to any width
  reporter->ReportContext(context);
  for (const auto& run : runs) reporter->ReportRuns({run});
  reporter->Finalize();
  return out.str();
}

std::string csv_of(const std::vector<benchmark::BenchmarkReporter::Run>& runs) {
  return written("csv", runs);
}

// Google Benchmark's own ends the program where a later row has a counter that the first hadn't.
TEST(Reporter, RowsOfCsvMayHaveOtherCountersThanTheFirst) {
  const std::string csv = csv_of({run_of("one", "TFLOP/s"), run_of("two", "GB/s")});
  EXPECT_THAT(csv, HasSubstr("\"GB/s\",\"TFLOP/s\""));
  EXPECT_THAT(csv, HasSubstr("\"two\""));
}

// The variation of what is 0 in every repetition is 0 / 0.
TEST(Reporter, JsonHoldsNumbersAlone) {
  auto variation = run_of("one", "left_out");
  variation.counters["left_out"] = benchmark::Counter(std::nan(""));
  variation.counters["spread"] = benchmark::Counter(std::numeric_limits<double>::infinity());
  variation.counters["samples"] = benchmark::Counter(50);
  const nlohmann::json read = nlohmann::json::parse(written("json", {variation}));
  const nlohmann::json& row = read.at("benchmarks").at(0);
  EXPECT_EQ(row.at("samples"), 50);
  EXPECT_FALSE(row.contains("left_out"));
  EXPECT_FALSE(row.contains("spread"));
}

// A search's cases have a number for a name until they are known.
TEST(Reporter, ALabelIsANameOfASearchAlone) {
  auto named = run_of("gemm/bf16/a/m:1/n:1/k:1", "GB/s");
  named.report_label = "gpt2-124m qkv fprop x 12";
  auto searched = run_of("   7", "GB/s");
  searched.report_label = "gemm/fp32/a/m:2/n:2/k:2";
  const std::string csv = csv_of({named, searched});
  EXPECT_THAT(csv, HasSubstr("\"gemm/bf16/a/m:1/n:1/k:1\""));
  EXPECT_THAT(csv, HasSubstr("\"gpt2-124m qkv fprop x 12\""));
  EXPECT_THAT(csv, HasSubstr("\"gemm/fp32/a/m:2/n:2/k:2\""));
}

// The console's rates are in FLOP/s; of repetitions, the variation of one is a share of it.
TEST(Reporter, TheVariationOfARateIsAShare) {
  auto mean = run_of("gemm/bf16/a/m:1/n:1/k:1", "TFLOP/s");
  mean.run_type = benchmark::BenchmarkReporter::Run::RT_Aggregate;
  mean.aggregate_name = "mean";
  mean.aggregate_unit = benchmark::kTime;
  auto variation = run_of("gemm/bf16/a/m:1/n:1/k:1", "TFLOP/s");
  variation.run_type = benchmark::BenchmarkReporter::Run::RT_Aggregate;
  variation.aggregate_name = "cv";
  variation.aggregate_unit = benchmark::kPercentage;
  variation.counters["TFLOP/s"] = benchmark::Counter(0.0743);
  const std::string console = written("console", {mean, variation});
  EXPECT_THAT(console, HasSubstr("FLOP/s=2T"));
  EXPECT_THAT(console, HasSubstr("FLOP/s=7.43%"));
}

}  // namespace
}  // namespace trainmeter
