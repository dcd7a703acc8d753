// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every number of a report is followed to a line of a file, a constant or the command line.
#include "record/key_places.hpp"
#include "report/numbers.hpp"
#include "report/part_sources.hpp"
#include "report/story.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

using namespace trainmeter;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

namespace fs = std::filesystem;

// A file and a line that it has, the command line, or a constant's file.
bool is_place(const std::string& source) {
  static const std::regex kLine("([^ (]+\\.jsonl?):([0-9]+)");
  static const std::regex kConstants("the constants? [^ ]* ?of (report/[a-z_]+\\.cpp)");
  static std::map<std::string, std::size_t> lines;
  std::smatch found;
  if (std::regex_search(source, found, kLine)) {
    const std::string file = found[1];
    if (file == "test.jsonl") return true;  // a record of these tests, in no file
    if (!lines.contains(file)) {
      const std::string text = slurp(file);
      lines[file] = static_cast<std::size_t>(std::ranges::count(text, '\n'));
    }
    const std::size_t line = std::stoul(found[2]);
    return line > 0 && line <= lines[file];
  }
  if (std::regex_search(source, found, kConstants))
    return fs::exists(fs::path(TRAINMETER_SOURCE_DIR) / std::string(found[1]));
  return source == "the command line, --price";
}

// Each number ends at places, however one goes on from it, and never comes back to itself.
class Walk {
 public:
  explicit Walk(const Numbers& numbers) : numbers_(numbers) {}

  void expect_places(const std::string& id) {
    if (done_.contains(id)) return;
    ASSERT_TRUE(above_.insert(id).second) << id << " follows from itself";
    const Number& n = numbers_.at(id);
    if (n.inputs.empty()) {
      EXPECT_TRUE(is_place(n.source)) << id << " from '" << n.source << "'";
    }
    for (const std::string& input : n.inputs) expect_places(input);
    above_.erase(id);
    done_.insert(id);
  }

 private:
  const Numbers& numbers_;
  std::set<std::string> done_, above_;
};

void expect_places(const Story& story) {
  const Numbers numbers = numbers_of(story);
  ASSERT_GT(numbers.all().size(), 100U);
  Walk walk(numbers);
  for (const Number& number : numbers.all()) walk.expect_places(number.id);
}

// Told once: the claims in it take seconds.
const Story& published_story(const std::string& run, std::optional<double> price = {}) {
  static std::map<std::pair<std::string, std::optional<double>>, Story> stories;
  const auto key = std::pair(run, price);
  const auto known = stories.find(key);
  if (known != stories.end()) return known->second;
  Story story =
      tell_published(published_library(),
                     {.run = run, .predict = {.price_usd_per_gpu_hour = price, .samples = 200}});
  return stories.emplace(key, std::move(story)).first->second;
}

// "FILE:LINE" of the first line that holds `text`, or of one `more` lines below it.
std::string line_with(const std::string& file, const std::string& text, int more = 0) {
  const std::string whole = slurp(file);
  const auto end = whole.begin() + static_cast<std::ptrdiff_t>(whole.find(text));
  return fmt::format("{}:{}", KeyLines().shown({file, "no key"}),
                     1 + more + std::count(whole.begin(), end, '\n'));
}

std::string published_file(const std::string& name) {
  return (published_library().root() / name).string();
}

// What a part follows from, by way of other parts too.
std::set<Factor> all_factors(std::string_view part) {
  const PartSources from = sources_of(part);
  std::set<Factor> out(from.factors.begin(), from.factors.end());
  for (const std::string_view other : from.parts) out.merge(all_factors(other));
  return out;
}

