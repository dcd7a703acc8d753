// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Refusals name file, key and what was expected.
#include "record/strict_json.hpp"

#include "record/error.hpp"

#include "../refusal.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

using namespace trainmeter;
using nlohmann::json;
using testing::HasSubstr;

namespace {

std::filesystem::path write_file(const std::string& text) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  auto file =
      std::filesystem::path(testing::TempDir()) / (std::string("strict_") + test->name() + ".json");
  std::ofstream(file) << text;
  return file;
}

}  // namespace

TEST(StrictJson, ReadsWhatIsThere) {
  const json value = {{"a", 1},          {"b", 2.5},    {"c", "x"},  {"d", true},
                      {"e", {{"f", 3}}}, {"g", {1, 2}}, {"h", {"p"}}};
  StrictObject object(value, "f.json");
  EXPECT_EQ(object.count("a"), 1);
  EXPECT_EQ(object.number("b"), 2.5);
  EXPECT_EQ(object.text("c"), "x");
  EXPECT_TRUE(object.boolean("d"));
  StrictObject inner = object.object("e");
  EXPECT_EQ(inner.integer("f"), 3);
  EXPECT_EQ(inner.path_of("f"), "e.f");
  inner.finish();
  EXPECT_EQ(object.numbers("g"), (std::vector<double>{1, 2}));
  EXPECT_EQ(object.texts("h"), (std::vector<std::string>{"p"}));
  EXPECT_EQ(object.optional(&StrictObject::positive, "absent"), std::nullopt);
  object.finish();
}

TEST(StrictJson, WholeNumbersMayBeWrittenAsPowersOfTen) {
  const json value = json::parse(R"({"tokens": 1.48e13, "part": 1.5})");
  StrictObject object(value, "f.json");
  EXPECT_EQ(object.count("tokens"), 14'800'000'000'000);
  EXPECT_EQ(refusal([&] { (void)object.count("part"); }),
            "f.json: part: expected a whole number, found 1.5");
}

TEST(StrictJson, UnknownKeyNamesTheNearest) {
  const json value = {{"hiden", 1}, {"layers", 2}};
  StrictObject object(value, "m.json");
  (void)object.count("layers");
  (void)object.has("hidden");
  EXPECT_EQ(refusal([&] { object.finish(); }),
            "m.json: hiden: unknown key (did you mean 'hidden'?)");
  const json other = {{"zzzzzz", 1}};
  StrictObject plain(other, "m.json", "moe");
  (void)plain.has("experts");
  EXPECT_EQ(refusal([&] { plain.finish(); }), "m.json: moe.zzzzzz: unknown key (known: experts)");
}

TEST(StrictJson, EachRefusalSaysWhatWasExpected) {
  const json value = {{"n", -1},         {"s", "x"},         {"z", 0},
                      {"null", nullptr}, {"list", {1, "a"}}, {"big", 1e300}};
  StrictObject o(value, "f.json");
  EXPECT_EQ(refusal([&] { (void)o.positive("n"); }),
            "f.json: n: expected a number above 0, found -1");
  EXPECT_EQ(refusal([&] { (void)o.count("z"); }),
            "f.json: z: expected a whole number of at least 1, found 0");
  EXPECT_EQ(refusal([&] { (void)o.number("s"); }), "f.json: s: expected a number, found \"x\"");
  EXPECT_EQ(refusal([&] { (void)o.text("null"); }), "f.json: null: expected a string, found null");
  EXPECT_EQ(refusal([&] { (void)o.number("gone"); }), "f.json: gone: missing");
  EXPECT_EQ(refusal([&] {
              (void)o.one_of("s", {"a", "b"});
            }),
            "f.json: s: expected one of a, b, found \"x\"");
  EXPECT_THAT(refusal([&] { (void)o.numbers("list"); }), HasSubstr("a list of numbers"));
  EXPECT_THAT(refusal([&] { (void)o.integer("big"); }), HasSubstr("a whole number"));
  EXPECT_THAT(refusal([&] { (void)o.object("n"); }), HasSubstr("n: expected an object, found -1"));
}

TEST(StrictJson, FilesThatAreNotJsonNameTheLine) {
  const auto file = write_file("{\n \"a\": 1,\n oops\n}\n");
  EXPECT_THAT(refusal([&] { (void)read_json_file(file); }),
              HasSubstr(file.string() + ":3: not JSON"));
  // What stands behind a zero byte isn't left out.
  const auto zero = write_file(std::string("{}\n\0{\"a\": \"\\", 12));
  EXPECT_THAT(refusal([&] { (void)read_json_file(zero); }),
              HasSubstr(zero.string() + ":2: not JSON: a zero byte"));
  EXPECT_THAT(refusal([&] { (void)read_json_file("/no/such.json"); }),
              HasSubstr("/no/such.json: cannot be read: No such file or directory"));
  EXPECT_THAT(refusal([&] { (void)read_json_file("/"); }), HasSubstr("is a folder"));
}

TEST(StrictJson, ARepeatedKeyIsRefused) {
  const auto file = write_file(R"({"a": 1, "b": {"a": 2}, "a": 3})");
  EXPECT_THAT(refusal([&] { (void)read_json_file(file); }), HasSubstr("a: the key stands twice"));
  const auto once = write_file(R"({"a\":": [{"a": ":"}, {"a": "\":"}], "b": {"a": 2}})");
  EXPECT_EQ(read_json_file(once).size(), 2U);
}

TEST(StrictJson, NearestWord) {
  EXPECT_EQ(nearest("gtp2", {"gpt2", "llama"}), "gpt2");
  EXPECT_EQ(nearest("qqqq", {"gpt2", "llama"}), "");
}

TEST(ReadJsonFile, SizeAndDepthAreLimited) {
  const auto file = std::filesystem::path(testing::TempDir()) / "strict_json_limits.json";
  const auto refused = [&] {
    try {
      (void)read_json_file(file);
    } catch (const BadInput& error) {
      return std::string(error.what());
    }
    return std::string("nothing was refused");
  };
  std::ofstream(file) << std::string(1'000'000, '[');
  EXPECT_THAT(refused(), testing::HasSubstr("at most 64 objects and lists"));
  std::filesystem::resize_file(file, 1 << 30);
  EXPECT_THAT(refused(), testing::HasSubstr("at most 16 MiB"));
  std::filesystem::remove(file);
}
