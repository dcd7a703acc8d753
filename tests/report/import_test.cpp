// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Others' outputs as they write them, with their quirks, and what of it is in a record.
#include "report/import.hpp"

#include "record/error.hpp"
#include "record/sha256.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace trainmeter;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

namespace fs = std::filesystem;

Imported imported(const std::string& name) {
  return import_file(fs::path(TRAINMETER_SOURCE_DIR) / "tests/report/originals" / name);
}

// `text` as a file of this test.
Imported imported_text(const std::string& text, const std::string& operation = "") {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const fs::path file = fs::path(testing::TempDir()) / (std::string("import_") + test->name());
  std::ofstream(file, std::ios::binary) << text;
  return import_file(file, operation);
}

std::string refusal(const std::string& text, const std::string& operation = "") {
  try {
    (void)imported_text(text, operation);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "accepted";
}

const Measurement& row(const Imported& from, const std::string& name) {
  for (const Measurement& m : from.rows) {
    if (m.name == name) return m;
  }
  throw std::out_of_range(name);
}

// `text` with `what` in place of `of`.
std::string changed(std::string text, const std::string& of, const std::string& what) {
  const std::size_t at = text.find(of);
  if (at == std::string::npos) throw std::out_of_range(of);
  return text.replace(at, of.size(), what);
}

// One table of `program` between `ranks` GPUs of one process, as version 2.17 prints it, of 1 MiB
// in 100 us. `rows` in place of that row; `named`: older versions don't name the test.
std::string table(const std::string& program, int ranks, double factor, std::string rows = "",
                  bool named = true) {
  std::string text;
  if (named) text += "# Collective test starting: " + program + "\n";
  text += fmt::format(
      "# nThread 1 nGpus {} minBytes 1048576 maxBytes 1048576 step: 2(factor) warmup iters: 1 "
      "iters: 20 agg iters: 1 validation: 1 graph: 0\n#\n# Using devices\n",
      ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    text += fmt::format(
        "#  Rank {:2} Group  0 Pid    100 on     node-1 device {:2} "
        "[0000:{:02x}:00] NVIDIA H100 80GB HBM3\n",
        rank, rank, rank);
  }
  text +=
      "#  size  count  type  redop  root  time  algbw  busbw  #wrong  time  algbw  busbw  #wrong\n";
  if (rows.empty()) {
    rows =
        fmt::format("1048576 262144 float sum -1 100.00 10.49 {0:.2f} 0 100.00 10.49 {0:.2f} 0\n",
                    factor * 10.49);
  }
  text += rows;
  return text + "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 18.35 \n#\n";
}

TEST(Sha256, IsThatOfTheStandard) {  // FIPS 180-4's examples, NIST
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Import, NcclTestsText) {
  const Imported found = imported("nccl_tests.txt");
  EXPECT_EQ(found.header.program, "nccl-tests");
  EXPECT_EQ(found.header.version, "2.17.6");
  EXPECT_EQ(found.header.host, "node-1");
  EXPECT_EQ(found.header.device.name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(found.header.device.count, 4);
  EXPECT_EQ(found.header.device.details.at("warmup_iters"), "1");
  EXPECT_EQ(found.header.device.details.at("original_sha256"), sha256(found.original));
  EXPECT_EQ(found.header.discipline.data, "unknown");
  ASSERT_EQ(found.rows.size(), 4U);
  const Measurement& first = row(found, "allreduce/fp32/nccl/bytes:512");
  EXPECT_THAT(first.time_s, ElementsAre(testing::DoubleEq(14.10e-6)));
  EXPECT_EQ(first.ranks, 4);
  EXPECT_EQ(first.bytes, 512);
  EXPECT_EQ(first.runs_per_sample, 20);
  EXPECT_TRUE(first.usable());
  // N/A: nobody looked.
  const Measurement& unchecked = row(found, "allreduce/fp32/nccl/bytes:2048/in_place:1");
  EXPECT_FALSE(unchecked.verified);
  EXPECT_EQ(unchecked.check, "unknown");
  EXPECT_EQ(unchecked.failure, "");
  ASSERT_EQ(found.left_out.size(), 1U) << "other text runs through the row of 8192";
  EXPECT_THAT(found.left_out[0], HasSubstr("nccl_tests.txt:20: "));
}

TEST(Import, NcclTestsTextOfWrongResultsGroupsAndOldColumns) {
  const std::string head =
      "# Collective test starting: alltoall_perf\n"
      "#  Rank  0 Group  0 Pid 1 on a device 0 [0000:0a:00] X\n"
      "#  Rank  1 Group  0 Pid 2 on a device 1 [0000:0a:00] X\n"
      "#  Rank  2 Group  1 Pid 3 on a device 2 [0000:0a:00] X\n"
      "#  Rank  3 Group  1 Pid 4 on a device 3 [0000:0a:00] X\n";
  const std::string columns =
      "# size count type redop root time algbw busbw #wrong time algbw busbw #wrong\n";
  const Imported groups =
      imported_text(head + columns + "1024 128 float none -1 10.0 0.10 0.05 3 N/A N/A N/A N/A\n");
  ASSERT_EQ(groups.rows.size(), 1U);
  EXPECT_EQ(groups.rows[0].name, "alltoall/fp32/nccl/bytes:1024/groups:2");
  EXPECT_EQ(groups.rows[0].ranks, 2);
  EXPECT_EQ(groups.rows[0].failure, "3 elements are wrong");
  EXPECT_THAT(groups.left_out, ElementsAre(HasSubstr("no time in place")));
  // Before 2.13: the last column is the largest error, and whether it was checked isn't known.
  const Imported old = imported_text(
      head + "# size count type redop time algbw busbw error time algbw busbw error\n" +
      "1024 128 uint8 none 10.0 0.10 0.05 0e+00 9.5 0.10 0.05 0e+00\n");
  ASSERT_EQ(old.rows.size(), 2U);
  EXPECT_EQ(old.rows[0].check, "unknown");
  EXPECT_EQ(old.rows[0].dtype, "unknown");
}

// As its version 2.0 prints it: the test isn't named, the ranks are without groups.
TEST(Import, NcclTestsTextThatDoesNotNameItsTest) {
  const std::string text =
      "# nThread 1 nGpus 2 minBytes 8 maxBytes 8 step: 2(factor) warmup iters: 5 iters: 20\n"
      "#\n# Using devices\n"
      "#   Rank  0 Pid  26235 on       box device  0 [0x10] Tesla V100-SXM2-16GB\n"
      "#   Rank  1 Pid  26235 on       box device  1 [0x16] Tesla V100-SXM2-16GB\n"
      "# size count type redop time algbw busbw error time algbw busbw error\n"
      "1024 256 float sum 10.0 0.10 0.10 0e+00 9.5 0.10 0.10 0e+00\n";
  EXPECT_THAT(refusal(text), HasSubstr("say which test it was with --operation=all_reduce"));
  const Imported told = imported_text(text, operation_named("all_reduce"));
  ASSERT_EQ(told.rows.size(), 2U);
  EXPECT_EQ(told.rows[0].name, "allreduce/fp32/nccl/bytes:1024");
  EXPECT_EQ(told.rows[0].ranks, 2);
  EXPECT_EQ(told.header.device.name, "Tesla V100-SXM2-16GB");
  const Imported launched = imported_text("+ mpirun -np 1 ./build/all_gather_perf -g 2\n" + text);
  EXPECT_EQ(launched.rows.at(0).operation, "allgather");
  EXPECT_THAT(refusal("# Collective test starting: all_gather_perf\n" + text, "allreduce"),
              HasSubstr("--operation: expected allgather, as the file says"));
  EXPECT_THAT(refusal("{\"results\": []}", "allreduce"), HasSubstr("expected nccl-tests' text"));
  for (const char* word : {"allreduce", "all_reduce", "all_reduce_perf"})
    EXPECT_EQ(operation_named(word), "allreduce");
  EXPECT_EQ(operation_named("reduce_scatter"), "reducescatter");
  EXPECT_EQ(operation_named("gemm"), "");
}

TEST(Import, NcclTestsJson) {
  const Imported found = imported("nccl_tests.json");
  EXPECT_EQ(found.header.device.name, "NVIDIA H200");
  ASSERT_EQ(found.rows.size(), 2U);
  const Measurement& apart = row(found, "allgather/fp32/nccl/bytes:1048576");
  EXPECT_THAT(apart.time_s, ElementsAre(21.0 * 1e-6, 20.5 * 1e-6, 23.0 * 1e-6))
      << "every iteration";
  EXPECT_EQ(apart.runs_per_sample, 1);
  EXPECT_EQ(apart.ranks, 2) << "of one process with -g 2, whose first device alone is written";
  EXPECT_TRUE(apart.usable());
  const Measurement& in_place = row(found, "allgather/fp32/nccl/bytes:1048576/in_place:1");
  EXPECT_EQ(in_place.runs_per_sample, 3);
  EXPECT_FALSE(in_place.verified);
  EXPECT_THAT(found.left_out, ElementsAre(HasSubstr("2097152 bytes, in_place: no time")));
}

TEST(Import, Nvbandwidth) {
  const Imported found = imported("nvbandwidth.json");
  EXPECT_EQ(found.header.version, "v0.8");
  EXPECT_EQ(found.header.host, "node-1");
  EXPECT_EQ(found.header.device.name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(found.header.device.count, 2);
  ASSERT_EQ(found.rows.size(), 6U);
  EXPECT_DOUBLE_EQ(row(found, "host_to_device/unknown/copy_engine/to:1").bytes, 55.31e9);
  EXPECT_DOUBLE_EQ(row(found, "peer_copy/unknown/copy_engine/from:0/to:1/ways:1").bytes, 386.4e9);
  EXPECT_DOUBLE_EQ(row(found, "peer_copy/unknown/cuda/from:1/to:0/ways:1").bytes, 371e9);
  EXPECT_EQ(found.rows[0].notes.at("time"), "only a rate is known: the bytes of one second");
  EXPECT_THAT(found.left_out, ElementsAre(HasSubstr("host_device_latency_sm: no counterpart"),
                                          HasSubstr("status Waived")));
}

TEST(Import, SaysWhatTheirProgramsSayWentWrong) {
  const std::string json = "nccl_tests.json";
  EXPECT_THAT(imported_text(changed(imported(json).original, R"("errors":[""])",
                                    R"("errors":["","unhandled"])"))
                  .left_out,
              testing::Contains(HasSubstr("nccl-tests says: unhandled")));
  EXPECT_THAT(imported_text(changed(imported(json).original, R"({"count":0,"okay":"true"})",
                                    R"({"count":3,"okay":"false"})"))
                  .left_out,
              testing::Contains(HasSubstr("nccl-tests says: out of bounds values: 3")));
  const Imported alone =
      imported_text(changed(changed(imported(json).original, R"("ngpus":2)", R"("ngpus":1)"),
                            R"("bus_bw":24.385488)", R"("bus_bw":0.000000)"));
  EXPECT_THAT(alone.left_out, testing::Contains(HasSubstr("one rank has nobody to exchange with")));
  EXPECT_THAT(alone.left_out, testing::Contains(HasSubstr("in_place: busbw is 0.5 times algbw")));
  const std::string band = "nvbandwidth.json";
  EXPECT_THAT(imported_text(changed(imported(band).original, R"("git_version")",
                                    R"("error": "no peer", "git_version")"))
                  .left_out,
              testing::Contains(HasSubstr("nvbandwidth says: no peer")));
  const Imported cells =
      imported_text(changed(imported(band).original, R"("386.40")", R"("fast")"));
  EXPECT_EQ(cells.rows.size(), 5U);
  EXPECT_THAT(cells.left_out,
              testing::Contains(HasSubstr("device_to_device_memcpy_read_ce: cells without a "
                                          "bandwidth: 1, the first in row 0, column 1: \"fast\"")));
}

// As scripts leave them that try one test after the other.
TEST(Import, NcclTestsTextOfSeveralTables) {
  const auto both = [](const std::string& text) {
    const Imported found = imported_text(text);
    ASSERT_EQ(found.rows.size(), 4U) << text;
    EXPECT_EQ(found.rows[0].name, "allreduce/fp32/nccl/bytes:1048576");
    EXPECT_EQ(found.rows[2].name, "allgather/fp32/nccl/bytes:1048576");
    EXPECT_EQ(found.rows[0].ranks, 8);
    EXPECT_EQ(found.rows[2].ranks, 4);
    for (const Measurement& one : found.rows) EXPECT_EQ(one.runs_per_sample, 20);
    EXPECT_EQ(found.header.device.details.at("warmup_iters"), "1");
    EXPECT_EQ(found.header.device.count, 8);
  };
  both(table("all_reduce_perf", 8, 1.75) + table("all_gather_perf", 4, 0.75));
  // Before June 2025: the test's name is in the launcher's command alone.
  const std::string old = table("", 4, 0.75, "", false);
  both("+ ./build/all_reduce_perf -g 8\n" + table("", 8, 1.75, "", false) +
       "\n+ ./build/all_gather_perf -g 4\n" + old);
  // The first one broke off.
  const std::string cut = table("", 8, 1.75, "", false);
  both("+ ./build/all_reduce_perf -g 8\n" + cut.substr(0, cut.find("# Out of bounds")) +
       "+ ./build/all_gather_perf -g 4\n" + old);
  // Nobody says which test the second is.
  EXPECT_THAT(refusal("+ ./build/all_reduce_perf -g 8\n" + table("", 8, 1.75, "", false) + old),
              HasSubstr("say which test it was with --operation=all_reduce"));
  EXPECT_EQ(
      imported_text(table("all_reduce_perf", 8, 1.75) +
                    changed(table("all_reduce_perf", 4, 1.5), "warmup iters: 1", "warmup iters: 5"))
          .header.device.details.at("warmup_iters"),
      "unknown");
}

// A row's bandwidths have its operation's ratio, or it is another's.
TEST(Import, NcclTestsRowsThatContradictTheirTest) {
  const std::string told = refusal(table("all_gather_perf", 8, 1.75));
  EXPECT_THAT(told, HasSubstr("busbw is 1.75 times algbw, expected 0.875 for allgather between 8"));
  EXPECT_THAT(refusal(table("all_reduce_perf", 4, 1.75)), HasSubstr("expected 1.5 for allreduce"));
  // Too small to tell, and the old number twice.
  for (const char* small : {"8 2 float sum -1 14.1 0.00 0.00 0 14.1 0.00 0.00 0\n",
                            "512 128 float sum -1 14.1 0.04 0.06 0 14.1 0.04 0.07 0\n",
                            "1024 256 float sum -1 nan nan nan 5 14.1 inf inf 0\n"}) {
    EXPECT_EQ(imported_text(table("all_reduce_perf", 8, 0, small)).rows.size(), 2U) << small;
  }
  const std::string old = changed(table("all_gather_perf", 8, 1), "#wrong", "error");
  EXPECT_EQ(imported_text(changed(old, "#wrong", "error")).rows.size(), 2U);
}

// Reductions, roots and types that a record has no field for are cases of their own.
TEST(Import, NcclTestsRowsOfOtherReductionsRootsAndTypes) {
  std::string rows;
  for (const char* what : {"float sum -1", "float max -1", "int32 sum -1", "uint64 sum -1",
                           "float none 0", "float none 3"}) {
    rows += fmt::format("1048576 262144 {} 100.00 10.49 18.36 0 N/A N/A N/A N/A\n", what);
  }
  const Imported found = imported_text(table("all_reduce_perf", 8, 1.75, rows + rows));
  std::vector<std::string> names;
  for (const Measurement& one : found.rows) names.push_back(one.name);
  const std::vector<std::string> expected = {"allreduce/fp32/nccl/bytes:1048576",
                                             "allreduce/fp32/nccl/bytes:1048576/redop:max",
                                             "allreduce/unknown/nccl/bytes:1048576/type:int32",
                                             "allreduce/unknown/nccl/bytes:1048576/type:uint64",
                                             "allreduce/fp32/nccl/bytes:1048576",
                                             "allreduce/fp32/nccl/bytes:1048576/root:3"};
  ASSERT_EQ(names.size(), 2 * expected.size());
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(names[i], expected[i % expected.size()]);
  EXPECT_EQ(found.rows[5].shape.at("root"), 3);
  EXPECT_EQ(found.rows[1].notes.at("redop"), "max");
  EXPECT_EQ(found.rows[2].notes.at("type"), "int32");
  // -N prints each row again: repetitions.
  EXPECT_EQ(found.rows[1].repetition, 0);
  EXPECT_EQ(found.rows[7].repetition, 1);
  EXPECT_EQ(found.rows[0].repetition, 0);
  EXPECT_EQ(found.rows[10].repetition, 3);
  const std::string json = imported("nccl_tests.json").original;
  EXPECT_EQ(imported_text(changed(changed(json, R"("redop":"none")", R"("redop":"max")"),
                                  R"("root":"    -1")", R"("root":"     2")"))
                .rows[0]
                .name,
            "allgather/fp32/nccl/bytes:1048576/root:2/redop:max");
}

// `text` with `prefix` before each line.
std::string behind(const std::string& prefix, const std::string& text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out += prefix + line + "\n";
  return out;
}

TEST(Import, NcclTestsTextBehindALaunchersPrefix) {
  const std::string one = table("all_reduce_perf", 8, 1.75);
  for (const char* prefix : {"0: ", "[1,0]<stdout>:", "[0] ", " 0: ", "node-1: "}) {
    const Imported found = imported_text("srun: job 7\n" + behind(prefix, one) + "1: a warning\n");
    ASSERT_EQ(found.rows.size(), 2U) << prefix;
    EXPECT_EQ(found.rows[0].name, "allreduce/fp32/nccl/bytes:1048576");
    EXPECT_EQ(found.rows[0].ranks, 8);
    EXPECT_TRUE(found.left_out.empty()) << found.left_out.front();
  }
  // Each process ran alone, without MPI: two tables run through each other.
  const Imported two = imported_text(behind("0: ", one) + behind("1: ", one));
  EXPECT_EQ(two.rows.size(), 2U);
  EXPECT_THAT(two.left_out, ElementsAre(HasSubstr("the table of lines that begin with '1: '")));
  std::string stamped;
  std::istringstream lines(one);
  int second = 10;
  for (std::string line; std::getline(lines, line);)
    stamped += fmt::format("2026-01-01T00:00:{}Z {}\n", second++, line);
  EXPECT_THAT(refusal(stamped), HasSubstr("lines begin with '2026-01-01T00:00:10Z ', and not all"));
}

TEST(Import, NcclTestsProgramsBySuffixAndWithoutACounterpart) {
  const Imported mpi = imported_text(table("all_reduce_perf_mpi", 8, 1.75));
  EXPECT_EQ(mpi.rows.at(0).operation, "allreduce");
  EXPECT_THAT(refusal(table("gather_perf", 8, 0.875)),
              HasSubstr("no counterpart in a record: gather_perf"));
  const Imported both =
      imported_text(table("gather_perf", 8, 0.875) + table("reduce_scatter_perf_mpi", 8, 0.875));
  EXPECT_EQ(both.rows.size(), 2U);
  EXPECT_EQ(both.rows.at(0).operation, "reducescatter");
  EXPECT_THAT(both.left_out, ElementsAre(HasSubstr("no counterpart in a record: gather_perf")));
  const std::string json = imported("nccl_tests.json").original;
  EXPECT_EQ(imported_text(changed(json, "all_gather_perf", "all_gather_perf_mpi")).rows.size(), 2U);
  EXPECT_THAT(refusal(changed(json, "all_gather_perf", "scatter_perf")),
              HasSubstr("no counterpart in a record: scatter_perf"));
}

TEST(Import, NcclTestsRowKeepsTheHalfBeforeOtherText) {
  const Imported found =
      imported_text(table("all_reduce_perf", 8, 0,
                          "1048576 262144 float sum -1 100.00 10.49 18.36 0 100.00 10.49 18.36 "
                          "0node-1:12:13 [0] NCCL WARN hello\n"));
  ASSERT_EQ(found.rows.size(), 1U);
  EXPECT_EQ(found.rows[0].name, "allreduce/fp32/nccl/bytes:1048576");
  EXPECT_THAT(found.left_out,
              ElementsAre(HasSubstr("in place: a count of wrong elements that is none")));
  EXPECT_THAT(refusal(table("all_reduce_perf", 8, 0,
                            "1048576 262144 float sum -1 nan nan nan 0 nan nan nan 0\n")),
              HasSubstr("there is no measurement in it: "));
}

TEST(Import, NcclTestsRowsBehindOtherTextAreSaid) {
  const std::string rest = " 262144 float sum -1 100.00 10.49 18.36 0 100.00 10.49 18.36 0\n";
  for (const char* size : {"vm:29313:29320 [0] NCCL WARN foo     1048576",
                           "999999999999999999999999", "1048576.5", "0x100000"}) {
    const Imported found =
        imported_text(table("all_reduce_perf", 8, 0, size + rest + "1048576" + rest));
    EXPECT_EQ(found.rows.size(), 2U) << size;
    EXPECT_THAT(found.left_out, testing::Contains(HasSubstr("doesn't begin with its size")))
        << size;
  }
  const Imported warned = imported_text(
      table("all_reduce_perf", 8, 0, "vm:29313:29320 [0] NCCL WARN foo 1 2 3\n1048576" + rest));
  EXPECT_EQ(warned.rows.size(), 2U);
  EXPECT_THAT(warned.left_out, testing::Not(testing::Contains(HasSubstr("its size"))));
}

TEST(Import, NcclTestsJsonOfEachIteration) {
  const std::string text = imported("nccl_tests.json").original;
  const Imported aggregated =
      imported_text(changed(text, R"("aggregated_iterations":1)", R"("aggregated_iterations":4)"));
  EXPECT_EQ(aggregated.rows[0].runs_per_sample, 4) << "-m: each time is the mean of four";
  EXPECT_EQ(aggregated.rows[1].runs_per_sample, 12);
  const Imported skipped =
      imported_text(changed(text, R"("skipped_iterations":0)", R"("skipped_iterations":1)"));
  EXPECT_THAT(skipped.rows[0].time_s, ElementsAre(20.5 * 1e-6, 23.0 * 1e-6)) << "-K 1";
  const std::string process = R"({"rank":0,"group":0,"pid":11,"hostname":"node-1","device":0)";
  const std::string rest = R"(,"device_hex":"0000:0a:00","device_info":"NVIDIA H200"})";
  const Imported threads =
      imported_text(changed(changed(changed(text, R"("nthreads":1)", R"("nthreads":3)"),
                                    process + rest, process + rest + "," + process + rest),
                            R"("bus_bw":24.385488)", R"("bus_bw":44.706729)"));
  EXPECT_EQ(threads.rows.at(0).ranks, 12) << "two processes of three threads with two GPUs";
}

// As editors, shells and launchers leave it.
TEST(Import, FindsAnObjectBehindOtherText) {
  const std::string json = imported("nccl_tests.json").original;
  for (const char* before :
       {"\xef\xbb\xbf", "  ", "\n \t", "{ not json }\n", "{\"a\": 1}\n", "a warning\n  "}) {
    EXPECT_EQ(imported_text(before + json).rows.size(), 2U) << before;
  }
  const std::string text = table("all_reduce_perf", 8, 1.75);
  EXPECT_EQ(imported_text("{ \"a\": 1}\n" + text).rows.size(), 2U);
  EXPECT_EQ(imported_text("{ usage\n" + text + "}\n").rows.size(), 2U);
  EXPECT_EQ(imported_text("\xef\xbb\xbf" + text).rows.size(), 2U);
}

TEST(Import, GoogleBenchmark) {
  const Imported found = imported("google_benchmark.json");
  EXPECT_EQ(found.header.host, "box");
  ASSERT_EQ(found.rows.size(), 3U) << "no aggregates";
  const Measurement& copy = row(found, "BM_Copy/4096");
  EXPECT_EQ(copy.operation, "unknown");
  EXPECT_EQ(copy.dtype, "unknown");
  EXPECT_THAT(copy.time_s, ElementsAre(testing::DoubleEq(250e-9)));
  EXPECT_EQ(copy.runs_per_sample, 1000);
  EXPECT_DOUBLE_EQ(copy.bytes, 4096);
  const Measurement& ours = row(found, "allreduce/fp32/shm/bytes:1024");
  EXPECT_EQ(ours.operation, "unknown") << "between how many ranks isn't in it";
  EXPECT_EQ(row(found, "BM_Broken").failure, "no device");
}

TEST(Import, WhatIsWrittenIsARecord) {
  for (const char* name :
       {"nccl_tests.txt", "nccl_tests.json", "nvbandwidth.json", "google_benchmark.json"}) {
    const Imported found = imported(name);
    const fs::path file = fs::path(testing::TempDir()) / (std::string("imported_") + name);
    std::ofstream out(file);
    out << to_json_line(found.header) << '\n';
    for (const Measurement& m : found.rows) out << to_json_line(m) << '\n';
    out.close();
    EXPECT_EQ(read_record(file).lines.size(), found.rows.size()) << name;
  }
}

TEST(Import, ARecordIsOneAlready) {
  const std::string header = R"({"schema":1,"kind":"header","session":"s"})";
  for (const std::string& text :
       {header, header + "\n" + R"({"kind":"measurement","session":"s"})" + "\n",
        std::string(R"({"schema": 1, "kind": "header"})") + "\n{"}) {
    EXPECT_THAT(refusal(text), HasSubstr(": is a record already")) << text;
  }
}

TEST(Import, RefusesWhatItCannotKnow) {
  EXPECT_THAT(refusal(""), HasSubstr("expected nccl-tests' text or JSON"));
  EXPECT_THAT(refusal("{\"a\": 1}"), HasSubstr("expected nccl-tests' text or JSON"));
  EXPECT_THAT(refusal("{\"results\": [}"), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("# busbw\n"), HasSubstr("there is no measurement in it"));
  const std::string columns = "# size count type redop root time algbw busbw #wrong\n";
  EXPECT_THAT(refusal(columns + "8 2 float sum -1 1.0 0.1 0.1 0\n"),
              HasSubstr("Collective test starting"));
  EXPECT_THAT(refusal("# Collective test starting: all_reduce_perf\n" + columns +
                      "8 2 float sum -1 1.0 0.1 0.1 0\n"),
              HasSubstr("how many ranks there were isn't known"));
  EXPECT_THAT(refusal(std::string(17 << 20, ' ')), HasSubstr("expected at most 16 MiB"));
  EXPECT_THAT(refusal("{\"benchmarks\": " + std::string(100, '[') + std::string(100, ']') + "}"),
              HasSubstr("objects and lists in each other"));
}

}  // namespace
