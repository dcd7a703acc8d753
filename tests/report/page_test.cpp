// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Numbers that can be followed, the page that shows them, and what neither lets through.
#include "report/page.hpp"

#include "report/numbers.hpp"
#include "report/story.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace trainmeter;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

// Every cell of tables and charts that names a number.
std::vector<Text> linked(const Document& document) {
  std::vector<Text> out;
  const auto take = [&](const Table& table) {
    for (const auto& row : table.rows) {
      for (const Text& cell : row) {
        if (!cell.number.empty()) out.push_back(cell);
      }
    }
  };
  for (const Block& block : document) {
    if (const auto* table = std::get_if<Table>(&block)) take(*table);
    if (const auto* chart = std::get_if<Chart>(&block)) take(chart->table);
  }
  return out;
}

void expect_agreement(const Story& story) {
  const Numbers numbers = numbers_of(story);
  const auto json = to_json(numbers);
  const Document document = to_document(story, Claims::in_full);
  const std::string page = to_html(document, numbers, "");
  const std::string markdown = to_markdown(document);
  const auto cells = linked(document);
  EXPECT_GT(cells.size(), 20U);
  for (const Text& cell : cells) {
    ASSERT_TRUE(json.contains(cell.number)) << cell.number << " " << cell.text;
    EXPECT_EQ(json[cell.number]["shown"], cell.text) << cell.number;
    EXPECT_THAT(markdown, HasSubstr(" " + cell.text + " |"));
    EXPECT_THAT(page, HasSubstr(">" + cell.text + "</button>"));
  }
}

}  // namespace

TEST(Page, NumbersAgreeInMarkdownPageAndJson) {
  expect_agreement(tell({small_cpu()}, published_library(), {}));
  expect_agreement(tell({small_cpu(), small_cpu()}, published_library(), {}));
  expect_agreement(
      tell_published(published_library(), {.run = "deepseek-v3-step", .validate = true}));
}

TEST(Page, EveryInputOfANumberIsANumber) {
  const Numbers numbers = numbers_of(tell({small_cpu()}, published_library(), {}));
  for (const Number& number : numbers.all()) {
    for (const std::string& input : number.inputs)
      EXPECT_NE(numbers.find(input), nullptr) << number.id << " <- " << input;
  }
}

TEST(Page, AStepIsFollowedToTheLineOfARecord) {
  const Numbers numbers = numbers_of(tell({small_cpu()}, published_library(), {}));
  const std::string chain = chain_of(numbers, "predict/gpt2-124m-10b:cost_usd");
  for (const char* part : {"GPU-hours x price", "step_time_s", "breakdown_s.gemm", "test.jsonl:2"})
    EXPECT_THAT(chain, HasSubstr(part));
  // 2 x 1024^3 FLOP in 2.147 ms.
  EXPECT_THAT(chain_of(numbers, "gemm/bf16/onednn/k:1024/m:1024/n:1024:rate"),
              HasSubstr("2.147e+09 FLOP / 2.15 ms, the median of 7 of 7 samples"));
}

TEST(Page, InPlaceIsALinkOfItsOwn) {
  // Assumed, where no layer was measured: the factor, with its reason.
  const Numbers assumed = numbers_of(tell({small_cpu()}, published_library(), {}));
  const std::string id = "predict/gpt2-124m-10b:in_place.bf16_GEMMs";
  EXPECT_THAT(chain_of(assumed, id + ".ratio"),
              AllOf(HasSubstr("no GEMM of this dtype was timed in a layer"),
                    HasSubstr("factors.in_place_other.middle"), HasSubstr("caches shared with"),
                    HasSubstr("factors.json")));
  EXPECT_THAT(chain_of(assumed, "predict/gpt2-124m-10b:cost_usd"), HasSubstr(id + ".ratio"));

  // Measured: the lines in place and alone.
  Record record = small_cpu();
  for (const char* beside : {"layer", "none"}) {
    Measurement m = gemm_at(1e12, 512, 512, 512);
    m.beside = beside;
    if (m.beside == "layer") m.time_s = std::vector<double>(7, m.time_s[0] * 2);
    record.lines.push_back({m, 0, 90 + record.lines.size()});
  }
  const Story story = tell({record}, published_library(), {});
  const Numbers measured = numbers_of(story);
  const std::string line = fmt::format("test.jsonl:{}", record.lines.back().line);
  EXPECT_THAT(chain_of(measured, id + "_fprop.ratio"),
              AllOf(HasSubstr("(measured)"), HasSubstr("time alone / time in a layer, of 1 GEMM"),
                    HasSubstr("from " + line)));
  EXPECT_NEAR(measured.at(id + "_fprop.ratio").value, 0.5, 0.01);
  EXPECT_EQ(measured.find("predict/gpt2-124m-10b:factors.in_place_other.middle"), nullptr);
  const Document document = to_document(story);
  EXPECT_THAT(to_text(document, {}), HasSubstr("bf16 GEMMs fprop"));
  EXPECT_THAT(to_markdown(document), HasSubstr("| bf16 GEMMs fprop |"));
  EXPECT_THAT(to_html(document, measured, ""), HasSubstr("in_place.bf16_GEMMs_fprop.ratio"));
  EXPECT_EQ(to_json(story)["prediction"]["in_place"][0]["basis"], "measured");
  expect_agreement(story);
}

