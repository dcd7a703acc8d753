// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Flags that don't go together, and those that want another one.
#include "bench/numbers.hpp"
#include "bench/options.hpp"
#include "record/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace trainmeter {
namespace {

// /dev/null takes both.
bool are_one_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code ignored;
  if (std::filesystem::is_character_file(a, ignored)) return false;
  return std::filesystem::equivalent(a, b, ignored) ||
         std::filesystem::weakly_canonical(std::filesystem::absolute(a, ignored), ignored) ==
             std::filesystem::weakly_canonical(std::filesystem::absolute(b, ignored), ignored);
}

}  // namespace

bool empties_caches(Program program) {
  return program != Program::collective && program != Program::layer && program != Program::overlap;
}

void require_consistent(const Options& options) {
  one_of("--device", options.device, {"auto", "gpu", "cpu"});
  one_of("--data", options.data, {"normal", "uniform", "zeros", "integers"});
  std::vector<std::string> caches = {"rotate", "hot"};
  if (empties_caches(options.program)) caches.emplace_back("cold");
  if (options.program == Program::memory) caches.emplace_back("l2");
  one_of("--cache", options.cache, caches);
  if (!options.regime.empty()) one_of("--regime", options.regime, {"burst", "sustained"});
  if (options.pitfalls && !options.versus.empty()) {
    throw BadInput("--pitfalls and --versus: expected one of them");
  }
  if (options.pitfalls && (options.data != "normal" || options.cache != "rotate")) {
    throw BadInput("--pitfalls: expected without --data and --cache, which it varies");
  }
  if (options.concurrent && (options.pitfalls || options.search_s || options.numa ||
                             !options.versus.empty() || options.threads != std::vector<int>{0})) {
    throw BadInput(
        "--concurrent: expected without --versus, --pitfalls, --search, --numa and --threads");
  }
  if (options.program == Program::overlap &&
      std::max({options.m.size(), options.n.size(), options.k.size()}) > 1) {
    throw BadInput("--m, --n and --k: expected one of each");
  }
  if (options.program == Program::layer) {
    if (options.co_sms.size() > 1) throw BadInput("--co_sms: expected one number of SMs (cores)");
    if (!options.co_sms.empty() && !options.versus.empty())
      throw BadInput("--co_sms and --versus: expected one of them");
    if (options.co_sms.empty() && options.co_bytes_per_s > 0)
      throw BadInput("--rate: expected together with --co_sms");
  }
  const bool any = !options.m.empty() || !options.n.empty() || !options.k.empty();
  if (options.program == Program::overlap && any && !options.models.empty()) {
    throw BadInput("--models and --m, --n, --k: expected one of them");
  }
  if (any && (options.m.empty() || options.n.empty() || options.k.empty())) {
    throw BadInput("--m, --n and --k: expected all three");
  }
  if (!options.layouts.empty() && !any && !options.search_s) {
    throw BadInput("--layout: expected together with --m, --n and --k, or --search");
  }
  if (options.groups && (!any || options.batch != std::vector<std::int64_t>{1})) {
    throw BadInput("--groups: expected together with --m, --n and --k, without --batch");
  }
  if (!options.groups && options.skews != std::vector<std::string>{"balanced"}) {
    throw BadInput("--skew: expected together with --groups");
  }
  if (options.accumulate && !any && !options.search_s) {
    throw BadInput("--accumulate: expected together with --m, --n and --k, or --search");
  }
  if (options.fp32_out && ((!any && !options.search_s) || options.accumulate || options.groups)) {
    throw BadInput(
        "--fp32_out: expected together with --m, --n and --k, or --search, without --accumulate "
        "and --groups");
  }
  if (options.batch != std::vector<std::int64_t>{1} && !any && !options.search_s) {
    throw BadInput("--batch: expected together with --m, --n and --k, or --search");
  }
  if (options.search_s &&
      (any || !options.models.empty() || !options.published.empty() || !options.versus.empty())) {
    throw BadInput("--search: expected without --m, --n, --k, --models, --published and --versus");
  }
  if (options.search_s && options.google.list_tests) {
    throw BadInput("--search: its shapes follow from results, so there is no list of them");
  }
  const bool widths = options.kv_heads || options.head_dim || options.value_dim;
  if (widths && !options.heads) {
    throw BadInput("--kv_heads, --head_dim and --value_dim: expected together with --heads");
  }
  if (options.heads && !options.models.empty()) {
    throw BadInput("--heads and --models: expected one of them");
  }
  if (options.sequences && options.tokens) {
    throw BadInput("--sequences and --tokens: expected one of them");
  }
  if (options.program == Program::collective && (options.tokens || !options.models.empty()) &&
      std::ranges::none_of(options.collective.operations, of_experts)) {
    throw BadInput("--models and --tokens: expected together with --operation=dispatch or combine");
  }
  const bool tokens_of_models = options.program == Program::gemm ||
                                options.program == Program::memory ||
                                options.program == Program::overlap;
  if (tokens_of_models && options.tokens && options.models.empty()) {
    throw BadInput("--tokens: expected together with --models");
  }
  if (options.models.empty() && (!options.decode.empty() || options.tp > 1 || options.ep)) {
    throw BadInput("--decode, --tp and --ep: expected together with --models");
  }
  if (!options.decode.empty() && options.tokens) {
    throw BadInput("--decode and --tokens: expected one of them");
  }
  if (options.resume_anyway && !options.resume) {
    throw BadInput("--resume_anyway: expected together with --resume");
  }
  if (options.cache == "l2" && !options.bytes.empty()) {
    throw BadInput("--cache=l2: expected without --bytes, which follow from the cache");
  }
  if (options.resume && options.out.empty()) {
    throw BadInput("--resume: expected together with --out=FILE.jsonl");
  }
  if (options.resume && options.collective.nccl_tests) {
    throw BadInput(
        "--resume: expected without --format=nccl-tests, whose table has what this run measures");
  }
  if (!options.versus.empty() && options.collective.nccl_tests) {
    throw BadInput("--versus: expected without --format=nccl-tests, which has one backend a run");
  }
  if (!options.versus.empty() &&
      options.collective.backends == std::vector<std::string>{options.versus}) {
    throw BadInput(
        fmt::format("--backend and --versus: {}: expected two backends", options.versus));
  }
  if (options.google.out.empty()) return;
  if (!options.out.empty() && are_one_file(options.out, options.google.out)) {
    throw BadInput(fmt::format("--out and --benchmark_out: {}: expected two files", options.out));
  }
  // Google Benchmark would end the program with exit code 1.
  if (!std::ofstream(options.google.out, std::ios::app)) {
    throw BadInput(fmt::format("--benchmark_out: {}: cannot be written", options.google.out));
  }
}

}  // namespace trainmeter
