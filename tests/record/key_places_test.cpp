// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The line of every key.
#include "record/key_places.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace trainmeter;

namespace {

std::string write_file(const std::string& text, const std::string& name) {
  const auto file = std::filesystem::path(testing::TempDir()) / ("key_places_" + name + ".json");
  std::ofstream(file) << text;
  return file.string();
}

}  // namespace

TEST(KeyPlaces, EveryKeyHasItsLine) {
  const std::string file = write_file(
      "{\n"                                  // 1
      "  \"id\": \"a\\n{\\\"b\\\": 1}\",\n"  // 2: a string is no structure
      "  \"peak_flops\": {\n"                // 3
      "    \"bf16\": 1e15,\n"                // 4
      "    \"fp8\":\n"                       // 5: a key's line, not its value's
      "      2e15\n"
      "  },\n"
      "  \"list\": [1,\n"            // 8
      "    2, [3,\n"                 // 9
      "    {\"x\": 4}],\n"           // 10
      "    {\n"                      // 11
      "      \"x\": 5, \"y\": [\n"   // 12
      "      ]}], \"last\": null\n"  // 13
      "}\n",
      "lines");
  KeyLines lines;
  const KeyPlace whole{file, ""};
  EXPECT_EQ(lines.line(whole), 1U);
  EXPECT_EQ(lines.line(whole.at("id")), 2U);
  EXPECT_EQ(lines.line(whole.at("peak_flops")), 3U);
  EXPECT_EQ(lines.line(whole.at("peak_flops").at("bf16")), 4U);
  EXPECT_EQ(lines.line({file, "peak_flops.fp8"}), 5U);
  EXPECT_EQ(lines.line({file, "list"}), 8U);
  EXPECT_EQ(lines.line({file, "list[2]"}), 9U);
  EXPECT_EQ(lines.line({file, "list[2][1]"}), 10U);
  EXPECT_EQ(lines.line({file, "list[2][1].x"}), 10U);
  EXPECT_EQ(lines.line({file, "list[3]"}), 11U);
  EXPECT_EQ(lines.line({file, "list[3].x"}), 12U);
  EXPECT_EQ(lines.line({file, "list[3].y"}), 12U);
  EXPECT_EQ(lines.line({file, "last"}), 13U);
  EXPECT_EQ(lines.line({file, "b"}), 0U);
  EXPECT_EQ(lines.shown({file, "last"}), file + ":13");
  EXPECT_EQ(lines.shown({file, "b"}), file);
}

TEST(KeyPlaces, WhatCannotBeReadHasNoLine) {
  KeyLines lines;
  EXPECT_EQ(lines.shown({}), "");
  EXPECT_EQ(lines.shown({"/nowhere/x.json", "id"}), "/nowhere/x.json");
  EXPECT_EQ(lines.line({write_file("{\"id\": ", "broken"), "id"}), 0U);
  EXPECT_EQ(lines.line({write_file(std::string(100, '['), "deep"), ""}), 0U);
  EXPECT_EQ(lines.line({write_file("[]", "list"), ""}), 1U);
  EXPECT_EQ(lines.line({write_file("7", "number"), ""}), 0U);
}

TEST(KeyPlaces, AFileBelowTheWorkingDirectoryIsNamedFromThere) {
  const std::string name = "key_places_here.json";
  std::ofstream(name) << "{\"id\": 1}";
  KeyLines lines;
  const std::string full = (std::filesystem::current_path() / name).string();
  EXPECT_EQ(lines.shown({full, "id"}), name + ":1");
  EXPECT_EQ(lines.shown({name, "id"}), name + ":1");
  std::filesystem::remove(name);
}