TEST(Page, AnUnknownNumberGetsTheNearest) {
  const Numbers numbers = numbers_of(tell({small_cpu()}, published_library(), {}));
  EXPECT_THAT(refusal([&] { chain_of(numbers, "predict/gpt2-124m-10b:mfuu"); }),
              HasSubstr("did you mean predict/gpt2-124m-10b:mfu"));
  EXPECT_THAT(refusal([&] { chain_of(numbers, "n:1024:rate"); }),
              HasSubstr("gemm/bf16/onednn/k:1024/m:1024/n:1024:rate"));
}

TEST(Page, TheLineThatIsACasesRateHasThePlainId) {
  Record record = small_cpu();
  record.lines.push_back({gemm_at(2e12, 1024, 1024, 1024), 0, 99});
  const Numbers numbers = numbers_of(tell({record}, published_library(), {}));
  const std::string id = "gemm/bf16/onednn/k:1024/m:1024/n:1024:rate";
  EXPECT_EQ(numbers.at(id).source, "test.jsonl:2");
  EXPECT_EQ(numbers.at(id + "@test.jsonl:99").source, "test.jsonl:99");
}

TEST(Page, HostileTextNeverBecomesMarkup) {
  const std::string hostile = "</script><script>alert(1)</script><img src=x onerror=\"y\">'[a](b)";
  Record record = small_cpu();
  record.file = hostile + ".jsonl";
  record.headers[0].host = hostile;
  record.headers[0].device.name = hostile;
  for (Line& line : record.lines) {
    line.measurement.name += hostile;
    line.measurement.backend = hostile;
  }
  const Story story = tell({record}, published_library(), {});
  const Document document = to_document(story);
  const std::string page = to_html(document, numbers_of(story), "");
  EXPECT_THAT(page, HasSubstr("alert(1)"));  // it is there, as text
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  const std::string markdown = to_markdown(document);
  EXPECT_THAT(markdown, HasSubstr("alert(1)"));
  for (const char* markup : {"<script", "<img", " [a]("})
    EXPECT_THAT(markdown, Not(HasSubstr(markup)));
}

TEST(Page, AnEmptyRecordSaysWhatIsMissing) {
  const Story story = tell({record_of({})}, published_library(), {});
  const std::string page = to_html(to_document(story), numbers_of(story), "");
  for (const char* missing : {"No prediction", "No roofline", "No GEMM rates against shape",
                              "No bandwidth against message size", "No burst against sustained"})
    EXPECT_THAT(page, HasSubstr(missing));
}

TEST(Page, WithoutTheLibraryItSaysHowToGetIt) {
  const Story story = tell({small_cpu()}, published_library(), {});
  EXPECT_THAT(to_html(to_document(story), numbers_of(story), ""), HasSubstr("scripts/charts.sh"));
  const std::string page = to_html(to_document(story), numbers_of(story), "var vegaEmbed;");
  EXPECT_THAT(page, HasSubstr("var vegaEmbed;"));
  EXPECT_THAT(page, HasSubstr("id=\"chart-roofline\" role=\"img\" aria-label=\"Roofline"));
  EXPECT_THAT(page, Not(HasSubstr("scripts/charts.sh")));
}

TEST(Page, TenThousandMeasurementsStayBelowEightMegabytes) {
  std::vector<Measurement> many;
  for (int i = 0; i < 10'000; ++i) many.push_back(gemm_at(1e12, 64 + i, 256, 256));
  const Story story = tell({record_of(many)}, published_library(), {});
  const std::string page =
      to_html(to_document(story), numbers_of(story), std::string(900'000, ' '));
  EXPECT_LT(page.size(), 8'000'000U);
  EXPECT_THAT(page, HasSubstr("the first 200 of 10000 rows"));
}

TEST(Page, WhatIsNoNumberIsShownSo) {
  EXPECT_EQ(shown_number("mfu", std::nan("")), "n/a");
  EXPECT_EQ(shown_number("mfu", 0.405), "40.5 %");
  EXPECT_EQ(shown_number("step_time_s.p50", 1.5), "1.50 s");
  EXPECT_EQ(shown_number("flops_per_step", 4.18e14), "4.18e+14 FLOP");
}

TEST(Document, BarsAreAsLongAsTheirShare) {
  const Document chart = {Chart{.id = "c",
                                .title = "T",
                                .spec = {},
                                .table = {{"what"}, {{"a"}, {"b"}, {"c"}}},
                                .bars = {2, 1, std::nan("")}}};
  EXPECT_EQ(to_text(chart, {.ascii = true}),
            "T\n\n  what\n  a     ########################\n  b     ############\n  c\n");
  EXPECT_THAT(to_text(chart, {}), HasSubstr("████████████████████████\n"));
}
