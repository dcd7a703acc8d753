// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// layer_bench on this machine's CPU, from the command line to the prediction that takes its ratio.
#include "kernels/machine.hpp"
#include "record/layer_factors.hpp"
#include "record/record.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"

#include "subprocess.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

const std::string kSmall =
    "layer_bench --device=cpu --models=gpt2-124m --tokens=32 --dtype=fp32 --cache=hot --target=0 "
    "--benchmark_min_time=0.01 --benchmark_min_warmup_time=0.01 ";

TEST(LayerBench, MeasuresALayerAndItsPartsAndResumes) {
  const Folder folder;
  const std::string command = kSmall + "--out=" + (folder / "layer.jsonl") + " --resume";
  const Said said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("layer_backward/fp32/composed/gpt2-124m/dense/rows:32"));
  EXPECT_THAT(said.out, HasSubstr("in_place_ratio="));
  EXPECT_THAT(said.err, HasSubstr("in place"));
  const Record record = read_record(folder / "layer.jsonl");
  std::map<std::string, std::size_t> in_place;
  std::map<std::string, std::size_t> alone;
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.name << ": " << m.failure;
    EXPECT_GE(m.time_s.size(), 10U) << m.name;
    ++(m.beside == "layer" ? in_place : alone)[m.name];
    if (!m.operation.starts_with("layer_")) continue;
    EXPECT_FALSE(m.notes.contains("left_out"));
    EXPECT_THAT(m.check, HasSubstr("each part by itself, and a small layer's 10 results"));
    EXPECT_GT(std::stod(m.notes.at("in_place_ratio")), 0);
    EXPECT_GT(std::stod(m.notes.at("laps_vs_layer")), 0);
    EXPECT_EQ(alone.erase(m.name), 1U);
  }
  EXPECT_EQ(in_place, alone);  // each part both ways
  EXPECT_TRUE(in_place.contains("gemm/fp32/onednn/m:32/n:2304/k:768") ||
              in_place.contains("gemm/fp32/openblas/m:32/n:2304/k:768"));

  const Said again = run(command);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("all 2 cases are finished"));
  EXPECT_EQ(read_record(folder / "layer.jsonl").lines.size(), record.lines.size());
}

TEST(LayerBench, VersusTakesTwoWaysToComposeALayerInTurnAndResumes) {
  const Folder folder;
  const std::string small =  // as a report takes it: not of warm caches
      kSmall.substr(0, kSmall.find("--cache=hot")) + "--target=0 --benchmark_min_time=0.01 " +
      "--pass=forward --prefer=openblas --resume --out=" + (folder / "layer.jsonl");
  const std::string command = small + " --versus=onednn";
  const Said said = run(command);
  if (said.code == 3) GTEST_SKIP() << said.err;  // built without oneDNN
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("speed_vs_onednn="));
  const Record record = read_record(folder / "layer.jsonl");
  ASSERT_EQ(record.lines.size(), 2U);  // none of a part
  const Measurement& one = record.lines[0].measurement;
  const Measurement& other = record.lines[1].measurement;
  EXPECT_EQ(one.name, "layer_forward/fp32/composed/gpt2-124m/dense/rows:32");
  EXPECT_EQ(other.name, "layer_forward/fp32/onednn/gpt2-124m/dense/rows:32");
  EXPECT_EQ(one.notes.at("gemms_by"), "openblas 4");
  EXPECT_EQ(other.notes.at("gemms_by"), "onednn 4");
  for (const Measurement* m : {&one, &other}) {
    EXPECT_TRUE(m->usable()) << m->failure;
    EXPECT_THAT(m->check, HasSubstr("each part by itself, and a small layer's 10 results"));
    EXPECT_GT(m->error, 0);
    EXPECT_LT(m->error, m->error_bound);
    EXPECT_EQ(m->time_s.size(), one.time_s.size());
    EXPECT_FALSE(m->energy_j);
  }
  EXPECT_GT(paired_ratio(other, one).median, 0);  // refuses what is no pair

  EXPECT_THAT(run(command).err, HasSubstr("all 1 cases are finished"));
  const Said alone = run(small);  // a row of the same name, but of no pair
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(alone.err, HasSubstr("1 measured"));

  const Said report = run("trainmeter report " + (folder / "layer.jsonl") + " --format json");
  ASSERT_EQ(report.code, 0) << report.err;
  const auto told = nlohmann::json::parse(report.out);
  ASSERT_EQ(told.at("in_turn").size(), 1U);
  EXPECT_EQ(told.at("in_turn")[0].at("problem"), "gpt2-124m dense rows:32");
  EXPECT_EQ(told.at("in_turn")[0].at("speed").get<double>(), paired_ratio(other, one).median);
}

