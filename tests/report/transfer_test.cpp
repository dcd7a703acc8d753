// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Projections from one device to another, against hand-computed ones.
#include "report/transfer.hpp"

#include "report/predict.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <set>

using namespace trainmeter;
using testing::Contains;
using testing::HasSubstr;

namespace {

System published(const std::string& id) {
  return published_library().system(id);
}

RatePoint gemm(double value, std::int64_t m = 8192, std::int64_t n = 8192, std::int64_t k = 8192,
               const std::string& dtype = "bf16") {
  RatePoint p;
  p.operation = "gemm";
  p.dtype = dtype;
  p.layout = "nt";
  p.m = m;
  p.n = n;
  p.k = k;
  p.value = value;
  p.noise = 0.01;
  return p;
}

RatePoint memory(double value) {
  RatePoint p;
  p.operation = "triad";
  p.dtype = "fp64";
  p.value = value;
  p.noise = 0.01;
  return p;
}

RatePoint all_reduce(double value, std::int64_t ranks, std::int64_t bytes = 1LL << 34) {
  RatePoint p;
  p.operation = "allreduce";
  p.dtype = "fp32";
  p.backend = "nccl";
  p.ranks = ranks;
  p.bytes = bytes;
  p.value = value;
  p.noise = 0.01;
  return p;
}

RatePoint attention(double value) {
  RatePoint p;
  p.operation = "attention_forward";
  p.dtype = "bf16";
  p.seq_len = 4096;
  p.head_dim = 128;
  p.value = value;
  p.noise = 0.01;
  return p;
}

RatePoint only(const Projection& projection) {
  EXPECT_EQ(projection.points.size(), 1U);
  return projection.points.empty() ? RatePoint{} : projection.points.front();
}

Device device(const std::string& name, std::int64_t sms, double memory_bytes,
              const std::string& kind = "gpu") {
  return {.kind = kind,
          .name = name,
          .count = 1,
          .sms = sms,
          .memory_bytes = static_cast<std::int64_t>(memory_bytes),
          .last_level_cache_bytes = 0,
          .details = {}};
}

// A record of one GPU: a GEMM at `flops_per_s` and `watts`, and a triad at 90 % of 4.8 TB/s.
Record gpu_record(const Device& d, double flops_per_s, double watts) {
  Measurement g = gemm_at(flops_per_s, 8192, 8192, 8192, "bf16", "cublaslt");
  g.power_w.assign(9, watts);
  g.sm_clock_hz.assign(3, 1.4e9);
  Record record = record_of({g, measured("triad", "fp64", "own", {{"bytes", 1 << 30}},
                                         3.0 * (1 << 30), 3.0 * (1 << 30) / 4.32e12)});
  put_on(d, record);
  return record;
}

}  // namespace

TEST(Transfer, H200ToH800KeepsComputeAndScalesTheRest) {
  const Projection p = project(
      {gemm(788e12), attention(600e12), memory(4.3e12), all_reduce(480e9, 8), all_reduce(40e9, 16)},
      published("h200"), published("h800"));
  ASSERT_EQ(p.points.size(), 5U);
  EXPECT_DOUBLE_EQ(p.points[0].value, 788e12);
  EXPECT_DOUBLE_EQ(p.points[1].value, 600e12);
  EXPECT_NEAR(p.points[2].value, 4.3e12 * 3.36 / 4.8, 1e3);
  EXPECT_NEAR(p.points[3].value, 480e9 * 200 / 450, 1e3);  // measured by others: 215 GB/s
  EXPECT_NEAR(p.points[4].value, 40e9, 1e-3);              // both have 400 Gb/s a GPU
  EXPECT_NEAR(p.points[0].noise, std::hypot(0.01, 0.05), 1e-12);
  EXPECT_NEAR(p.points[2].noise, std::hypot(0.01, 0.05), 1e-12);
  EXPECT_NEAR(p.points[3].noise, std::hypot(0.01, 0.10), 1e-12);
  for (const RatePoint& point : p.points) {
    EXPECT_EQ(point.transferred, "h200");
    EXPECT_THAT(point.projection, HasSubstr("measured on h200, projected to h800: "));
  }
  EXPECT_THAT(p.points[0].projection, HasSubstr("same SMs and tensor rate"));
  EXPECT_THAT(p.reasons,
              Contains(HasSubstr("memory kernels x 0.70 (memory bandwidths 3360 / 4800")));
  EXPECT_THAT(p.reasons, Contains(HasSubstr("inside a node x 0.44 (links 200 / 450")));
}

