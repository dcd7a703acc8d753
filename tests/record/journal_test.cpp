// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The journal keeps what was finished, whoever dies and whoever else writes.
#include "record/journal.hpp"

#include "record/error.hpp"

#include "example_lines.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <thread>
#include <unistd.h>

using namespace trainmeter;

namespace {

std::filesystem::path fresh() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  auto file = std::filesystem::path(testing::TempDir()) / (std::string("journal_") + test->name()) /
              "a" / "r.jsonl";
  std::filesystem::remove_all(file.parent_path());
  return file;
}

}  // namespace

TEST(Journal, MakesFoldersAndAppends) {
  const auto file = fresh();
  {
    Journal journal(file, sample_header());
    journal.append(sample_measurement());
    EXPECT_EQ(read_record(file).lines.size(), 1U);  // durable before it is closed
  }
  Journal second(file, sample_header("gemm_bench-2"));
  second.append(sample_measurement("gemm_bench-2"));
  EXPECT_FALSE(second.repaired());
  const Record record = read_record(file);
  EXPECT_EQ(record.headers.size(), 2U);
  EXPECT_EQ(record.header_of(record.lines[1]).session, "gemm_bench-2");
}

TEST(Journal, RepairsALineThatAKilledProgramLeft) {
  const auto file = fresh();
  { Journal(file, sample_header()).append(sample_measurement()); }
  std::ofstream(file, std::ios::app) << R"({"kind":"measurement","sess)";
  Journal journal(file, sample_header("gemm_bench-2"));
  EXPECT_TRUE(journal.repaired());
  journal.append(sample_measurement("gemm_bench-2"));
  const Record record = read_record(file);
  EXPECT_EQ(record.lines.size(), 2U);
  EXPECT_TRUE(record.warnings.empty());
}

// kill -9 at any byte: whole lines stay, what was half written goes, and the record goes on.
TEST(Journal, AKillAtAnyByteLosesNoWholeLine) {
  const auto file = fresh();
  {
    Journal journal(file, sample_header());
    journal.append(sample_measurement());
  }
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const std::size_t header_ends = whole.find('\n') + 1;
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole.substr(0, cut);
    const std::size_t lines = cut == whole.size() ? 1 : 0;
    if (cut >= header_ends) {
      const Record left = read_record(file);  // as it lies there
      ASSERT_EQ(left.lines.size(), lines) << cut;
      ASSERT_EQ(left.warnings.size(), cut == header_ends || lines == 1 ? 0U : 1U) << cut;
    } else {
      ASSERT_THROW((void)read_record(file), BadInput) << cut;
    }
    {
      Journal journal(file, sample_header("gemm_bench-2"));
      ASSERT_EQ(journal.repaired(), cut != 0 && cut != header_ends && lines == 0) << cut;
      journal.append(sample_measurement("gemm_bench-2"));
    }
    const Record on = read_record(file);
    ASSERT_EQ(on.lines.size(), lines + 1) << cut;
    ASSERT_EQ(on.headers.size(), cut >= header_ends ? 2U : 1U) << cut;
    ASSERT_TRUE(on.warnings.empty()) << cut;
  }
}

TEST(Journal, RefusesWhatIsNotARecordAndLeavesItAlone) {
  const auto file = fresh();
  std::filesystem::create_directories(file.parent_path());
  for (const char* text :
       {"my thesis\n", "my thesis", R"({"id":"mine","title":"important"})",
        "{\"id\":\"mine\",\"title\":\"important\"}\n", "{\n  \"id\": \"mine\"\n}\n", "{}\n", "\n",
        R"({"schema":1,"kind":"run"})", "{\"schema\":1,\"kind\":\"measurement\"}\n",
        "{\"schema\":2,\"kind\":\"header\"}\n", "{\"schema\":[1],\"kind\":\"header\"}\n"}) {
    SCOPED_TRACE(text);
    std::ofstream(file) << text;
    EXPECT_THROW(Journal(file, sample_header()), BadInput);
    std::ifstream in(file);
    const std::string kept{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(kept, text);
  }
  EXPECT_THROW(Journal("/proc/nothing/r.jsonl", sample_header()), BadInput);
  EXPECT_THROW(Journal("/", sample_header()), BadInput);
}

TEST(Journal, WritersDoNotMixTheirLines) {
  const auto file = fresh();
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      const std::string session = "writer-" + std::to_string(w);
      Journal journal(file, sample_header(session));
      for (int i = 0; i < 25; ++i) journal.append(sample_measurement(session));
    });
  }
  for (auto& writer : writers) writer.join();
  const Record record = read_record(file);
  EXPECT_EQ(record.headers.size(), 4U);
  EXPECT_EQ(record.lines.size(), 100U);
}

// A full disk: the file may grow no further. The failed line is taken back and the record stays
// valid.
TEST(Journal, AFullDiskLeavesAValidRecord) {
  const auto file = fresh();
  const pid_t child = ::fork();
  if (child == 0) {
    Journal journal(file, sample_header());
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {3000, 3000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      for (int i = 0; i < 100; ++i) journal.append(sample_measurement());
    } catch (const EnvironmentFailed&) {
      ::_exit(4);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 4);
  const Record record = read_record(file);
  EXPECT_GE(record.lines.size(), 1U);
  EXPECT_TRUE(record.warnings.empty());
}
