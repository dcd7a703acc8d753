// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Jobs of operations that only move a clock, and the record that they write.
#pragma once

#include "bench/harness.hpp"

#include "fakes.hpp"
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace trainmeter {

class HarnessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ = std::filesystem::temp_directory_path() /
            ("harness_test-" + std::to_string(::getpid()) + ".jsonl");
    std::filesystem::remove(file_);
  }
  void TearDown() override { std::filesystem::remove(file_); }

  Case fake_case(const std::string& backend, Check check = {.ok = true, .bound = 1, .how = "fake"},
                 double cost_s = 1e-3) {
    Case made;
    made.name = "gemm/fp32/" + backend + "/m:1/n:1/k:1";
    made.operation = "gemm";
    made.dtype = "fp32";
    made.backend = backend;
    made.shape = {{"m", 1}, {"n", 1}, {"k", 1}};
    made.layout = "nt";
    made.flops = 2;
    made.bytes = 12;
    made.make = [this, check, cost_s](const OperandOptions& operands) {
      made_with_.push_back(operands);
      ++made_;
      auto operation =
          std::make_unique<FakeOperation>(time_, [cost_s](std::int64_t) { return cost_s; });
      operation->check = check;
      operation->on_run = [this] {
        if (on_run_) on_run_();
      };
      return operation;
    };
    return made;
  }

  Job job(std::vector<Case> cases, std::vector<std::string> words = {}) {
    words.insert(words.begin(), {"gemm_bench", "--out=" + file_.string()});
    Job made;
    made.options = read_options(Program::gemm, words);
    made.target.device = {.kind = "cpu", .name = "fake", .sms = 2, .details = {}};
    made.list.cases = std::move(cases);
    made.timer = make_cpu_timer(time_.clock(1e-8), nullptr);
    return made;
  }

  [[nodiscard]] std::vector<std::string> recorded() const {
    std::vector<std::string> names;
    for (const Line& line : read_record(file_).lines) names.push_back(line.measurement.name);
    return names;
  }

  FakeTime time_;
  std::filesystem::path file_;
  std::function<void()> on_run_;
  int made_ = 0;
  std::vector<OperandOptions> made_with_;
};

}  // namespace trainmeter