TEST(Transfer, GemmsBoundByMemoryGoWithItsBandwidth) {
  // 64 tokens of decode: 2 x 64 FLOP for every weight of 2 bytes, far below either ridge.
  const RatePoint p =
      only(project({gemm(250e12, 64, 7168, 7168)}, published("h200"), published("h800")));
  EXPECT_NEAR(p.value, 250e12 * 3.36 / 4.8, 1e6);
  EXPECT_THAT(p.projection, HasSubstr("memory x 0.70"));
  // Groups are bound by the bytes of each: 8 x 64 tokens.
  RatePoint groups = gemm(250e12, 512, 7168, 7168);
  groups.operation = "grouped_gemm";
  groups.groups = 8;
  EXPECT_NEAR(only(project({groups}, published("h200"), published("h800"))).value, p.value, 1e6);
  // Between the ridges of both it is bound by memory on one alone: neither ratio.
  const RatePoint between =
      only(project({gemm(600e12, 288, 7168, 7168)}, published("h200"), published("h800")));
  EXPECT_LT(between.value, 600e12 * 1.0001);
  EXPECT_GT(between.value, 600e12 * 0.7);
}

TEST(Transfer, StartsOfCollectivesStayAsLong) {
  // At a tenth of the sweep's best bandwidth a tenth of the time is wire: 0.1 x 2.25 + 0.9 of it.
  const Projection p = project({all_reduce(48e9, 8, 1 << 20), all_reduce(480e9, 8)},
                               published("h200"), published("h800"));
  EXPECT_NEAR(p.points[0].value, 48e9 / (0.1 * 2.25 + 0.9), 1e3);
  EXPECT_NEAR(p.points[1].value, 480e9 / 2.25, 1e3);
}

TEST(Transfer, FromADeviceToItselfChangesNothing) {
  const std::vector<RatePoint> points = {gemm(788e12), gemm(250e12, 64, 7168, 7168),
                                         attention(600e12), memory(4.3e12), all_reduce(480e9, 8)};
  for (const char* id : {"h200", "h100-96gb-hbm2e", "a100", "mi300x", "ec2-t3-large"}) {
    const Projection p = project(points, published(id), published(id));
    ASSERT_EQ(p.points.size(), points.size()) << id;
    EXPECT_TRUE(p.reasons.empty()) << id;
    for (std::size_t i = 0; i < points.size(); ++i) {
      EXPECT_EQ(p.points[i].value, points[i].value);
      EXPECT_EQ(p.points[i].noise, points[i].noise);
      EXPECT_EQ(p.points[i].transferred, "");
      EXPECT_EQ(p.points[i].cap_w, 0);
    }
  }
}

TEST(Transfer, ALowerCapFromJoulesPerFlop) {
  System capped = published("h100");
  capped.id = "h100-at-500";
  capped.power_w = 500;
  RatePoint g = gemm(788e12);
  g.power_w = 700;
  // Idle 70 W: 630 W of dynamic power, 0.80 pJ/FLOP; 430 W remain. Energy falls as the clock, so
  // the rate goes with their ratio's root.
  const RatePoint p = only(project({g}, published("h100"), capped));
  EXPECT_NEAR(p.value / (788e12 * std::sqrt(430.0 / 630)), 1, 1e-12);
  EXPECT_EQ(p.cap_w, 500);
  EXPECT_THAT(p.projection, HasSubstr("power cap 700 to 500 W x 0.83 (0.80 pJ/FLOP at 700 W)"));
  // The corners of the named ranges, as a 90 % range: idle 56 W to the power 1/3, 126 W to 1.
  const double spread = (std::log(444.0 / 644) / 3 - std::log(374.0 / 574)) / 3.29;
  EXPECT_NEAR(p.noise, std::hypot(0.01, 0.05, spread), 1e-9);
}