// A stage with the price of the whole, as a file.
std::string staged_run() {
  nlohmann::json stage =
      nlohmann::json::parse(slurp(published_file("runs/megatron-h100-16b.json")));
  stage["tokens"] = 1e10;
  stage.erase("price_usd_per_gpu_hour");
  stage["system"] = nlohmann::json::parse(slurp(published_file("systems/h100.json")));
  stage["system"].erase("price_usd_per_gpu_hour");
  stage["model"] = published_file("models/" + stage["model"].get<std::string>() + ".json");
  nlohmann::json other = stage;
  other["id"] = "other-stage";
  other["tokens"] = 2e10;
  const std::string model = stage["model"];
  for (nlohmann::json* one : {&stage, &other})
    (*one)["model"] = nlohmann::json::parse(slurp(model));
  const nlohmann::json whole = {{"id", "whole"},
                                {"title", "Two stages"},
                                {"system", "h100"},
                                {"gpus", stage["gpus"]},
                                {"price_usd_per_gpu_hour", 7},
                                {"published", {{"gpu_hours", 12345}}},
                                {"stages", {stage, other}}};
  return write_text(whole.dump(2) + "\n", "whole.json").string();
}

}  // namespace

TEST(Explain, EveryNumberOfAReportEndsAtAPlace) {
  expect_places(tell({small_cpu()}, published_library(), {}));
  expect_places(tell({small_cpu()}, published_library(),
                     {.predict = {.price_usd_per_gpu_hour = 3}, .validate = true}));
  // Two devices, and the collective between them.
  Record two = small_cpu();
  two.headers[0].device.count = 2;
  for (const std::int64_t bytes : {1 << 16, 1 << 22, 1 << 26}) {
    Measurement m = measured("allreduce", "fp32", "mpi", {{"bytes", bytes}},
                             static_cast<double>(bytes), 1e-4 + static_cast<double>(bytes) / 4e9);
    m.ranks = 2;
    two.lines.push_back({m, 0, 20 + two.lines.size()});
  }
  const Story pair = tell({two}, published_library(), {});
  expect_places(pair);
  EXPECT_THAT(chain_of(numbers_of(pair), "predict/gpt2-124m-10b:breakdown_s.data_parallel"),
              AllOf(HasSubstr("links.reducescatter.start_s"), HasSubstr("fitted to 4 figures"),
                    HasSubstr("half of an all-reduce's"), HasSubstr("from test.jsonl:29")));
  Record card = record_of({gemm_at(7e14, 4096, 4096, 4096, "bf16", "cublaslt"),
                           measured("triad", "fp64", "cuda", {{"bytes", 1 << 30}}, 3.0 * (1 << 30),
                                    3.0 * (1 << 30) / 4e12)});
  put_on(h200(), card);
  expect_places(tell({card}, published_library(), {}));
}

TEST(Explain, EveryNumberOfAPublishedRunEndsAtAPlace) {
  for (const char* run : {"deepseek-v3-step", "deepseek-r1-zero", "megatron-h100-16b"})
    expect_places(published_story(run));
  expect_places(published_story("deepseek-r1-zero", 3));
}

TEST(Explain, EveryNumberOfStagesEndsAtAPlace) {
  const std::string file = staged_run();
  const Story& story = published_story(file);
  expect_places(story);
  const Numbers numbers = numbers_of(story);
  // The whole's price, for stages without one, is nobody's command line.
  EXPECT_EQ(numbers.at("predict/whole:price_usd_per_gpu_hour").value, 7);
  EXPECT_THAT(chain_of(numbers, "predict/whole:price_usd_per_gpu_hour"),
              AllOf(HasSubstr("the stages', by their GPU-hours"), HasSubstr("the run's own"),
                    HasSubstr("from " + line_with(file, "\n  \"price_usd", 1)),
                    Not(HasSubstr("the command line"))));
}

