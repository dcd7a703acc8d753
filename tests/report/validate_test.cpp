// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The engine against published runs: the bars it has to clear, the same scores whatever the number
// of threads, and docs/validation.md, which is the program's own output.
#include "report/validate.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <map>
#include <sstream>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

// Once for all tests of a process.
const Validation& validation() {
  static const Validation kValidation = validate(published_library(), {.threads = 2});
  return kValidation;
}

const SpecialRow& special(const std::string& what) {
  for (const SpecialRow& row : validation().special) {
    if (row.what.find(what) != std::string::npos) return row;
  }
  throw std::runtime_error("no row: " + what);
}

void expect_inside(const SpecialRow& row) {
  EXPECT_LE(row.predicted.p05, row.published_s) << row.what;
  EXPECT_GE(row.predicted.p95, row.published_s) << row.what;
}

// Text as words and numbers: "16.67 to 26.26" is three. A sign is part of its number, as in
// "+3.5 %", but not in an id such as h100-64.
struct Token {
  std::string text;
  std::optional<double> number;
  double last_digit = 0;  // what 1 in the last printed digit is worth
};

std::vector<Token> tokens_of(const std::string& line) {
  std::vector<Token> out;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    Token token{.text = word, .number = {}};
    const auto digits = word.find_first_of("0123456789");
    const bool leads = digits == 0 || (digits == 1 && (word[0] == '+' || word[0] == '-'));
    char* end = nullptr;
    const double value = leads ? std::strtod(word.c_str(), &end) : 0;
    if (leads && *end == '\0') {
      token.number = value;
      const auto exponent = word.find('e');
      const auto point = word.find('.');
      const std::size_t stop = std::min(exponent, word.size());
      double digit = 1;
      if (point != std::string::npos) digit = std::pow(10, -static_cast<double>(stop - point - 1));
      if (exponent != std::string::npos) digit *= std::pow(10, std::atof(&word[exponent + 1]));
      token.last_digit = digit;
    }
    out.push_back(std::move(token));
  }
  return out;
}

// The compiler and the processor may round otherwise.
bool same(const Token& a, const Token& b) {
  if (a.text == b.text) return true;
  if (!a.number || !b.number) return false;
  const double off = std::abs(*a.number - *b.number);
  constexpr double kRelative = 0.005;
  constexpr double kDigits = 1.1;
  return off <= kRelative * std::abs(*b.number) ||
         off <= kDigits * std::max(a.last_digit, b.last_digit);
}

// Where two pages differ: the first line that does, or nothing.
std::string difference(const std::string& a, const std::string& b) {
  std::istringstream of_a(a), of_b(b);
  std::string line_a, line_b;
  for (int number = 1;; ++number) {
    const bool more_a = static_cast<bool>(std::getline(of_a, line_a));
    const bool more_b = static_cast<bool>(std::getline(of_b, line_b));
    if (!more_a && !more_b) return "";
    const auto tokens_a = tokens_of(line_a), tokens_b = tokens_of(line_b);
    if (more_a != more_b || !std::ranges::equal(tokens_a, tokens_b, same)) {
      return fmt::format("line {}:\n  {}\n  {}", number, more_a ? line_a : "(end)",
                         more_b ? line_b : "(end)");
    }
  }
}

}  // namespace

TEST(Difference, IsOfWordsAndOfMoreThanTheLastDigit) {
  EXPECT_EQ(difference("| a | 12.3 % |\n", "| a | 12.3 % |\n"), "");
  EXPECT_EQ(difference("| a | 12.3 % |", "| a | 12.4 % |"), "");
  EXPECT_EQ(difference("+3.5 %", "+3.6 %"), "");
  EXPECT_EQ(difference("1000 x", "1004 x"), "");
  EXPECT_NE(difference("1000 x", "1010 x"), "");
  EXPECT_NE(difference("12.3 %", "12.6 %"), "");
  EXPECT_NE(difference("+3.5 %", "-3.5 %"), "");
  EXPECT_NE(difference("| yes |", "| no |"), "");
  EXPECT_NE(difference("h100-64", "h100-65"), "");
  EXPECT_NE(difference("a\nb\n", "a\n"), "");
  EXPECT_THAT(difference("a\nb\n", "a\nc\n"), HasSubstr("line 2"));
}