TEST(Transfer, AKernelThatDrawsLittleKeepsItsRateUnderALowerCap) {
  System capped = published("h100");
  capped.power_w = 500;
  RatePoint g = gemm(400e12);
  g.power_w = 350;  // not at its cap: at the full clock
  EXPECT_DOUBLE_EQ(only(project({g}, published("h100"), capped)).value, 400e12);
  g.power_w = 600;  // 530 W of dynamic power
  EXPECT_NEAR(
      only(project({g}, published("h100"), capped)).value / (400e12 * std::sqrt(430.0 / 530)), 1,
      1e-12);
}

TEST(Transfer, AHigherCapRaisesTheRateToTheFullClockAtMost) {
  System more = published("h100");
  more.id = "h100-more";
  more.power_w = 1000;
  RatePoint g = gemm(788e12);
  g.power_w = 690;  // within 5 % of its cap
  g.clock_hz = 1900e6;
  EXPECT_NEAR(only(project({g}, published("h100"), more)).value / (788e12 * 1980 / 1900), 1, 1e-12);
  g.clock_hz = 0;
  EXPECT_NEAR(only(project({g}, published("h100"), more)).value / (788e12 * std::sqrt(930.0 / 620)),
              1, 1e-12);
  g.power_w = 450;  // not at its cap: more power is no help
  EXPECT_DOUBLE_EQ(only(project({g}, published("h100"), more)).value, 788e12);
}

TEST(Transfer, ADriverThatThrottlesElsewhereHasAnotherLimitSet) {
  RatePoint g = gemm(650e12);
  g.power_w = 500;
  g.power_capped = true;
  System capped = published("h100-96gb-hbm2e");  // 500 W too
  EXPECT_NEAR(only(project({g}, published("h100"), capped)).value / 650e12, 1, 1e-12);
  // But a reading may lag behind a short kernel: nothing is raised on its word.
  EXPECT_NEAR(only(project({g}, published("h100"), published("h800"))).value / 650e12, 1, 1e-12);
}

// Its readings had not settled: its power isn't known, its cap is the datasheet's.
TEST(Transfer, AThrottledGemmOfUnknownPowerIsAtItsCap) {
  RatePoint g = gemm(650e12);
  const RatePoint free = only(project({g}, published("h100"), published("h100-96gb-hbm2e")));
  g.power_capped = true;
  const RatePoint throttled = only(project({g}, published("h100"), published("h100-96gb-hbm2e")));
  EXPECT_LT(free.value, 650e12);
  EXPECT_DOUBLE_EQ(throttled.value, free.value);
}

TEST(Transfer, WithoutItsPowerTheCapsRatioStandsIn) {
  const RatePoint p =
      only(project({gemm(788e12)}, published("h100"), published("h100-96gb-hbm2e")));
  EXPECT_NEAR(p.value / (788e12 * std::sqrt(500.0 / 700)), 1, 1e-12);
  EXPECT_DOUBLE_EQ(power_share(500, 700), std::sqrt(500.0 / 700));
  EXPECT_EQ(power_share(900, 700), 1);
  // It may not have been at its cap at all: from no loss to the whole ratio.
  EXPECT_NEAR(p.noise, std::hypot(0.01, 0.05, std::log(1.4) / 3.29), 1e-9);
  EXPECT_THAT(p.projection, HasSubstr("power not measured"));
  EXPECT_EQ(
      project({gemm(788e12)}, published("h100"), published("h100-96gb-hbm2e"), {.power = false})
          .points[0]
          .value,
      788e12);
}

TEST(Transfer, AnotherChipOfTheArchitectureGoesWithThePeaks) {
  const Projection p = project({gemm(788e12, 0, 0, 0), attention(600e12), memory(2.9e12)},
                               published("h100"), published("h20"));
  ASSERT_EQ(p.points.size(), 3U);
  EXPECT_NEAR(p.points[0].value / (788e12 * 148 / 989), 1, 1e-12);  // 500 W are plenty for it
  EXPECT_NEAR(p.points[1].value / (600e12 * 148 / 989), 1, 1e-12);
  EXPECT_NEAR(p.points[2].value / (2.9e12 * 4000 / 3350), 1, 1e-12);
  EXPECT_NEAR(p.points[0].noise, std::hypot(0.01, 0.10), 1e-12);
  EXPECT_TRUE(project({gemm(788e12)}, published("h100"), published("h20"),
                      {.farthest = Nearness::same_chip})
                  .points.empty());
}