TEST(Explain, EveryPartOfAStepIsFollowed) {
  const Numbers numbers = numbers_of(published_story("deepseek-v3-step"));
  const std::string part = "predict/deepseek-v3-step:breakdown_s.";
  EXPECT_THAT(chain_of(numbers, part + "grouped_gemm"),
              AllOf(HasSubstr("factors.grouped_gemm.middle"), HasSubstr("grouped-contiguous"),
                    HasSubstr("micro/h800.json:")));
  EXPECT_THAT(chain_of(numbers, part + "attention_core"),
              AllOf(HasSubstr("rates.attention_core_forward.value"),
                    HasSubstr("factors.attention_fused.middle")));
  EXPECT_THAT(chain_of(numbers, part + "memory_bound"),
              AllOf(HasSubstr("memory_bandwidth.value"), HasSubstr("factors.traffic_"),
                    Not(HasSubstr("rates.q_a"))));
  EXPECT_THAT(
      chain_of(numbers, part + "interference_and_host"),
      AllOf(HasSubstr("factors.node_links.middle"), HasSubstr("breakdown_s.gemm"),
            HasSubstr(line_with(published_file("systems/h800.json"), "\"nic_bytes_per_s\"")),
            HasSubstr("kCollectiveStart")));
  EXPECT_THAT(chain_of(numbers, part + "jitter_of_nodes"), HasSubstr("factors.jitter.middle"));
}

// The table of what parts follow from, against the arithmetic: a part that moves with a factor
// names it.
TEST(Explain, PartsNameEveryFactorThatMovesThem) {
  std::set<std::string> seen;
  for (const char* id : {"deepseek-v3-step", "megatron-h100-16b", "gpt2-124m-10b", "bloom-176b",
                         "fms-fsdp-h100-7b", "mbridge-25.09-h100-dsv3"}) {
    const trainmeter::Run run = library().run(id);
    const System& system = *run.system;
    const FactorValues centre = knowledge().factors.medians();
    const Bill bill = candidates(run, system, published_book(system), centre).front().bill;
    const StepTime before = step_time(bill, centre);
    for (std::size_t f = 0; f < kFactors; ++f) {
      FactorValues moved = centre;
      moved[f] *= 1.01;
      const StepTime after = step_time(bill, moved);
      for (const auto& [part, seconds] : after.breakdown_s) {
        seen.insert(part);
        const auto same =
            std::ranges::find(before.breakdown_s, part, &std::pair<std::string, double>::first);
        if (same != before.breakdown_s.end() &&
            std::abs(seconds - same->second) < 1e-9 * before.total_s)
          continue;
        EXPECT_TRUE(all_factors(part).contains(static_cast<Factor>(f)))
            << id << ": " << part << " moves with " << to_string(static_cast<Factor>(f));
      }
    }
  }
  EXPECT_GE(seen.size(), 8U);
}

TEST(Explain, TheDenominatorOfMfuNamesItsKey) {
  const std::string id = "predict/deepseek-v3-step:mfu_peak_flops";
  EXPECT_THAT(chain_of(numbers_of(published_story("deepseek-v3-step")), id),
              AllOf(HasSubstr("the run's source gives MFU against"),
                    HasSubstr(line_with(published_file("runs/deepseek-v3-step.json"),
                                        "\"mfu_peak_flops\""))));
  EXPECT_THAT(chain_of(numbers_of(published_story("gpt2-124m-10b")),
                       "predict/gpt2-124m-10b:mfu_peak_flops"),
              AllOf(HasSubstr("dense bf16 peak of"), HasSubstr("machine:peak_flops.bf16"),
                    HasSubstr("results/published/systems/")));
  // A CPU's: the register loop's line; where a GEMM is faster than that, the GEMM's.
  Record record = small_cpu();
  const auto peak_of = [&] {
    return chain_of(numbers_of(tell({record}, published_library(), {})),
                    "predict/gpt2-124m-10b:mfu_peak_flops");
  };
  EXPECT_THAT(peak_of(), HasSubstr("from test.jsonl:5"));
  record.lines[0].measurement = gemm_at(3e12, 1024, 1024, 1024);
  EXPECT_THAT(peak_of(), AllOf(HasSubstr("the best bf16 GEMM"), HasSubstr("from test.jsonl:2")));
}

