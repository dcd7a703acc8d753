// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A story from a record alone.
#include "report/story.hpp"

#include "report/numbers.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>

using namespace trainmeter;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Story, TellsWhatWasAchievedBesideWhatIsPossible) {
  const Story story = tell({small_cpu()}, published_library(), {});
  const auto gemm = std::ranges::find_if(
      story.achieved, [](const Achieved& a) { return a.point.operation == "gemm"; });
  ASSERT_NE(gemm, story.achieved.end());
  EXPECT_NEAR(*gemm->possible / 2e12, 1, 0.01);  // the register loop, its fastest samples
  if (gemm->interval) {
    EXPECT_LE(gemm->interval->low, gemm->point.value);
    EXPECT_GE(gemm->interval->high, gemm->point.value);
  }
  ASSERT_TRUE(story.prediction) << story.why_no_prediction;
  EXPECT_EQ(story.collectives.size(), 1U);
  EXPECT_GE(story.verdicts.size(), 3U);
  const std::string text = to_text(to_document(story), {});
  for (const char* expected : {"1.00 TFLOP/s", "49.6 %", "step time", "null model", "contradictory",
                               "in full, with its arithmetic"}) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
  EXPECT_THAT(text, Not(HasSubstr("$81,920")));  // a claim's details
  EXPECT_THAT(to_text(to_document(story, Claims::in_full), {}), HasSubstr("$81,920, not $294,000"));
  for (const char c : {'\033', '\t'}) EXPECT_EQ(text.find(c), std::string::npos);
}

TEST(Story, ListsAStepsKernelsByTheirSizes) {
  Record record = small_cpu();
  record.lines.push_back(
      {measured("rmsnorm", "bf16", "openmp", {{"rows", 8}, {"cols", 64}}, 5e9, 1), 0, 99});
  const Story story = tell({record}, published_library(), {});
  EXPECT_NEAR(story.rates.memory()->value, 20e9, 1);  // triad's, as without it
  const std::string text = to_text(to_document(story), {});
  EXPECT_THAT(text, HasSubstr("rmsnorm"));
  EXPECT_THAT(text, HasSubstr("cols:64 rows:8"));
  EXPECT_THAT(text, HasSubstr("5.00 GB/s"));
}

TEST(Story, SaysWhereACeilingIsNone) {
  const auto text_of = [](double ceiling) {
    Record record = small_cpu();
    record.lines[3].measurement = measured("fma", "bf16", "registers", {{"cores", 2}}, ceiling, 1);
    return to_text(to_document(tell({record}, published_library(), {})), {});
  };
  EXPECT_THAT(text_of(0.98e12), Not(HasSubstr("exceeds what is given as possible")));
  EXPECT_THAT(text_of(0.5e12), HasSubstr("exceeds what is given as possible"));
}

TEST(Story, ShowsFailuresAndCountsThemNowhere) {
  Record record = small_cpu();
  Measurement wrong = gemm_at(9e12, 1024, 1024, 1024, "int8");
  wrong.verified = false;
  wrong.failure = "wrong result: error 3 exceeds 0.5";
  record.lines.push_back({wrong, 0, 99});
  const Story story = tell({record}, published_library(), {});
  ASSERT_EQ(story.failures.size(), 1U);
  EXPECT_THAT(story.failures[0], HasSubstr("test.jsonl:99"));
  for (const Achieved& a : story.achieved) EXPECT_NE(a.point.dtype, "int8");
}

TEST(Story, WithoutMemoryBandwidthThereIsNoPredictionButTheRestHolds) {
  const Story story =
      tell({record_of({gemm_at(1e12, 512, 512, 512),
                       measured("fma", "bf16", "registers", {{"cores", 2}}, 2e12, 1)})},
           published_library(), {});
  EXPECT_FALSE(story.prediction);
  EXPECT_THAT(story.why_no_prediction, HasSubstr("no memory bandwidth"));
  EXPECT_THAT(to_text(to_document(story), {}), HasSubstr("No prediction: "));
  EXPECT_FALSE(story.verdicts.empty());
}

TEST(Story, AGpuIsKnownByItsName) {
  Record record = small_cpu();
  record.headers[0].device.kind = "gpu";
  record.headers[0].device.name = "NVIDIA H100 80GB HBM3";
  record.headers[0].device.sms = 132;
  record.headers[0].device.memory_bytes = 81'559LL << 20;  // as the driver counts 80 GB
  const Story story = tell({record}, published_library(), {});
  EXPECT_EQ(story.machine.id, "h100");
  EXPECT_THAT(story.notes.at(0), HasSubstr("h100"));
}