TEST(Transfer, AcrossArchitecturesOnlyWhereNothingElseIsKnown) {
  const std::vector<RatePoint> points = {gemm(250e12), attention(200e12)};
  const System a100 = published("a100");
  const System h100 = published("h100");
  const std::vector<RatePoint> known = {gemm(790e12)};
  const Projection p = project(points, a100, h100, {.known = &known});
  const RatePoint rest = only(p);
  EXPECT_EQ(rest.operation, "attention_forward");
  EXPECT_NEAR(rest.value / (200e12 * 989 / 312), 1, 1e-12);
  EXPECT_NEAR(rest.noise, std::hypot(0.01, 0.40), 1e-12);
  EXPECT_THAT(rest.projection, HasSubstr("another architecture: nothing nearer is known"));
  EXPECT_THAT(p.reasons, Contains(HasSubstr("bf16 gemm left out: rates from nearer by are known")));
  const Projection refused = project(points, a100, h100, {.farthest = Nearness::same_architecture});
  EXPECT_TRUE(refused.points.empty());
  EXPECT_THAT(refused.reasons, Contains(HasSubstr("left out: the devices differ too much")));
}

TEST(Transfer, LeavesOutWhatHasNoRatio) {
  const auto why = [](const RatePoint& p, const char* from, const char* to) {
    const Projection projection = project({p}, published(from), published(to));
    EXPECT_TRUE(projection.points.empty());
    return projection.reasons.empty() ? std::string() : projection.reasons.front();
  };
  EXPECT_THAT(why(gemm(60e12, 4096, 4096, 4096, "fp64"), "h200", "h800"),
              HasSubstr("no fp64 peak is known for h800"));
  EXPECT_THAT(why(all_reduce(4e11, 16), "h100", "gb200"),
              HasSubstr("16 ranks lie in one node on one of the two alone"));
  EXPECT_THAT(why(all_reduce(4e10, 16), "h100", "h20"),
              HasSubstr("no link between nodes is known for h20"));
  System unknown = published("mi300x");
  unknown.memory_bytes_per_s.reset();
  EXPECT_THAT(project({memory(1e12)}, published("h100"), unknown).reasons,
              Contains(HasSubstr("no memory bandwidth")));
  EXPECT_THAT(why(gemm(1e12), "ec2-t3-large", "h100"), HasSubstr("a CPU is no GPU"));
}

TEST(Transfer, IsNeverSurerThanItsSource) {
  const Library library = published_library();
  for (const std::string& from : library.ids("systems")) {
    for (const std::string& to : library.ids("systems")) {
      RatePoint g = gemm(200e12, 512, 4096, 4096);
      g.power_w = 390;
      for (const double noise : {0.0, 0.02, 0.5}) {
        std::vector<RatePoint> points = {g, attention(100e12), memory(1e12), all_reduce(1e11, 8)};
        for (RatePoint& p : points) p.noise = noise;
        for (const RatePoint& p :
             project(points, library.system(from), library.system(to)).points) {
          EXPECT_GE(p.noise, noise) << from << " to " << to;
          EXPECT_TRUE(std::isfinite(p.value) && p.value > 0) << from << " to " << to;
          EXPECT_EQ(p.transferred.empty(), from == to);
          EXPECT_EQ(p.projection.empty(), from == to);
        }
      }
    }
  }
}

