// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strangers' texts without a fuzzer: every target over its committed corpus, which holds what the
// fuzzers once found, and over random mutations of it (seeded; TRAINMETER_FUZZ_TEXTS a target).
#include "targets.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

using namespace trainmeter::fuzz;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> corpus_of(const char* name) {
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::directory_iterator(fs::path(TRAINMETER_SOURCE_DIR) / "tests/fuzz/corpus" / name))
    files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<std::string> out;
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
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

class Strangers : public testing::TestWithParam<Named> {
 protected:
  // False where it was refused; what else happens fails the test, with the text.
  bool accepts(const std::string& text) {
    try {
      return GetParam().run(text);
    } catch (const Broken& broken) {
      ADD_FAILURE() << broken.what << "\n" << text;
    } catch (const std::exception& error) {
      ADD_FAILURE() << "thrown, and no refusal: " << error.what() << "\n" << text;
    }
    return false;
  }
};

}  // namespace

TEST_P(Strangers, AreReadOrRefusedInOneLine) {
  const std::vector<std::string> corpus = corpus_of(GetParam().name);
  ASSERT_FALSE(corpus.empty());
  int accepted = 0;
  for (const std::string& text : corpus) accepted += accepts(text);
  EXPECT_GT(accepted, 0);

  const char* asked = std::getenv("TRAINMETER_FUZZ_TEXTS");
  const int mutations = asked == nullptr ? 1000 : std::atoi(asked);
  Mutator mutated(20261125);
  int read = 0;
  for (int i = 0; i < mutations && !HasFailure(); ++i) read += accepts(mutated(corpus));
  EXPECT_GT(read, 0);
  EXPECT_LT(read, mutations);
}

INSTANTIATE_TEST_SUITE_P(Texts, Strangers, testing::ValuesIn(targets()),
                         [](const auto& one) { return std::string(one.param.name); });