TEST(Story, JsonIsWhole) {
  const auto json = to_json(tell({small_cpu()}, published_library(), {}));
  for (const char* key : {"records", "machine", "achieved", "collectives", "prediction", "claims"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(nlohmann::json::parse(json.dump()), json);  // no NaN turned into null
  EXPECT_EQ(json.dump().find("null,\"low"), std::string::npos);
}

namespace {

std::string flat(const Document& document) {  // as one line
  std::string out;
  for (const char c : to_text(document, {})) {
    const bool space = c == ' ' || c == '\n';
    if (!space || (!out.empty() && out.back() != ' ')) out += space ? ' ' : c;
  }
  return out;
}

// Shape and series of each row of the tables below the roofline and the shapes.
void expect_rows_apart(const Document& document) {
  std::size_t tables = 0;
  for (const Block& block : document) {
    const auto* chart = std::get_if<Chart>(&block);
    if (chart == nullptr || (chart->id != "roofline" && chart->id != "shapes")) continue;
    ++tables;
    std::set<std::pair<std::string, std::string>> seen;
    for (const auto& row : chart->table.rows)
      EXPECT_TRUE(seen.insert({row[0].text, row[1].text}).second) << row[0].text;
  }
  EXPECT_EQ(tables, 2U);
}

Record h200_record() {
  return read_record(std::filesystem::path(TRAINMETER_SOURCE_DIR) /
                     "results/measured/h200/20261126T082444-644a3e8.jsonl");
}

}  // namespace

TEST(Story, ClaimsThatNobodyMadeCountApart) {
  const std::string text = flat(to_document(tell({small_cpu()}, published_library(), {})));
  EXPECT_THAT(text,
              HasSubstr("Of 34 published claims, 22 agree with their own arithmetic and with "
                        "what has been measured; untestable: 9; refuted: 3. Of 6 more, made up "
                        "to show mistakes, 6 are refuted."));
}

TEST(Story, RowsOfAShapeAreToldApart) {
  Record record = small_cpu();
  Measurement transposed = gemm_at(0.9e12, 1024, 1024, 1024);
  transposed.layout = "nn";
  transposed.name += "/layout:nn";
  record.lines.push_back({transposed, 0, 98});
  record.lines.push_back({gemm_at(0.8e12, 1024, 1024, 1024), 0, 99});  // of a case one is shown
  const Document document = to_document(tell({record}, published_library(), {}));
  expect_rows_apart(document);
  EXPECT_THAT(flat(document), HasSubstr("1024 x 1024 x 1024 nn"));
  EXPECT_THAT(flat(document), Not(HasSubstr("(line ")));
  const Document published =
      to_document(tell_published(published_library(), {.run = "deepseek-v3-step", .predict = {}}));
  expect_rows_apart(published);
}

TEST(Story, APublishedBestIsNotRefutedAndSaysWhose) {
  const std::string text = flat(
      to_document(tell_published(published_library(), {.run = "deepseek-v3-step", .predict = {}})));
  EXPECT_THAT(text, HasSubstr("the best fp8 GEMM that anybody published reaches 1.50 PFLOP/s "
                              "(deepgemm)"));
  EXPECT_THAT(text, HasSubstr("allreduce fp32 nccl exceeds what is given as possible (datasheet of "
                              "h800): bus bandwidth counts what a ring would send"));
}

// Of the committed record: a row's power climbed, a pair ran in turn, bests were held by the cap.
TEST(Story, OfTheH200) {
  const std::string text = flat(to_document(tell({h200_record()}, published_library(), {})));
  EXPECT_THAT(text,
              HasSubstr("the best fp8 GEMM measured reaches 1.29 PFLOP/s, 65.1 % of its "
                        "datasheet's peak, in runs back to back, where the power cap holds it "
                        "at 1."));
  EXPECT_THAT(text, HasSubstr("32768 x 4096 x 7168 in 8 groups"));
  EXPECT_THAT(text, HasSubstr("cublaslt, 8 calls"));
  for (const char* climbing : {"293 W", "240 W", "208 W"})
    EXPECT_THAT(text, Not(HasSubstr(climbing)));
  EXPECT_THAT(text, HasSubstr("at a higher clock"));
}

TEST(Story, PairsInTurnAreSideBySide) {
  Measurement one = gemm_at(1e12, 512, 512, 512),
              other = gemm_at(0.8e12, 512, 512, 512, "bf16", "b");
  one.paired_with = other.name;
  other.paired_with = one.name;
  const std::string text =
      flat(to_document(tell({record_of({one, other})}, published_library(), {})));
  EXPECT_THAT(text, HasSubstr("Two implementations in turn"));
  EXPECT_THAT(text, HasSubstr("onednn 1.00 TFLOP/s b 800 GFLOP/s 1.250"));
  EXPECT_THAT(text, Not(HasSubstr("in geometric mean of")));
  other.sms = 8;  // of a share, which the two have in other steps
  EXPECT_THAT(flat(to_document(tell({record_of({one, other})}, published_library(), {}))),
              HasSubstr("onednn 1.00 TFLOP/s b, on 8 SMs 800 GFLOP/s 1.250"));
  one.paired_with = "";
  EXPECT_THAT(flat(to_document(tell({record_of({one, other})}, published_library(), {}))),
              Not(HasSubstr("Two implementations in turn")));
}

// 1.25 and 0.8, in fp32 1.5: alike means alike in what is written, too.
TEST(Story, PairsOfAKindHaveAMean) {
  std::vector<Measurement> rows;
  for (const auto& [size, flops, added] :
       {std::tuple{512, 1e12, ""}, {1024, 0.64e12, ""}, {2048, 1.2e12, "/accumulate:1"}}) {
    Measurement one = gemm_at(flops, size, 512, 512),
                other = gemm_at(0.8e12, size, 512, 512, "bf16", "b");
    one.name += added;
    other.name += added;
    one.paired_with = other.name;
    other.paired_with = one.name;
    rows.push_back(one);
    rows.push_back(other);
  }
  const std::string text = flat(to_document(tell({record_of(rows)}, published_library(), {})));
  EXPECT_THAT(text, HasSubstr("gemm bf16: onednn over b: 1.000 in geometric mean of 2, the lowest "
                              "0.800 (1024 x 512 x 512)"));
  EXPECT_THAT(text, Not(HasSubstr("added to: onednn")));
}

TEST(Story, WithoutAGemmOfTheMachineThereIsNoTrainingHeadline) {
  Record record =
      record_of({measured("triad", "fp64", "own", {{"bytes", 1 << 30}}, 3.0 * (1 << 30), 1e-3)});
  put_on(h200(), record);
  const Story story = tell({record}, published_library(), {});
  EXPECT_EQ(story.machine.id, "h200");
  EXPECT_FALSE(story.prediction);
  EXPECT_THAT(story.why_no_prediction, HasSubstr("no GEMM of this machine was measured"));
}

// Figures of one table share their source: a rate is tied to the one it came from.
TEST(Story, APublishedRateIsTiedToItsOwnFigure) {
  const Story story =
      tell_published(published_library(), {.run = "deepseek-v3-step", .predict = {.samples = 0}});
  const Numbers numbers = numbers_of(story);
  int exact = 0;
  for (const UsedRate& used : story.prediction->rates) {
    if (used.rate.basis != Basis::published) continue;
    std::string id = "predict/deepseek-v3-step:rates." + used.what + ".value";
    std::ranges::replace(id, ' ', '_');
    const std::vector<std::string>& inputs = numbers.at(id).inputs;
    ASSERT_EQ(inputs.size(), 1U) << id;
    const Number& figure = numbers.at(inputs.front());
    EXPECT_THAT(figure.source, StartsWith(used.rate.origin + " (")) << id;
    // Of attention, rates on the full square are carried to causal ones.
    if (!used.rate.how.starts_with("exact shape") || used.what.starts_with("attention")) continue;
    EXPECT_EQ(figure.value, used.rate.value) << id;
    ++exact;
  }
  EXPECT_GT(exact, 0);
  EXPECT_THAT(chain_of(numbers,
                       "predict/deepseek-v3-step:rates.ffn_up_fprop_"
                       "4096x36864x7168_fp8.value"),
              HasSubstr("deepgemm-55ab91f-dense-4096x24576x1536:rate"));
}

TEST(Story, SaysOnHowManyDevicesAndInWhichPrecision) {
  const std::string text = flat(
      to_document(tell_published(published_library(), {.run = "deepseek-v3-step", .predict = {}})));
  EXPECT_THAT(text, HasSubstr(" on 2,048 x h800, GEMMs in fp8 "));
  const Story here = tell({small_cpu()}, published_library(), {});
  EXPECT_EQ(here.prediction_title,
            "GPT-2 124M on 10 B tokens on this machine, 1 device, GEMMs in bf16");
  EXPECT_THAT(here.prediction->assumptions, Not(Contains(HasSubstr("precision isn't printed"))));
}

// As predict --system measured has it.
TEST(Story, KeepsARunsGoodputAndThePriceOfARunWithoutASystem) {
  nlohmann::json run =
      nlohmann::json::parse(slurp(published_library().root() / "runs" / "gpt2-124m-10b.json"));
  run["goodput"] = 0.9;
  run["price_usd_per_gpu_hour"] = 1.5;
  const auto told = [&](const PredictOptions& options) {
    const auto file = write_text(run.dump(), "run_of_a_story.json");
    Story story =
        tell({small_cpu()}, published_library(), {.run = file.string(), .predict = options});
    EXPECT_TRUE(story.prediction) << story.why_no_prediction;
    return std::move(*story.prediction);
  };
  const Prediction elsewhere = told({});  // the price is of an A100's hours
  EXPECT_EQ(elsewhere.goodput, 0.9);
  EXPECT_NE(elsewhere.price_usd_per_gpu_hour, 1.5);
  EXPECT_THAT(elsewhere.assumptions,
              testing::Contains(HasSubstr("not on a100: its published figures, price")));
  run.erase("system");
  const Prediction here = told({});
  EXPECT_EQ(here.goodput, 0.9);
  EXPECT_EQ(here.price_usd_per_gpu_hour, 1.5);
  EXPECT_TRUE(here.published.empty());
  EXPECT_THAT(here.assumptions, testing::Contains(HasSubstr("its published figures are left out")));
  EXPECT_EQ(told({.price_usd_per_gpu_hour = 3}).price_usd_per_gpu_hour, 3);
}

TEST(Story, ARunThatNobodyKnowsIsNoStory) {
  EXPECT_THAT(refusal([] { (void)tell({small_cpu()}, published_library(), {.run = "nope"}); }),
              HasSubstr("'nope': no such file, and no such id in runs"));
}