TEST(Transfer, KnowsTheSystemBehindADriversName) {
  const Library library = published_library();
  const auto id = [&](const char* name, std::int64_t sms, double memory_bytes) {
    const auto system = system_of_device(device(name, sms, memory_bytes), library);
    return system ? system->id : "";
  };
  EXPECT_EQ(id("NVIDIA H200", 132, 150.1e9), "h200");  // not H20, whose name it begins with
  EXPECT_EQ(id("NVIDIA H20", 78, 102e9), "h20");
  EXPECT_EQ(id("NVIDIA H100 80GB HBM3", 132, 85e9), "h100");
  EXPECT_EQ(id("NVIDIA H100 PCIe", 114, 85e9), "h100-pcie");
  EXPECT_EQ(id("NVIDIA H100 NVL", 132, 100e9), "");
  EXPECT_EQ(id("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 16, 10.5e9), "");
  EXPECT_EQ(id("NVIDIA H800", 132, 85e9), "h800");
  EXPECT_EQ(id("NVIDIA A100-SXM4-80GB", 108, 85e9), "a100");
  EXPECT_EQ(id("NVIDIA A100-SXM4-40GB", 108, 42.3e9), "a100-40gb");
  EXPECT_EQ(id("NVIDIA A100 80GB PCIe", 108, 85e9), "a100-pcie");
  EXPECT_EQ(id("NVIDIA GeForce RTX 4090", 128, 25.4e9), "");
}

TEST(Transfer, RecordsBecomeRatesOfAnotherSystem) {
  const Library library = published_library();
  const System h800 = published("h800");
  RateBook book;
  book.describe(h800);
  const auto notes = add_projected(
      book, {gpu_record(device("NVIDIA H200", 132, 150.1e9), 788e12, 695)}, h800, library);
  EXPECT_THAT(notes, Contains(HasSubstr("measured on h200, projected to h800")));
  const auto g = book.gemm("bf16", "nt", 8192, 8192, 8192);
  ASSERT_TRUE(g);
  EXPECT_NEAR(g->value / 788e12, 1, 1e-9);
  EXPECT_THAT(g->how, HasSubstr("exact shape, measured on h200, projected to h800: same SMs"));
  EXPECT_NEAR(book.memory()->value / (4.32e12 * 0.7), 1, 1e-9);
  EXPECT_EQ(book.cap_held("bf16"), 700);
}

TEST(Transfer, NoPowerCapCountsTwice) {
  const Library library = published_library();
  const System capped = published("h100-96gb-hbm2e");
  const Device own = device("NVIDIA H100", 132, 101e9);
  RateBook measured_there, projected, others;
  measured_there.describe(capped);
  EXPECT_TRUE(
      add_projected(measured_there, {gpu_record(own, 650e12, 495)}, capped, library).empty());
  EXPECT_EQ(measured_there.cap_held("bf16"), 500);  // the bill lowers it no further
  projected.describe(capped);
  const Device h200 = device("NVIDIA H200", 132, 150.1e9);
  EXPECT_FALSE(add_projected(projected, {gpu_record(h200, 788e12, 695)}, capped, library).empty());
  EXPECT_EQ(projected.cap_held("bf16"), 500);
  EXPECT_NEAR(projected.best_gemm("bf16")->value / (788e12 * std::sqrt(430.0 / 625)), 1, 1e-9);
  others.add_published(library, capped);
  EXPECT_EQ(others.cap_held("bf16"), 0);  // theirs print no power: the bill applies the cap
}

TEST(Transfer, APublishedGemmOfTheSameChipCarriesOverAsItIs) {
  const Library library = published_library();
  RateBook h100, h800;
  h100.add_published(library, published("h100"));
  h800.add_published(library, published("h800"));
  EXPECT_EQ(h800.best_gemm("bf16")->value, h100.best_gemm("bf16")->value);
  EXPECT_EQ(h800.best_gemm("bf16")->transferred, "h100");
  EXPECT_NEAR(h800.best_gemm("bf16")->noise, std::hypot(0.03, 0.05), 1e-12);
  EXPECT_NEAR(h800.memory()->value / h100.memory()->value, 3.36 / 3.35, 1e-12);
}

TEST(Transfer, WhatNobodyDescribesIsUsedAsItIsWithAWarning) {
  RateBook book;
  const auto notes =
      add_projected(book, {gpu_record(device("NVIDIA GeForce RTX 4090", 128, 25.4e9), 160e12, 440)},
                    published("h100"), published_library());
  EXPECT_THAT(notes, Contains(HasSubstr("rates measured on NVIDIA GeForce RTX 4090 are used for "
                                        "h100 as they are")));
  EXPECT_NEAR(book.best_gemm("bf16")->value / 160e12, 1, 1e-9);
}

TEST(Transfer, TheNearestOfSeveralRecordsIsUsed) {
  RateBook book;
  (void)add_projected(book,
                      {gpu_record(device("NVIDIA A100-SXM4-80GB", 108, 85e9), 250e12, 395),
                       gpu_record(device("NVIDIA H100 80GB HBM3", 132, 85e9), 790e12, 695)},
                      published("h100"), published_library());
  ASSERT_EQ(book.points().size(), 2U);  // those of the H100 alone
  for (const RatePoint& p : book.points()) EXPECT_EQ(p.transferred, "");
}

TEST(Transfer, APredictionSaysThatItsRatesAreProjected) {
  const auto file =
      write_record(gpu_record(device("NVIDIA H200", 132, 150.1e9), 788e12, 695), "h200.jsonl");
  const std::string out = testing::TempDir() + "/projected.json";
  const std::string command = fmt::format(
      "'{}/trainmeter' predict --run gpt2-124m-10b --rates '{}' --system h800 --format json -o "
      "'{}'",
      TRAINMETER_BIN_DIR, file.string(), out);
  ASSERT_EQ(WEXITSTATUS(std::system(command.c_str())), 0);
  std::ifstream in(out);
  const auto json = nlohmann::json::parse(in);
  ASSERT_FALSE(json.at("rates").empty());
  int from_record = 0;
  for (const auto& rate : json.at("rates")) {
    if (rate.at("origin").get<std::string>().find("h200.jsonl") == std::string::npos) continue;
    ++from_record;
    EXPECT_THAT(rate.at("how").get<std::string>(), HasSubstr("projected to h800"));
    EXPECT_NE(rate.at("basis"), "measured");
  }
  EXPECT_GT(from_record, 0);
  EXPECT_THAT(json.at("assumptions").dump(), HasSubstr("measured on h200, projected to h800"));
}

TEST(Transfer, ACpusRatesAreNeverAGpus) {
  const Library library = published_library();
  RateBook book;
  EXPECT_THAT(
      refusal([&] { (void)add_projected(book, {small_cpu()}, published("h100"), library); }),
      HasSubstr("test.jsonl: rates of Some CPU are never carried to h100"));
  EXPECT_TRUE(book.points().empty());
  const Record gpu = gpu_record(device("NVIDIA H100 80GB HBM3", 132, 85e9), 790e12, 695);
  EXPECT_THAT(add_projected(book, {gpu, small_cpu()}, published("h100"), library),
              Contains(HasSubstr("Some CPU are never carried")));
  EXPECT_EQ(book.points().size(), 2U);  // the GPU's alone
  System cpu = toy_gpu();
  cpu.kind = "cpu";
  EXPECT_THAT(refusal([&] { (void)add_projected(book, {gpu}, cpu, library); }),
              HasSubstr("NVIDIA H100 80GB HBM3 are never carried to toy"));
}

TEST(Transfer, ARecordWithoutUsableRowsIsOfItsHeadersDevice) {
  Record record = gpu_record(device("NVIDIA H200", 132, 141e9), 700e12, 690);
  EXPECT_EQ(device_kind({record}), "gpu");
  for (Line& line : record.lines) line.measurement.verified = false;
  EXPECT_EQ(device_kind({record}), "gpu");
  record.lines.clear();
  EXPECT_EQ(device_kind({record}), "gpu");
  const Record cpu = record_of({gemm_at(1e12, 512, 512, 512)});
  EXPECT_EQ(device_kind({record, cpu}), "cpu");  // whose rows are all that was measured
}

TEST(Transfer, EveryRateSaysWhatItRestsOn) {
  const System h800 = published("h800");
  const Library library = published_library();
  RateBook book;
  book.describe(h800);
  (void)add_projected(book, {gpu_record(device("NVIDIA H200", 132, 150.1e9), 788e12, 695)}, h800,
                      library);
  const auto json = to_json(predict(library.run("deepseek-v3-step"), h800, book,
                                    load_knowledge(library), {.samples = 0}));
  std::set<std::string> seen;
  for (const auto& rate : json.at("rates")) {
    const auto how = rate.at("how").get<std::string>();
    const auto basis = rate.at("basis").get<std::string>();
    EXPECT_EQ(basis, how.starts_with("best")        ? "assumed"
                     : how.starts_with("datasheet") ? "datasheet"
                                                    : "projected")
        << rate;
    seen.insert(basis);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"assumed", "datasheet", "projected"}));
}
