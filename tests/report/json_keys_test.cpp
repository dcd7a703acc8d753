// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// docs/json.md against what the commands print.
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

using namespace trainmeter;

namespace {

struct Keys {
  std::set<std::string> always, sometimes;  // "only where ..."
};

// The first column of the tables below a heading, up to the next one.
Keys documented(const std::string& heading) {
  std::istringstream page(slurp(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "docs" / "json.md"));
  Keys out;
  bool within = false;
  const std::regex word("`([a-z0-9_]+)`");
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with('#')) within = line == heading;
    if (!within || !line.starts_with("| `")) continue;
    const std::string first = line.substr(0, line.find('|', 1));
    const bool some = line.find("only where") != std::string::npos;
    for (std::sregex_iterator at(first.begin(), first.end(), word), end; at != end; ++at)
      (some ? out.sometimes : out.always).insert((*at)[1]);
  }
  EXPECT_FALSE(out.always.empty()) << heading;
  return out;
}

void expect_keys(const nlohmann::json& printed, const std::string& heading) {
  const Keys keys = documented(heading);
  ASSERT_TRUE(printed.is_object()) << heading;
  for (const auto& item : printed.items()) {
    EXPECT_TRUE(keys.always.contains(item.key()) || keys.sometimes.contains(item.key()))
        << heading << ": " << item.key() << " is not in docs/json.md";
  }
  for (const std::string& key : keys.always)
    EXPECT_TRUE(printed.contains(key)) << heading << ": " << key << " is not printed";
}

nlohmann::json printed(const std::string& arguments) {
  const Outcome o = run_program(arguments + " --format json");
  EXPECT_LE(o.code, 1) << arguments << "\n" << o.err;
  return nlohmann::json::parse(o.out);
}

std::string a_record(const std::string& name) {
  return "'" + write_record(small_cpu(), name).string() + "'";
}

}  // namespace

TEST(JsonKeys, OfAPrediction) {
  const auto with_all = printed("predict --samples 100 --run deepseek-v3-pretrain");
  expect_keys(with_all, "## `trainmeter predict`");
  for (const char* which : {"estimates", "null_model"})
    expect_keys(with_all.at(which), "### Its `estimates`");
  const auto step = printed("predict --samples 0 --run deepseek-v3-step");  // names no tokens
  expect_keys(step, "## `trainmeter predict`");
  expect_keys(step.at("estimates"), "### Its `estimates`");
  EXPECT_TRUE(step.at("estimates").at("gpu_hours").is_null());
  EXPECT_TRUE(step.at("estimates").at("cost_usd").is_null());
}

TEST(JsonKeys, OfAPlan) {
  for (const char* own : {"--run llama-3-405b-8k", "--model llama-3-8b --system h100 --gpus 8"}) {
    const auto plan = printed(std::string("plan --samples 0 --most 2 ") + own);
    expect_keys(plan, "## `trainmeter plan`");
    expect_keys(plan.at("layouts").at(1), "### Its `layouts`");
    expect_keys(plan.at("layouts").at(1).at("estimates"), "### Its `estimates`");
  }
}

TEST(JsonKeys, OfAReport) {
  const auto json = printed("report " + a_record("report.jsonl"));
  expect_keys(json, "## `trainmeter report`");
  expect_keys(json.at("prediction"), "## `trainmeter predict`");
}

TEST(JsonKeys, OfRowsOfOthers) {
  for (const auto& row : printed("validate --samples 100"))
    expect_keys(row, "## `trainmeter validate`");
  for (const auto& claim : printed("claims deepseek-r1 r1-press made-hours"))
    expect_keys(claim, "## `trainmeter claims`");
}

TEST(JsonKeys, OfTheOtherCommands) {
  const std::string record = a_record("record.jsonl");
  Record failing = small_cpu();
  failing.lines.front().measurement.failure = "wrong result";
  const std::string other = "'" + write_record(failing, "other.jsonl").string() + "'";
  for (const auto& row : printed("compare " + record + " " + other))
    expect_keys(row, "## `trainmeter compare`");
  expect_keys(printed("accept " + record), "## `trainmeter accept`");
  expect_keys(printed("doctor"), "## `trainmeter doctor`");
}
