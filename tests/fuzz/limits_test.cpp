// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What every reader of a stranger's file refuses: length, depth, count, and paths that lead out of
// the file's folder.
#include "kernels/rendezvous_channel.hpp"
#include "record/record.hpp"
#include "record/text_limits.hpp"
#include "report/accept.hpp"
#include "report/cost.hpp"
#include "report/factors.hpp"
#include "report/import.hpp"
#include "report/slurm_job.hpp"
#include "report/trace.hpp"
#include "workload/claim.hpp"

#include "../refusal.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <fstream>
#include <functional>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

namespace fs = std::filesystem;

const Library& library() {
  static const Library published(fs::path(TRAINMETER_SOURCE_DIR) / "results/published");
  return published;
}

struct Reader {
  const char* name;
  std::function<void(const std::string&)> read;
};

const std::vector<Reader>& readers() {
  static const std::vector<Reader> kAll = {
      {"record", [](const std::string& file) { (void)read_record(file); }},
      {"model", [](const std::string& file) { (void)library().model(file); }},
      {"system", [](const std::string& file) { (void)library().system(file); }},
      {"run", [](const std::string& file) { (void)library().run(file); }},
      {"claim", [](const std::string& file) { (void)library().claim(file); }},
      {"micro", [](const std::string& file) { (void)library().micro(file); }},
      {"rules", [](const std::string& file) { (void)read_accept_rules(file, library()); }},
      {"site", [](const std::string& file) { (void)read_site(file); }},
      {"factors", [](const std::string& file) { (void)read_factors(file); }},
      {"calibration", [](const std::string& file) { (void)read_calibration(file); }},
      {"trace", [](const std::string& file) { (void)read_trace(file); }},
      {"import", [](const std::string& file) { (void)import_file(file); }}};
  return kAll;
}

// Bytes that this process has read so far, from files and pipes.
std::int64_t bytes_read() {
  std::ifstream in("/proc/self/io");
  std::string word;
  std::int64_t bytes = 0;
  in >> word >> bytes;
  EXPECT_EQ(word, "rchar:");
  return bytes;
}

class Limits : public testing::Test {
 protected:
  Limits() {
    std::string pattern = testing::TempDir() + "limits-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directories(folder_ / "inner/deeper");
  }
  ~Limits() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }

  fs::path folder_;
};

}  // namespace

TEST_F(Limits, AGigabyteIsRefusedEarlyByEveryReader) {
  for (const Reader& reader : readers()) {
    const std::string file = write("long.json", "{\"schema\": \"");
    fs::resize_file(file, std::uintmax_t{1} << 30);  // a hole: the disk holds nothing of it
    const std::int64_t before = bytes_read();
    EXPECT_THAT(refusal([&] { reader.read(file); }),
                testing::AnyOf(HasSubstr("expected at most 16 MiB"),
                               HasSubstr("expected a line of less than 16 MiB")))
        << reader.name;
    EXPECT_LT(bytes_read() - before, std::int64_t{18} << 20) << reader.name;
  }
}

TEST_F(Limits, ARecordOfManyGigabytesIsRefusedUnread) {
  const std::string file = write("long.jsonl", "{}\n");
  fs::resize_file(file, kLongestRecord + 1);
  const std::int64_t before = bytes_read();
  EXPECT_THAT(refusal([&] { (void)read_record(file); }), HasSubstr("at most 2 GiB"));
  EXPECT_LT(bytes_read() - before, 1 << 20);
}

TEST_F(Limits, DepthIsRefusedByEveryReader) {
  const std::string file =
      write("deep.json", "{\"schema\": " + std::string(1'000'000, '[') + "}\n");
  for (const Reader& reader : readers()) {
    EXPECT_THAT(refusal([&] { reader.read(file); }), HasSubstr("at most 64 objects and lists"))
        << reader.name;
  }
}

// A message is a line, not a page, and holds nothing that a terminal obeys.
TEST_F(Limits, NoMessageRepeatsALongOrOddTextByAnyReader) {
  for (const std::string& key :
       {std::string(10'000'000, 'k'), std::string("\\u001b[2J\\n\\u0007")}) {
    const std::string file =
        write("odd.json", fmt::format("{{\"{}\": 1, \"kind\": \"{}\"}}\n", key, key));
    for (const Reader& reader : readers()) {
      const std::string said = refusal([&] { reader.read(file); });
      EXPECT_LT(said.size(), 1000U) << reader.name;
      EXPECT_NE(said, "nothing was refused") << reader.name;
      EXPECT_TRUE(std::ranges::all_of(said, [](char c) { return c >= ' ' && c <= '~'; }))
          << reader.name << ": " << said;
    }
  }
}

