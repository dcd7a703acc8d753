// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// nccl-tests' table as collective_bench prints it: to the space, with its verdicts, and read back by
// our importer.
#include "record/record.hpp"
#include "record/statistics.hpp"

#include "collective_runs.hpp"
#include "subprocess.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The text, to the space, and that our own importer finds in it what the record holds.
TEST_F(CollectiveTest, NcclTestsTextIsReadBackAsTheSameRecord) {
  for (const std::string operation : {"allreduce", "allgather", "alltoallv", "broadcast"}) {
    const std::string ours = folder_ / (operation + ".jsonl");
    const std::string text = folder_ / (operation + ".txt");
    const std::string theirs = folder_ / (operation + "_imported.jsonl");
    const Said said = run(mpirun(2) +
                          "collective_bench --device=cpu --format=nccl-tests -b 64 -e 4K -f 8 -n 5 "
                          "-w 2 -c 1 -d float --operation=" +
                          operation + " --out=" + ours + " > " + text);
    ASSERT_EQ(said.code, 0) << said.err;
    const std::string printed = read_text(text);
    EXPECT_THAT(printed, HasSubstr("step: 8(factor) warmup iters: 2 iters: 5 agg iters: 1 "
                                   "validation: 1 graph: 0 unalign: 0\n#\n# Using devices\n"));
    EXPECT_THAT(printed,
                HasSubstr("#       size         count      type   redop    root     time   "
                          "algbw   busbw  #wrong     time   algbw   busbw  #wrong \n"));
    EXPECT_THAT(printed, HasSubstr("\n# Out of bounds values : 0 OK\n# Avg bus bandwidth    : "));
    ASSERT_EQ(run("trainmeter import " + text + " -o " + theirs).code, 0);
    const Record a = read_record(ours);
    const Record b = read_record(theirs);
    ASSERT_EQ(a.lines.size(), b.lines.size()) << printed;
    for (std::size_t i = 0; i < a.lines.size(); ++i) {
      const Measurement& x = a.lines[i].measurement;
      const Measurement& y = b.lines[i].measurement;
      EXPECT_EQ(x.name, y.name);
      EXPECT_EQ(x.operation, y.operation);
      EXPECT_EQ(x.dtype, y.dtype);
      EXPECT_EQ(x.backend, y.backend);
      EXPECT_EQ(x.shape, y.shape);
      EXPECT_EQ(x.bytes, y.bytes);
      EXPECT_EQ(x.ranks, y.ranks);
      EXPECT_EQ(x.usable(), y.usable());
      ASSERT_EQ(y.time_s.size(), 1U);
      ASSERT_EQ(x.time_s.size(), 5U);
      // Printed to a hundredth of a microsecond, or to four digits.
      const double us = mean(x.time_s) * 1e6;
      EXPECT_NEAR(us, y.time_s[0] * 1e6, 0.0051 + us * 1e-3);
    }
    const std::string hash = b.headers[0].device.details.at("original_sha256");
    EXPECT_EQ(read_text(theirs + ".originals/" + hash), printed);
  }
}

// As its -N has them: each line is one repetition, out of place and in place.
TEST_F(CollectiveTest, NcclTestsRepetitionsAreWholeLines) {
  const std::string text = folder_ / "r.txt";
  const std::string command =
      mpirun(2) +
      "collective_bench --device=cpu --format=nccl-tests -b 1K -e 4K -f 4 "
      "-n 3 --benchmark_repetitions=2 --cache=hot --benchmark_min_warmup_time=0.01 ";
  const Said said = run(command + "--out=" + (folder_ / "ours.jsonl") + " > " + text);
  ASSERT_EQ(said.code, 0) << said.err;
  const std::string printed = read_text(text);
  EXPECT_EQ(printed.find("N/A"), std::string::npos) << printed;
  EXPECT_THAT(printed, ::testing::ContainsRegex("\n +1024 [^\n]*\n +1024 [^\n]*\n +4096 [^\n]*"
                                                "\n +4096 [^\n]*\n# Out of bounds"));
  const Said imported = run("trainmeter import " + text + " -o " + (folder_ / "r.jsonl"));
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_THAT(imported.err, Not(HasSubstr("warning"))) << imported.err;
  const Record a = read_record(folder_ / "ours.jsonl");
  const Record b = read_record(folder_ / "r.jsonl");
  ASSERT_EQ(a.lines.size(), 8U);
  ASSERT_EQ(b.lines.size(), 8U);
  for (const Line& line : a.lines) {  // the time stands under the same name and repetition
    const double us = mean(line.measurement.time_s) * 1e6;
    const auto same = std::ranges::count_if(b.lines, [&](const Line& other) {
      const Measurement& m = other.measurement;
      return m.name == line.measurement.name && m.repetition == line.measurement.repetition &&
             std::abs(m.time_s[0] * 1e6 - us) < 0.0051 + us * 1e-3;
    });
    EXPECT_EQ(same, 1) << line.measurement.name;
  }
  // Halves without the other.
  for (const std::string place : {"in_place", "-in_place"}) {
    const Said half = run(command + "--benchmark_filter=" + place);
    ASSERT_EQ(half.code, 0) << half.err;
    EXPECT_THAT(half.out, ::testing::ContainsRegex("\n +1024 .*\n +1024 .*\n +4096 .*\n +4096 "));
  }
  const Said of_two_sizes = run(command + "'--benchmark_filter=bytes:1024$|bytes:4096/in_place'");
  ASSERT_EQ(of_two_sizes.code, 0) << of_two_sizes.err;
  EXPECT_THAT(of_two_sizes.out,
              ::testing::ContainsRegex("\n +1024 .*\n +1024 .*\n +4096 .*\n +4096 "));
}

TEST_F(CollectiveTest, NcclTestsTextSaysWhatFailed) {
  const std::string common = "collective_bench --device=cpu --format=nccl-tests -b 1K -e 1K -n 3 ";
  Said said = run("NCCL_TESTS_MIN_BW=1000000 " + mpirun(2) + common);
  EXPECT_EQ(said.code, 1) << said.err;
  EXPECT_THAT(said.out, ::testing::ContainsRegex("Avg bus bandwidth    : [0-9.e+]+ FAILED\n"));
  said = run(mpirun(2) + common + "-c 0");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, ::testing::ContainsRegex("   N/A .*   N/A\n"));
  EXPECT_THAT(said.out, HasSubstr("validation: 0"));
  // No row, no verdict.
  said = run("NCCL_TESTS_MIN_BW=0.001 " + mpirun(2) + common + "--max_seconds=0");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("\n# Out of bounds values : 0 \n# Avg bus bandwidth    : 0 \n"));
}

// A factor of 1 is none: -i's steps, and the heading says so, as nccl-tests' does.
TEST_F(CollectiveTest, NcclTestsStepsAndHeadingAreItsOwn) {
  const std::string common = "collective_bench --device=cpu --format=nccl-tests -n 1 -w 0 -c 0 ";
  const std::string rest = " warmup iters: 0 iters: 1 agg iters: 1";
  Said said = run(mpirun(2) + common + "-b 8 -e 64 -f 1");
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("minBytes 8 maxBytes 64 step: 1048576(bytes)" + rest));
  said = run(mpirun(2) + common + "-b 8 -e 64 -f 1 -i 24");
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("minBytes 8 maxBytes 64 step: 24(bytes)" + rest));
  EXPECT_THAT(said.out, ::testing::ContainsRegex("\n +8 .*\n +32 .*\n +56 "));
  said = run(mpirun(2) + common + "--bytes=64,16");
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("minBytes 16 maxBytes 64"));
}

}  // namespace
}  // namespace trainmeter
