// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the program makes of the records that it is given.
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

using namespace trainmeter;
using testing::HasSubstr;
using testing::Not;

namespace {

namespace fs = std::filesystem;

fs::path new_folder(const std::string& name) {
  const fs::path folder = file_of_test(name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

}  // namespace

// Measurements may have taken days.
TEST(ProgramRecords, NothingReplacesARecordOrWhatACommandReads) {
  const fs::path folder = new_folder("kept");
  const fs::path record = folder / "r.jsonl", other = folder / "other.jsonl";
  fs::rename(write_record(small_cpu(), "r.jsonl"), record);
  fs::copy_file(record, other);
  fs::create_symlink("r.jsonl", folder / "link");
  const std::string before = slurp(record);
  for (const char* command : {"report", "report --format md", "anonymise", "export"}) {
    for (const char* target : {"r.jsonl", "other.jsonl", "link", "./r.jsonl"}) {
      expect_refused(
          fmt::format("{} '{}' -o '{}/{}'", command, record.string(), folder.string(), target),
          ": expected another file");
    }
  }
  EXPECT_EQ(slurp(record), before);
  EXPECT_EQ(slurp(other), before);
  const fs::path run = folder / "run.json";
  fs::copy_file(published_library().root() / "runs/gpt2-124m-10b.json", run);
  const std::string as_it_was = slurp(run);
  expect_refused(fmt::format("predict --run '{0}' -o '{0}'", run.string()),
                 "run.json: is read by this command: expected another file for --output");
  EXPECT_EQ(slurp(run), as_it_was);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 4);  // and no charts
  // Its own earlier output is replaced.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(run_program(fmt::format("export '{}' -o '{}'", record.string(),
                                      (folder / "out.json").string()))
                  .code,
              0);
  }
}

// A clone's files all have the time of the clone.
TEST(ProgramRecords, TheNewestOfAFolderGoesByItsHeader) {
  const fs::path folder = new_folder("records");
  const auto put = [&](const std::string& name, const std::string& started, int hours) {
    Record record = small_cpu();
    record.headers[0].started_at = started;
    fs::rename(write_record(record, "one.jsonl"), folder / name);
    fs::last_write_time(folder / name,
                        fs::file_time_type::clock::now() + std::chrono::hours(hours));
  };
  put("b.jsonl", "2026-11-25T10:00:00Z", 0);
  put("a.jsonl", "2026-11-24T10:00:00Z", 5);
  put("z.jsonl", "unknown", 9);  // imported
  const auto records = [&](std::string& said) {
    const Outcome o = run_program(fmt::format("report '{}' --format json", folder.string()));
    EXPECT_EQ(o.code, 0) << o.err;
    said = o.err;
    return nlohmann::json::parse(o.out).at("records");
  };
  std::string said;
  EXPECT_EQ(records(said), nlohmann::json::array({(folder / "b.jsonl").string()}));
  EXPECT_THAT(said, HasSubstr("the newest record there is " + (folder / "b.jsonl").string() +
                              "; others left out: 2"));
  put("c.jsonl", "2026-11-25T10:00:00Z", -5);  // as new: by name
  EXPECT_EQ(records(said), nlohmann::json::array({(folder / "c.jsonl").string()}));
  for (const char* other : {"a.jsonl", "b.jsonl", "z.jsonl"}) fs::remove(folder / other);
  (void)records(said);
  EXPECT_EQ(said, "");
}
