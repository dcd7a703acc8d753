// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What other people's tools read.
#include "report/exports.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

// Two starts: a GEMM at 1 and at 1.5 TFLOP/s, a copy at 10 GB/s.
Record two_starts() {
  Record record = record_of({gemm_at(1e12, 1000, 1000, 500), gemm_at(1.5e12, 1000, 1000, 500),
                             measured("copy", "fp64", "openmp", {{"bytes", 1000}}, 1e9, 0.1)});
  Header second = record.headers.front();
  second.session = "test-2";
  record.headers.push_back(second);
  record.lines[1].session = 1;
  record.lines[1].measurement.session = second.session;
  return record;
}

std::map<std::string, std::vector<nlohmann::ordered_json>> by_name(
    const nlohmann::ordered_json& benchmarks) {
  std::map<std::string, std::vector<nlohmann::ordered_json>> out;
  for (const auto& entry : benchmarks) out[entry.at("name")].push_back(entry);
  return out;
}

}  // namespace

TEST(Exports, GoogleBenchmarkHasRepetitionsAndAggregates) {
  const auto json = to_google_benchmark({two_starts()});
  EXPECT_EQ(json.at("context").at("host_name"), "here");
  const auto entries = by_name(json.at("benchmarks"));
  const std::string gemm = "gemm/bf16/onednn/k:500/m:1000/n:1000";
  ASSERT_EQ(entries.at(gemm).size(), 2U);
  EXPECT_NEAR(entries.at(gemm)[0].at("real_time").get<double>(), 1e6, 1e-3);  // 1 GFLOP: 1 ms
  EXPECT_EQ(entries.at(gemm)[1].at("repetition_index"), 1);
  EXPECT_EQ(entries.at(gemm)[1].at("iterations"), 7);
  const auto& mean = entries.at(gemm + "_mean").front();
  EXPECT_EQ(mean.at("run_type"), "aggregate");
  EXPECT_EQ(mean.at("run_name"), gemm);
  EXPECT_NEAR(mean.at("real_time").get<double>(), (1e6 + 2e6 / 3) / 2, 1e-3);
  EXPECT_NEAR(mean.at("flops_per_s").get<double>(), 1.25e12, 1);
  EXPECT_NEAR(entries.at(gemm + "_cv").front().at("flops_per_s").get<double>(),
              std::sqrt(0.125) / 1.25, 1e-9);
  EXPECT_FALSE(entries.contains("copy/fp64/openmp/bytes:1000_mean"));  // one start has no mean
  EXPECT_NEAR(entries.at("copy/fp64/openmp/bytes:1000")[0].at("bytes_per_s").get<double>(), 1e10,
              1);
}

// What tools/compare.py of Google Benchmark 1.7.1 reads (gbench/report.py).
TEST(Exports, GoogleBenchmarkHasTheFieldsThatCompareReads) {
  const auto json = to_google_benchmark({small_cpu()});
  std::set<std::string> names;
  for (const auto& entry : json.at("benchmarks")) {
    EXPECT_TRUE(names.insert(entry.at("name")).second);
    for (const char* key : {"real_time", "cpu_time"}) EXPECT_GT(entry.at(key).get<double>(), 0);
    EXPECT_EQ(entry.at("time_unit"), "ns");
    EXPECT_EQ(entry.at("run_type"), "iteration");
  }
  EXPECT_TRUE(names.contains("allreduce/fp32/mpi/bytes:1048576/ranks:2"));
}

TEST(Exports, GooglesOwnCompareAcceptsIt) {
  constexpr const char* kCompare = "/usr/share/benchmark/compare.py";  // libbenchmark-tools
  if (!std::filesystem::exists(kCompare) ||
      std::system("python3 -c 'import scipy' 2>/dev/null") != 0)
    GTEST_SKIP() << "skipped: no compare.py with scipy";
  const auto file = write_text(to_google_benchmark({two_starts()}).dump(), "google.json").string();
  const int status = std::system(
      fmt::format("python3 {} benchmarks '{}' '{}' >'{}.out'", kCompare, file, file, file).c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_THAT(slurp(file + ".out"), HasSubstr("gemm/bf16/onednn/k:500/m:1000/n:1000"));
}

TEST(Exports, BiggerIsBetter) {
  const auto json = to_bigger_is_better({two_starts()});
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[0].at("unit"), "TFLOP/s");
  EXPECT_NEAR(json[0].at("value").get<double>(), 1.25, 1e-9);
  EXPECT_EQ(json[0].at("range"), "± 0.35");  // sqrt(0.125)
  EXPECT_EQ(json[0].at("extra"), "2 starts, 14 samples; Some CPU");
  EXPECT_EQ(json[1].at("unit"), "GB/s");
  EXPECT_NEAR(json[1].at("value").get<double>(), 10, 1e-9);
  EXPECT_FALSE(json[1].contains("range"));
}

TEST(Exports, CsvKeepsFailuresAndQuotes) {
  Record record = two_starts();
  record.lines[2].measurement.failure = "out of \"memory\", twice";
  const std::string csv = to_csv({record});
  EXPECT_EQ(csv.substr(0, csv.find(',')), "name");
  EXPECT_THAT(csv, HasSubstr(",time_p50_s,"));
  EXPECT_THAT(csv, HasSubstr("\"out of \"\"memory\"\", twice\""));
  EXPECT_THAT(csv, HasSubstr(",0.001,"));
  EXPECT_EQ(std::ranges::count(csv, '\n'), 4);
  EXPECT_EQ(std::ranges::count(csv, '\r'), 4);
}

TEST(Exports, NothingUsableIsRefused) {
  Record record = two_starts();
  for (Line& line : record.lines) line.measurement.failure = "no";
  EXPECT_THAT(refusal([&] { to_google_benchmark({record}); }), HasSubstr("nothing to export"));
  EXPECT_THAT(refusal([&] { to_bigger_is_better({record}); }), HasSubstr("nothing to export"));
}