TEST(Explain, APriceSaysWhoseItIs) {
  const auto chain = [](const Story& story) {
    return chain_of(numbers_of(story),
                    "predict/" + story.prediction->run_id + ":price_usd_per_gpu_hour");
  };
  EXPECT_THAT(chain(published_story("deepseek-v3-step", 3)),
              AllOf(HasSubstr("$3.00 (given)"), HasSubstr("from the command line, --price"),
                    Not(HasSubstr("published"))));
  EXPECT_THAT(chain(published_story("deepseek-v3-step")),
              AllOf(HasSubstr("(published)"),
                    HasSubstr(line_with(published_file("systems/h800.json"), "\"price_usd"))));
  EXPECT_THAT(
      chain(published_story("gpt2-124m-10b")),
      AllOf(HasSubstr("the run's own"),
            HasSubstr(line_with(published_file("runs/gpt2-124m-10b.json"), "\"price_usd"))));
  // A user's run file is nothing published.
  nlohmann::json own = nlohmann::json::parse(slurp(published_file("runs/gpt2-124m-10b.json")));
  own["price_usd_per_gpu_hour"] = 1.5;
  const std::string file = write_text(own.dump(2) + "\n", "own.json").string();
  EXPECT_THAT(chain(published_story(file)),
              AllOf(HasSubstr("$1.50 (given)"), HasSubstr(line_with(file, "\"price_usd"))));
  // Of a CPU it is worked out.
  EXPECT_THAT(chain(tell({small_cpu()}, published_library(), {})),
              AllOf(HasSubstr("(derived)"), HasSubstr("cores of"), HasSubstr(".json:")));
}

// In the claim, or in the run that it is built on.
TEST(Explain, AClaimsFiguresStandInTheirLine) {
  const Numbers numbers = numbers_of(published_story("deepseek-v3-step"));
  std::size_t found = 0;
  for (const std::string& id : published_library().ids("claims")) {
    for (const auto& [figure, words] :
         {std::pair("gpu_hours", "\"gpu_hours\""), std::pair("cost_usd", "\"cost")}) {
      const Number* number = numbers.find(fmt::format("{}:{}", id, figure));
      if (number == nullptr) continue;
      ++found;
      std::smatch place;
      ASSERT_TRUE(std::regex_search(number->source, place, std::regex("([^ (]+\\.json):([0-9]+)")))
          << number->source;
      std::istringstream text(slurp(std::string(place[1])));
      std::string line;
      for (std::size_t i = std::stoul(place[2]); i > 0; --i) std::getline(text, line);
      EXPECT_THAT(line, HasSubstr(words)) << id << ":" << figure << " from " << number->source;
    }
  }
  EXPECT_GT(found, 20U);
  EXPECT_THAT(numbers.at("bloom-hours:gpu_hours").source,
              HasSubstr(line_with(published_file("runs/bloom-176b.json"), "\"gpu_hours\"")));
}

TEST(Explain, PublishedFiguresHaveTheirLine) {
  const Numbers numbers = numbers_of(
      tell_published(published_library(),
                     {.run = "deepseek-v3-step", .predict = {.samples = 200}, .validate = true}));
  const std::string micro = published_file("micro/h800.json");
  const std::string figure = "deepgemm-55ab91f-dense-4096x24576x1536";
  EXPECT_THAT(numbers.at(figure + ":rate").source, HasSubstr(line_with(micro, figure)));
  EXPECT_THAT(numbers.at("machine:memory_bytes_per_s").source,
              HasSubstr(line_with(published_file("systems/h800.json"), "\"memory_bytes_per_s\"")));
  EXPECT_THAT(
      numbers.at("deepseek-r1:gpu_hours").source,
      AllOf(HasSubstr("Table 7"),
            HasSubstr(line_with(published_file("claims/deepseek-r1.json"), "\"gpu_hours\""))));
  EXPECT_THAT(numbers.at("validate/bloom-176b:published_step_time_s").source,
              HasSubstr("runs/bloom-176b.json:"));
  EXPECT_THAT(numbers.at("predict/deepseek-v3-step:factors.node_links.middle").source,
              HasSubstr(line_with(published_file("factors.json"), "\"node_links\"")));
  EXPECT_THAT(numbers.at("predict/deepseek-v3-step:factors.jitter.middle").source,
              HasSubstr("calibration.json:"));
}
