// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strangers' files: what is published, mutated at random (seeded), goes through every reader. Each
// is either read or refused as BadInput in one line; the sanitizers of the presets asan and tsan
// see the rest. TRAINMETER_FUZZ_SECONDS: how long a reader (default 2).
#include "record/error.hpp"
#include "record/record.hpp"
#include "report/accept.hpp"
#include "report/import.hpp"
#include "report/slurm_job.hpp"
#include "workload/claim.hpp"
#include "workload/micro.hpp"
#include "workload/run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>

using namespace trainmeter;

namespace {

namespace fs = std::filesystem;

const fs::path kResults = fs::path(TRAINMETER_SOURCE_DIR) / "results";

std::vector<std::string> corpus(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<std::string> out;
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

// Whole lines of a record, few enough that most mutations hit something.
std::vector<std::string> short_records() {
  std::vector<std::string> out;
  for (const std::string& text : corpus(kResults / "measured")) {
    std::size_t end = 0;
    for (int line = 0; line < 2; ++line) end = text.find('\n', end) + 1;
    out.push_back(text.substr(0, end));
  }
  return out;
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::string operator()(const std::vector<std::string>& texts) {
    std::string text = texts[below(texts.size())];
    const std::size_t changes = 1 + below(4);
    for (std::size_t i = 0; i < changes && !text.empty(); ++i) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }

  void change(std::string& text) {
    static const std::vector<std::string> kTokens = {"null",
                                                     "-1",
                                                     "0",
                                                     "1e308",
                                                     "1e-308",
                                                     "9007199254740993",
                                                     "-0",
                                                     "true",
                                                     "\"\"",
                                                     "[]",
                                                     "{}",
                                                     "\"\\u0000\"",
                                                     "[[[[",
                                                     "}",
                                                     ",",
                                                     ":",
                                                     "\n",
                                                     "\"",
                                                     "1e999",
                                                     "NaN",
                                                     "\xff\xfe",
                                                     "../../etc/passwd",
                                                     "18446744073709551616"};
    const std::size_t at = below(text.size());
    const std::size_t length = 1 + below(16);
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(random_());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(below(text.size()), length));
        break;
      case 3:
        text.insert(at, kTokens[below(kTokens.size())]);
        break;
      case 4:
        text.resize(at);
        break;
      default:
        replace_value(text, at, kTokens[below(kTokens.size())]);
    }
  }

  // What stands after the next colon, up to a comma.
  static void replace_value(std::string& text, std::size_t at, const std::string& token) {
    const std::size_t colon = text.find(':', at);
    const std::size_t comma = text.find(',', colon);
    if (colon != std::string::npos && comma != std::string::npos)
      text.replace(colon + 1, comma - colon - 1, token);
  }

  std::mt19937_64 random_;
};

void survives(const std::vector<std::string>& texts, const char* name,
              const std::function<void(const fs::path&)>& read) {
  ASSERT_FALSE(texts.empty());
  const char* asked = std::getenv("TRAINMETER_FUZZ_SECONDS");
  const std::chrono::duration<double> time(asked == nullptr ? 2 : std::atof(asked));
  const auto end = std::chrono::steady_clock::now() + time;
  const fs::path file = fs::path(testing::TempDir()) / (std::string("mutated_") + name + ".json");
  Mutator mutated(20261125);
  int accepted = 0, refused = 0;
  while (std::chrono::steady_clock::now() < end) {
    const std::string text = mutated(texts);
    std::ofstream(file, std::ios::binary) << text;
    try {
      read(file);
      ++accepted;
    } catch (const BadInput& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << text;
    } catch (const std::exception& error) {
      FAIL() << "not refused as bad input: " << error.what() << "\n" << text;
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace

TEST(Mutations, Records) {
  survives(short_records(), "record", [](const fs::path& file) { (void)read_record(file); });
}

TEST(Mutations, Models) {
  const Library library(kResults / "published");
  survives(corpus(kResults / "published/models"), "model",
           [&](const fs::path& file) { (void)library.model(file.string()); });
}

TEST(Mutations, Systems) {
  const Library library(kResults / "published");
  survives(corpus(kResults / "published/systems"), "system",
           [&](const fs::path& file) { (void)library.system(file.string()); });
}

TEST(Mutations, Runs) {
  const Library library(kResults / "published");
  survives(corpus(kResults / "published/runs"), "run",
           [&](const fs::path& file) { (void)library.run(file.string()); });
}

TEST(Mutations, Claims) {
  const Library library(kResults / "published");
  survives(corpus(kResults / "published/claims"), "claim",
           [&](const fs::path& file) { (void)library.claim(file.string()); });
}

TEST(Mutations, Micro) {
  const Library library(kResults / "published");
  survives(corpus(kResults / "published/micro"), "micro",
           [&](const fs::path& file) { (void)library.micro(file.string()); });
}

// What is taken from others' outputs is a record.
TEST(Mutations, Imports) {
  const fs::path copy = fs::path(testing::TempDir()) / "mutated_imported.jsonl";
  survives(corpus(fs::path(TRAINMETER_SOURCE_DIR) / "tests/report/originals"), "import",
           [&](const fs::path& file) {
             const Imported found = import_file(file);
             std::ofstream out(copy, std::ios::binary);
             out << to_json_line(found.header) << '\n';
             for (const Measurement& row : found.rows) out << to_json_line(row) << '\n';
             out.close();
             ASSERT_EQ(read_record(copy).lines.size(), found.rows.size());
           });
}

TEST(Mutations, AcceptRules) {
  const Library library(kResults / "published");
  survives({R"({"system": "h100", "false_alarms": 0.05, "tolerance": 0.02,
               "throttle_reasons": ["hw_slowdown"], "floors": [{"operation": "gemm",
               "dtype": "bf16", "shape": {"m": 8192, "n": 8192}, "share": 0.6}]})"},
           "rules", [&](const fs::path& file) { (void)read_accept_rules(file.string(), library); });
}

TEST(Mutations, Sites) {
  survives({R"({"modules": ["cuda/12.4"], "container": "/shared/image.sif", "partition": "gpu",
               "account": "infra", "qos": "normal", "gres": "gpu:h100", "gpus_per_node": 8,
               "mpi": "pmix"})"},
           "site", [&](const fs::path& file) { (void)read_site(file); });
}