TEST_F(Limits, AFileNamesNoneOutsideItsFolder) {
  const auto text = [](const char* file) {
    std::ifstream in(library().root() / file);
    nlohmann::json json = nlohmann::json::parse(in);
    return json.dump();
  };
  const std::string model = text("models/gpt2-124m.json"), system = text("systems/h100.json");
  const std::string run = R"({"id": "r", "title": "A run", "gpus": 8})";
  for (const char* place : {"", "inner/deeper/"}) {
    write(std::string(place) + "model.json", model);
    write(std::string(place) + "system.json", system);
    write(std::string(place) + "run.json", run);
  }
  fs::create_symlink("..", folder_ / "inner/up");

  const std::string source =
      R"("source": {"title": "t", "locator": "l", "url": "u", "read_on": "2026-11-24"})";
  struct Case {
    const char* what;
    std::string named;  // the file
    std::string text;   // {} stands for its place
    std::function<void(const std::string&)> read;
  };
  const std::vector<Case> cases = {
      {"run.model", "model.json", R"({"id": "r", "title": "t", "model": "{}"})", readers()[3].read},
      {"run.system", "system.json", R"({"id": "r", "title": "t", "system": "{}"})",
       readers()[3].read},
      {"run.stages", "run.json", R"({"id": "r", "title": "t", "stages": ["{}"]})",
       readers()[3].read},
      {"claim.run", "run.json", "{" + source + R"(, "id": "r", "title": "t", "run": "{}"})",
       readers()[4].read},
      {"claim.about", "run.json", "{" + source + R"(, "id": "r", "title": "t", "about": "{}"})",
       readers()[4].read},
      {"micro.system", "system.json", R"({"id": "m", "title": "t", "system": "{}", "figures": []})",
       readers()[5].read},
      {"rules.system", "system.json", R"({"system": "{}"})", readers()[6].read},
      {"site.rules", "system.json", R"({"rules": "{}"})", readers()[7].read}};
  for (const Case& one : cases) {
    const auto said = [&](const std::string& place) {
      std::string content = one.text;
      content.replace(content.find("{}"), 2, place + one.named);
      const std::string file = write("inner/names.json", content);
      return refusal([&] { one.read(file); });
    };
    EXPECT_EQ(said("deeper/"), "nothing was refused") << one.what;
    EXPECT_EQ(said("./deeper/../deeper/"), "nothing was refused") << one.what;
    const std::string why = "expected an id, or a file below the folder of this one";
    for (const std::string& place : {std::string("../"), folder_.string() + "/", std::string("up/"),
                                     std::string("deeper/../../"), std::string(2000, 'x') + "/"})
      EXPECT_THAT(said(place), HasSubstr(why)) << one.what << " " << place;
    EXPECT_THAT(said("deeper/\\u0000/"), HasSubstr(why)) << one.what;
  }
  // An id that is a path opens no price list.
  System own = library().system("h100");
  EXPECT_TRUE(listed_prices(library(), own));
  own.id = "../prices/h100";
  EXPECT_FALSE(listed_prices(library(), own));
}

// Files that name one another ten times each would else be read ten to the eighth times.
TEST_F(Limits, StagesOfStagesAreCounted) {
  for (int level = 0; level < 7; ++level) {
    std::string stages;
    for (int i = 0; i < 10; ++i)
      stages += fmt::format("{}\"./{}.json\"", i == 0 ? "" : ", ", level + 1);
    write(fmt::format("{}.json", level),
          fmt::format(R"({{"id": "r", "title": "t", "stages": [{}]}})", stages));
  }
  const std::string last = write("7.json", R"({"id": "r", "title": "t"})");
  EXPECT_EQ(refusal([&] { (void)library().run(last); }), "nothing was refused");
  EXPECT_THAT(refusal([&] { (void)library().run((folder_ / "0.json").string()); }),
              HasSubstr("stages: expected at most 100 of them"));
}

TEST(LimitsOfMessages, ALengthThatNobodyMeansIsRefusedBeforeItsText) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const Socket stranger(ends[0]);
  Channel channel(Socket(ends[1]), "key", Channel::End::other);
  ASSERT_TRUE(send_bytes(stranger, network_bytes(0xffffffff) + std::string(kKeyedHashBytes, 'h'),
                         steady_s() + 5));
  const double begin_s = steady_s();
  EXPECT_FALSE(channel.receive(begin_s + 60));  // it stays open, and what was announced never comes
  EXPECT_LT(steady_s() - begin_s, 30);
}