// One test: each ctest case is a process of its own, and would validate again.
TEST(Validate, ClearsItsBars) {
  const Validation& v = validation();
  EXPECT_LT(v.mean_pct, 12);
  EXPECT_LT(v.mean_pct, v.null_mean_pct);
  EXPECT_LT(v.h100_bf16_mean_pct, 10);
  EXPECT_TRUE(v.worse_than_null.empty()) << fmt::format("{}", fmt::join(v.worse_than_null, ", "));
  EXPECT_GE(v.coverage, 0.75);
  EXPECT_LE(v.coverage, 1);
  EXPECT_LT(v.interval_score, v.null_interval_score);
  EXPECT_GT(v.width, 0);
  EXPECT_GE(v.rows.size(), 84U);  // rows with all that a step's prediction needs

  // DeepSeek-V3 with nothing of its own, and with its trace.
  const SpecialRow& step = special("deepseek-v3-step, step");
  EXPECT_LT(std::abs(step.error_pct), 20);
  expect_inside(step);
  EXPECT_NEAR(step.published_s, 19.926, 1e-9);
  const SpecialRow& slot = special("deepseek-v3-step, slot");
  EXPECT_LT(std::abs(slot.error_pct), 15);
  expect_inside(slot);
  EXPECT_NEAR(slot.published_s, 0.129, 1e-9);
  const SpecialRow& traced = special("with the trace");
  EXPECT_LT(std::abs(traced.error_pct), 10);
  expect_inside(traced);

  // The ladder climbs from the datasheet to the prediction.
  ASSERT_GE(v.ladder.size(), 3U);
  for (std::size_t i = 1; i < v.ladder.size(); ++i) {
    EXPECT_GE(v.ladder[i].step_s, v.ladder[i - 1].step_s * (1 - 1e-9)) << v.ladder[i].what;
  }
  EXPECT_LT(v.ladder.front().error_pct, -50);
  EXPECT_LT(std::abs(v.ladder.back().error_pct), 20);

  // The scores again, from the rows.
  std::map<std::string, std::vector<const ValidatedRow*>> families;
  for (const ValidatedRow& row : v.rows) {
    families[row.family].push_back(&row);
    EXPECT_NEAR(row.error_pct, (row.predicted.p50 / row.published_s - 1) * 100, 1e-9) << row.id;
    EXPECT_EQ(row.inside,
              row.predicted.p05 <= row.published_s && row.published_s <= row.predicted.p95);
    EXPECT_LT(row.predicted.p05, row.predicted.p50) << row.id;
    EXPECT_LT(row.predicted.p50, row.predicted.p95) << row.id;
    const double width = std::log(row.predicted.p95 / row.predicted.p05);
    EXPECT_GE(row.interval_score, width - 1e-12) << row.id;
    if (row.inside) {
      EXPECT_NEAR(row.interval_score, width, 1e-12) << row.id;
    }
  }
  ASSERT_EQ(families.size(), v.families.size());
  double mean_of_means = 0, coverage = 0;
  for (const FamilyScore& score : v.families) {
    double sum = 0, inside = 0, largest = 0;
    for (const ValidatedRow* row : families.at(score.family)) {
      sum += std::abs(row->error_pct);
      inside += row->inside ? 1 : 0;
      largest = std::max(largest, std::abs(row->error_pct));
    }
    const auto n = static_cast<double>(score.rows);
    EXPECT_EQ(score.rows, families.at(score.family).size());
    EXPECT_NEAR(score.mean_pct, sum / n, 1e-9);
    EXPECT_NEAR(score.max_pct, largest, 1e-12);
    EXPECT_NEAR(score.coverage, inside / n, 1e-12);
    mean_of_means += score.mean_pct / static_cast<double>(families.size());
    coverage += score.coverage / static_cast<double>(families.size());
  }
  EXPECT_NEAR(v.mean_pct, mean_of_means, 1e-9);
  EXPECT_NEAR(v.coverage, coverage, 1e-9);
}

TEST(Validate, ThePageIsTheProgramsOutput) {
  const auto page = std::filesystem::path(TRAINMETER_SOURCE_DIR) / "docs" / "validation.md";
  EXPECT_EQ(difference(to_markdown(to_document(validation())), slurp(page)), "")
      << "The first line is the program's, the second the page's. Where the program is right:\n"
         "  build/bin/trainmeter validate --format md -o docs/validation.md";
}

TEST(Validate, IsTheSameOnAnyNumberOfThreads) {
  const Library library = published_library();
  const Validation one = validate(library, {.samples = 200, .threads = 1});
  const Validation eight = validate(library, {.samples = 200, .threads = 8});
  EXPECT_EQ(to_json(one), to_json(eight));
  EXPECT_EQ(to_markdown(to_document(one)), to_markdown(to_document(eight)));
}

TEST(Validate, JsonIsAnArrayOfEveryRun) {
  const Library library = published_library();
  const auto json = to_json(validate(library, {.samples = 100, .threads = 2}));
  ASSERT_TRUE(json.is_array());
  EXPECT_EQ(json.size(), library.ids("runs").size());
  for (const auto& row : json) {
    EXPECT_TRUE(row.at("run_id").is_string());
    EXPECT_TRUE(row.at("family").is_string());
    if (!row.at("scored").get<bool>()) {
      EXPECT_TRUE(row.at("reason").is_string());
      continue;
    }
    const auto& predicted = row.at("predicted_step_time_s");
    EXPECT_LE(predicted.at("p05"), predicted.at("p50"));
    EXPECT_LE(predicted.at("p50"), predicted.at("p95"));
    for (const char* key :
         {"published_step_time_s", "error_pct", "null_error_pct", "interval_score"}) {
      EXPECT_TRUE(row.at(key).is_number()) << key;
    }
    EXPECT_TRUE(row.at("inside_range").is_boolean());
  }
  EXPECT_EQ(json.dump().find("null,"), std::string::npos);  // no NaN
}
