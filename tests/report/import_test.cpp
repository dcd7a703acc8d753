// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Others' outputs as they write them, with their quirks, and what of it is in a record.
#include "report/import.hpp"

#include "record/error.hpp"
#include "record/sha256.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

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
  EXPECT_TRUE(apart.usable());
  const Measurement& in_place = row(found, "allgather/fp32/nccl/bytes:1048576/in_place:1");
  EXPECT_EQ(in_place.runs_per_sample, 3);
  EXPECT_FALSE(in_place.verified);
  EXPECT_THAT(found.left_out, ElementsAre(HasSubstr("2097152 bytes, in_place: no time")));
}

TEST(Import, Nvbandwidth) {
  const Imported found = imported("nvbandwidth.json");
  EXPECT_EQ(found.header.version, "v0.8");
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

// `name`'s text with `what` in place of `of`.
std::string changed(const std::string& name, const std::string& of, const std::string& what) {
  std::string text = imported(name).original;
  const std::size_t at = text.find(of);
  if (at == std::string::npos) throw std::out_of_range(of);
  return text.replace(at, of.size(), what);
}

TEST(Import, SaysWhatTheirProgramsSayWentWrong) {
  const std::string json = "nccl_tests.json";
  EXPECT_THAT(
      imported_text(changed(json, R"("errors":[""])", R"("errors":["","unhandled"])")).left_out,
      testing::Contains(HasSubstr("nccl-tests says: unhandled")));
  EXPECT_THAT(
      imported_text(changed(json, R"({"count":0,"okay":"true"})", R"({"count":3,"okay":"false"})"))
          .left_out,
      testing::Contains(HasSubstr("nccl-tests says: out of bounds values: 3")));
  const std::string other =
      R"(,{"rank":1,"group":0,"pid":11,"hostname":"node-1","device":1,"device_hex":"0000:18:00","device_info":"NVIDIA H200"})";
  EXPECT_THAT(imported_text(changed(json, other, "")).left_out,
              testing::Contains(HasSubstr("one rank has nobody to exchange with")));
  const std::string band = "nvbandwidth.json";
  EXPECT_THAT(
      imported_text(changed(band, R"("git_version")", R"("error": "no peer", "git_version")"))
          .left_out,
      testing::Contains(HasSubstr("nvbandwidth says: no peer")));
  const Imported cells = imported_text(changed(band, R"("386.40")", R"("fast")"));
  EXPECT_EQ(cells.rows.size(), 5U);
  EXPECT_THAT(cells.left_out,
              testing::Contains(HasSubstr("device_to_device_memcpy_read_ce: cells without a "
                                          "bandwidth: 1, the first in row 0, column 1: \"fast\"")));
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
  EXPECT_EQ(ours.operation, "allreduce");
  EXPECT_EQ(ours.shape.at("bytes"), 1024);
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
