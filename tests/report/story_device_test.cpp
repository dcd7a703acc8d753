// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Stories of several devices, of what other programs measured, and of nothing usable.
#include "record/formulas.hpp"
#include "report/import.hpp"
#include "report/story.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace {

Record of_cpu(const std::string& name, const std::string& started, const std::string& file,
              double flops_per_s) {
  Record record = small_cpu();
  record.headers[0].device.name = name;
  record.headers[0].started_at = started;
  record.file = file;
  record.lines[0].measurement = gemm_at(flops_per_s, 1024, 1024, 1024);
  return record;
}

Record imported_record(const char* original) {
  const Imported found = import_file(std::filesystem::path(TRAINMETER_SOURCE_DIR) /
                                     "tests/report/originals" / original);
  Record record;
  record.file = "imported.jsonl";
  record.headers = {found.header};
  std::size_t line = 2;
  for (const Measurement& row : found.rows) record.lines.push_back({row, 0, line++});
  return record;
}

std::string flat(const Story& story) {
  std::string out = to_text(to_document(story), {.width = 10'000});
  std::ranges::replace(out, '\n', ' ');
  return out;
}

}  // namespace

// An import's header has 0 for what it doesn't know: nothing is too large for such a device.
TEST(StoryDevice, AnImportsMemoryIsUnknown) {
  const Record record = imported_record("nvbandwidth.json");
  RateBook book;
  book.add({record});
  std::vector<std::string> notes;
  EXPECT_FALSE(measured_system({record}, book, published_library(), notes).memory_bytes);
  Record known = record;
  known.headers[0].device.memory_bytes = 80'000'000'000;
  EXPECT_EQ(measured_system({known}, book, published_library(), notes).memory_bytes, 8e10);
}

// The newer is named first, and is the slower: its figures are not the other's.
TEST(StoryDevice, ReportsTheNewestRecordsAndNamesTheOthers) {
  const Record newer = of_cpu("New CPU", "2026-11-25T10:00:00Z", "new.jsonl", 1.1e12);
  const Record older = of_cpu("Old CPU", "2026-11-24T10:00:00Z", "old.jsonl", 1.9e12);
  const Story alone = tell({newer}, published_library(), {});
  const Story story = tell({newer, older}, published_library(), {});
  EXPECT_EQ(story.machine.gpu, "New CPU");
  ASSERT_EQ(story.records.size(), 1U);
  EXPECT_EQ(story.rates.best_gemm("bf16")->origin, alone.rates.best_gemm("bf16")->origin);
  EXPECT_EQ(story.prediction->estimates.step_time_s.p50,
            alone.prediction->estimates.step_time_s.p50);
  const std::string warning =
      "old.jsonl: of another device, Old CPU: 7 rows left out; this report is of New CPU";
  EXPECT_THAT(story.warnings, Contains(warning));
  EXPECT_THAT(to_json(story).at("warnings"), Contains(warning));
  EXPECT_THAT(flat(story), HasSubstr(warning));
  EXPECT_THAT(alone.warnings, IsEmpty());
}

TEST(StoryDevice, RecordsOfOneDeviceAreTold) {
  const Record one = of_cpu("A CPU", "2026-11-25T10:00:00Z", "a.jsonl", 1.1e12);
  const Record other = of_cpu("A CPU", "2026-11-24T10:00:00Z", "b.jsonl", 1.2e12);
  const Story story = tell({one, other}, published_library(), {});
  EXPECT_EQ(story.records.size(), 2U);
  EXPECT_THAT(story.warnings, IsEmpty());
}

TEST(StoryDevice, RowsOfTheHostBesideItsGpuAreLeftOut) {
  Record record = of_cpu("Host CPU", "2026-11-25T10:00:00Z", "both.jsonl", 1.1e12);
  Header gpu = record.headers[0];
  gpu.session = "test-2";
  gpu.device = h200();
  record.headers.push_back(gpu);
  Measurement row = gemm_at(5e14, 4096, 4096, 4096);
  row.sms = 132;
  record.lines.push_back({row, 1, 99});
  const Story story = tell({record}, published_library(), {});
  EXPECT_EQ(story.machine.id, "h200");
  ASSERT_EQ(story.records.size(), 1U);
  EXPECT_EQ(story.records[0].lines.size(), 1U);
  EXPECT_EQ(story.records[0].lines[0].line, 99U);
  EXPECT_THAT(story.warnings, ElementsAre(HasSubstr("Host CPU: 7 rows left out")));
}

TEST(StoryDevice, OfNcclTestsItListsWhatWasVerified) {
  const Story story = tell({imported_record("nccl_tests.txt")}, published_library(), {});
  ASSERT_EQ(story.achieved.size(), 1U);
  EXPECT_TRUE(story.achieved[0].imported);
  EXPECT_THAT(story.rates.points(), IsEmpty());  // no prediction takes it
  EXPECT_EQ(story.collectives.size(), 3U);
  EXPECT_THAT(story.failures, IsEmpty());
  EXPECT_THAT(story.unverified,
              ElementsAre(HasSubstr("allreduce/fp32/nccl/bytes:2048/in_place:1: ")));
  EXPECT_THAT(story.unverified[0], HasSubstr("MB/s, not verified, imported"));
  EXPECT_THAT(story.machine.peak_flops, IsEmpty());
  const std::string text = flat(story);
  EXPECT_THAT(text, HasSubstr("NVIDIA H100 80GB HBM3: no GEMM was measured."));
  EXPECT_THAT(text, HasSubstr("nccl, imported"));
  EXPECT_THAT(text, HasSubstr("imported: another program's figure"));
  EXPECT_THAT(text, HasSubstr("4 x NVIDIA H100 80GB HBM3 "));
  EXPECT_THAT(text, HasSubstr("by nccl-tests 2.17.6 on node-1"));
  for (const char* wrong :
       {"0 SMs", "0 B", "collective_bench measures it", "$0.00", "Failed, and counted nowhere"}) {
    EXPECT_THAT(text, Not(HasSubstr(wrong)));
  }
  EXPECT_EQ(to_json(story).at("achieved").at(0).at("imported"), true);
  EXPECT_EQ(to_json(story).at("unverified").size(), 1U);
}

// A switch that adds makes all-reduce's bus bandwidth more than the wire's.
TEST(StoryDevice, OfNcclTestsItShowsTheLinksAndWhatMayExceedThem) {
  Record record = imported_record("nccl_tests.txt");
  const auto text_of = [&](double bus_bytes_per_s) {
    for (Line& line : record.lines) {
      const Measurement& m = line.measurement;
      const double seconds = m.bytes * bus_factor("allreduce", m.ranks) / bus_bytes_per_s;
      line.measurement.time_s = {seconds};
    }
    return flat(tell({record}, published_library(), {}));
  };
  const std::string fast = text_of(482e9);
  EXPECT_THAT(fast, HasSubstr("450 GB/s"));
  EXPECT_THAT(fast,
              HasSubstr("exceeds what is given as possible (NVLink by the datasheet of h100): "
                        "bus bandwidth counts what a ring would send"));
  const std::string slow = text_of(300e9);
  EXPECT_THAT(slow, HasSubstr("450 GB/s"));
  EXPECT_THAT(slow, Not(HasSubstr("exceeds what is given as possible")));
  EXPECT_THAT(slow, HasSubstr("in place"));
}

TEST(StoryDevice, OfNvbandwidthNothingIsVerifiedAndNothingFailed) {
  const Story story = tell({imported_record("nvbandwidth.json")}, published_library(), {});
  EXPECT_EQ(story.machine.gpu, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(story.machine.kind, "gpu");
  EXPECT_THAT(story.failures, IsEmpty());
  EXPECT_EQ(story.unverified.size(), 6U);
  EXPECT_THAT(story.unverified[0],
              HasSubstr("host_to_device/unknown/copy_engine/to:0: 55.3 GB/s, not verified, "
                        "imported"));
  const std::string text = flat(story);
  EXPECT_THAT(text, HasSubstr("Not verified, and counted nowhere"));
  for (const char* wrong : {"$0.00", "a loop of multiply-adds", "Failed"})
    EXPECT_THAT(text, Not(HasSubstr(wrong)));
}

TEST(StoryDevice, WithoutAUsableRowTheHeadersNameIt) {
  Record failed = record_of({gemm_at(9e12, 1024, 1024, 1024)});
  failed.lines[0].measurement.failure = "wrong result";
  put_on(h200(), failed);
  Record header_alone = failed;
  header_alone.lines.clear();
  for (const Record& record : {failed, header_alone}) {
    const Story story = tell({record}, published_library(), {});
    EXPECT_EQ(story.machine.id, "h200");
    EXPECT_THAT(flat(story), Not(HasSubstr("trainmeter: : no GEMM")));
    EXPECT_EQ(story.failures.size(), record.lines.size());
    EXPECT_THAT(story.unverified, IsEmpty());
  }
}

TEST(StoryDevice, SaysWhichGemmsATrainingStepLacks) {
  Record record = record_of({gemm_at(1.4e15, 4096, 4096, 7168, "fp8")});
  put_on(h200(), record);
  const Story story = tell({record}, published_library(), {});
  EXPECT_EQ(
      story.why_no_prediction,
      "GEMMs were measured in fp8 alone, and a step of gpt2-124m-10b needs them in bf16, fp16 "
      "or fp32 (gemm_bench --dtype=bf16)");
}

// A user's own run says what it trains in, and how it is laid out.
TEST(StoryDevice, KeepsARunsPrecisionWhereItWasMeasured) {
  nlohmann::json run =
      nlohmann::json::parse(slurp(published_library().root() / "runs" / "gpt2-124m-10b.json"));
  const auto told = [&](const Record& record) {
    const auto file = write_text(run.dump(), "run.json");
    Story story = tell({record}, published_library(), {.run = file.string(), .predict = {}});
    EXPECT_TRUE(story.prediction) << story.why_no_prediction;
    return std::move(*story.prediction);
  };
  Record both = small_cpu();
  both.lines.push_back({gemm_at(0.5e12, 1024, 1024, 1024, "fp32"), 0, 99});
  run["precision"] = "fp32";
  const Prediction kept = told(both);
  EXPECT_EQ(kept.precision, "fp32");
  EXPECT_THAT(kept.assumptions, Not(Contains(HasSubstr("precision: "))));
  EXPECT_THAT(kept.assumptions,
              Contains("parallel: the run's own layout is left out; as on this machine, dp 1, 1 "
                       "sequence a micro-batch, no recomputation"));
  run["precision"] = "fp8";
  run.erase("parallel");
  const Prediction replaced = told(both);
  EXPECT_EQ(replaced.precision, "bf16");
  EXPECT_THAT(replaced.assumptions, Contains("precision: bf16 in place of the run's fp8, of which "
                                             "no GEMM was measured"));
  EXPECT_THAT(replaced.assumptions, Not(Contains(HasSubstr("parallel: "))));
  run.erase("precision");
  EXPECT_THAT(told(both).assumptions, Not(Contains(HasSubstr("precision: "))));
}