// The factors of time multiply to what was measured in place beside the co-runner, which moves the
// experts' dispatch and combine.
TEST(LayerBench, ALayerBesideACoRunnerSaysWhatEachFactorCosts) {
  if (cpu_info().cores < 2) GTEST_SKIP() << "skipped: one core";
  const Folder folder;
  const std::string file = folder / "layer.jsonl";
  const std::string command =
      "layer_bench --device=cpu --models=qwen3-30b-a3b --experts=1 --tokens=32 --dtype=fp32 "
      "--pass=forward --cache=hot --target=0 --benchmark_min_time=0.01 "
      "--benchmark_min_warmup_time=0.01 --co_sms=1 --resume --out=" +
      file;
  const Said said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("by_traffic="));
  EXPECT_THAT(said.err, HasSubstr("x beside"));
  const Record record = read_record(file);
  const std::int64_t all = cpu_info().cores;
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.name << ": " << m.failure;
    EXPECT_EQ(m.shape.at("co_sms"), 1) << m.name;
    const bool on_all = m.beside == "none" || m.beside == kInLayer;
    if (m.backend != "co_runner") {
      EXPECT_EQ(m.sms, on_all ? all : all - 1) << m.name;
    }
  }
  const std::vector<LayerFactors> found = layer_factors(record);
  ASSERT_EQ(found.size(), 1U);
  const LayerFactors& layer = found[0];
  // Three rows of the layer, two of the co-runner, six of each part.
  EXPECT_EQ(record.lines.size(), 5 + 6 * layer.parts.size());
  EXPECT_EQ(layer.gemms.places, 5);
  EXPECT_GT(layer.gemms.beside_s(), 0);
  double sum_s = 0;
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    if (m.beside == in_layer_beside("memory_mover"))
      sum_s += static_cast<double>(m.runs_per_sample) * median(counted_samples(m).time_s);
  }
  double sums_s = 0;
  for (const LayerFactor& sum : layer.sums()) sums_s += sum.beside_s();
  EXPECT_NEAR(sums_s, sum_s, 1e-9 * sum_s);
  // Of 32 tokens 8 copies of 2,048 elements in fp32 to 127 of 128 ranks, there and back, each read
  // and written.
  const auto& notes = layer.whole.co_together->notes;
  EXPECT_NEAR(std::stod(notes.at("co_layer_bytes")), 2. * 2 * 32 * 8 * 2048 * 4 * 127 / 128, 1);
  EXPECT_GT(std::stod(notes.at("co_paced_bytes_per_s")), 0);
  EXPECT_THAT(notes.at("co_moves"), HasSubstr("ep_dispatch"));
  EXPECT_THAT(run("trainmeter report " + file).out,
              ::testing::ContainsRegex("\\(cores\\):[ \n]+[0-9.]+[ \n]+.?B/s,[ \n]+alone"));
  // The in-place ratio is of all SMs: what else a factor says isn't in it.
  EXPECT_EQ(std::ranges::count_if(
                record.lines, [](const Line& line) { return line.measurement.beside == kInLayer; }),
            std::ssize(layer.parts));

  const Said report = run("trainmeter report " + file);
  EXPECT_THAT(report.out, HasSubstr("What fewer SMs and the traffic beside it cost a layer"));
  EXPECT_THAT(report.out, HasSubstr("qwen3-30b-a3b moe rows:32 experts:1  GEMMs"));
  EXPECT_THAT(run(command).err, HasSubstr("all 1 cases are finished"));
}

TEST(LayerBench, BadUsageIsExitCode2AndAMissingGpu3) {
  for (const std::string command :
       {"layer_bench --models=no-such-model", "layer_bench --pass=sideways",
        "layer_bench --device=cpu --prefer=abacus", "layer_bench --device=cpu --versus=abacus",
        "layer_bench --tokens=0", "layer_bench --device=cpu --models=deepseek-v3 --experts=5",
        "layer_bench --device=cpu --models=gpt2-124m --experts=3",
        "layer_bench --device=cpu --co_sms=1,2", "layer_bench --device=cpu --co_sms=0",
        "layer_bench --device=cpu --co_sms=1 --versus=onednn", "layer_bench --device=cpu --rate=1",
        "layer_bench --pitfalls"}) {
    const Said said = run(command);
    EXPECT_EQ(said.code, 2) << command << "\n" << said.err;
    EXPECT_EQ(said.out, "") << command;
  }
  EXPECT_EQ(run("layer_bench --device=cpu --dtype=fp8").code, 3);
  EXPECT_EQ(run("layer_bench --device=cpu --versus=hopper").code, 3);
  EXPECT_EQ(run("layer_bench --device=cpu --co_sms=1024").code, 3);
  if (gpus().devices.empty()) {
    EXPECT_EQ(run("layer_bench --device=gpu").code, 3);
  }
}

}  // namespace
}  // namespace trainmeter
