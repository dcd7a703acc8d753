// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// docs/files.md names every key that the readers of run, model and system files know, and every
// word that they take: the readers are asked, by a key and a word that nobody knows.
#include "workload/run.hpp"

#include "../refusal.hpp"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

using namespace trainmeter;
using nlohmann::json;

namespace {

const json kWhole = json::parse(R"({
  "id": "r", "title": "A run", "gpus": 8,
  "model": {"id": "m", "layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "head_dim": 16,
            "attention": "gqa", "ffn": 128, "ffn_kind": "swiglu", "vocab": 100,
            "moe": {"experts": 8, "experts_per_token": 2, "expert_ffn": 16}},
  "system": {"id": "s", "gpu": "S", "peak_flops": {}},
  "parallel": {}, "published": {}, "context": {},
  "operations": [{"operation": "rope", "dtype": "bf16", "shape": {}, "bytes": 1, "count": 1}],
  "stages": [{"title": "a stage"}],
  "rl": {"phases": [{"steps": 1}]},
  "source": {"title": "t", "locator": "l", "url": "u", "read_on": "2026-11-24"}})");

std::string docs() {
  std::ifstream in(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "docs" / "files.md");
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string refusal_of(const std::string& pointer, const json& value) {
  json run = kWhole;
  run[json::json_pointer(pointer)] = value;
  const Library library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published");
  return refusal([&] { (void)read_run(StrictObject(run, "r.json"), library); });
}

// What a refusal lists after `start`: "(known: a, b, c)", "expected one of a, b, c, found".
std::vector<std::string> listed(const std::string& text, const std::string& start) {
  const auto at = text.find(start);
  EXPECT_NE(at, std::string::npos) << text;
  if (at == std::string::npos) return {};
  std::string rest = text.substr(at + start.size());
  rest.resize(std::min(rest.find(", found"), rest.find(')')));
  std::vector<std::string> out;
  const std::regex word("[A-Za-z0-9_]+");
  for (auto w = std::sregex_iterator(rest.begin(), rest.end(), word); w != std::sregex_iterator();
       ++w)
    out.push_back(w->str());
  return out;
}

// As code: alone, or among others of one pair of backticks.
void expect_in_docs(const std::string& text, const std::vector<std::string>& words,
                    const std::string& of) {
  EXPECT_FALSE(words.empty()) << of;
  for (const std::string& word : words) {
    const std::regex as_code("`[^`\n]*\\b" + word + "\\b[^`\n]*`");
    EXPECT_TRUE(std::regex_search(text, as_code)) << word << " of " << of;
  }
}

}  // namespace

TEST(FilesDoc, NamesEveryKeyThatTheReadersKnow) {
  const std::string text = docs();
  const std::string unknown(101, 'q');  // too long to be guessed at
  for (const char* object :
       {"", "/model", "/model/moe", "/system", "/system/peak_flops", "/parallel", "/published",
        "/context", "/operations/0", "/stages/0", "/rl", "/rl/phases/0", "/source"}) {
    const std::string answer = refusal_of(fmt::format("{}/{}", object, unknown), 1);
    expect_in_docs(text, listed(answer, "(known: "), object);
  }
}

TEST(FilesDoc, NamesEveryWordThatTheReadersTake) {
  const std::string text = docs();
  for (const char* key :
       {"/precision", "/attention_precision", "/stack", "/parallel/schedule", "/parallel/recompute",
        "/published/mfu_attention", "/model/attention", "/model/ffn_kind", "/system/kind",
        "/operations/0/layout", "/operations/0/dtype"}) {
    expect_in_docs(text, listed(refusal_of(key, "nobody's"), "expected one of "), key);
  }
  const std::string overlap = refusal_of("/parallel/overlap", json::array({"nobody's"}));
  expect_in_docs(text, listed(overlap, "a list of "), "overlap");
}
