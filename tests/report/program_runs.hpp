// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program trainmeter, run as from a shell.
#pragma once

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

namespace trainmeter {

struct Outcome {
  int code;
  std::string out, err;
};

// `before`: assignments of the environment.
inline Outcome run_program(const std::string& arguments, const std::string& before = "") {
  const auto stem =
      (std::filesystem::path(testing::TempDir()) /
       (std::string("program_") + testing::UnitTest::GetInstance()->current_test_info()->name()))
          .string();
  const std::string command = fmt::format("{} '{}/trainmeter' {} >'{}.out' 2>'{}.err'", before,
                                          TRAINMETER_BIN_DIR, arguments, stem, stem);
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), slurp(stem + ".out"), slurp(stem + ".err")};
}

inline void expect_refused(const std::string& arguments, const std::string& message) {
  const Outcome o = run_program(arguments);
  EXPECT_EQ(o.code, 2) << arguments << "\n" << o.err;
  EXPECT_THAT(o.err, testing::HasSubstr(message)) << arguments;
  EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
  EXPECT_EQ(o.out, "");
}

// Records for it to read: a CPU's rows as a GPU's, and a file with a CPU's that is the test's own.
inline Record gpu_record() {
  Record record = small_cpu();
  put_on(h200(), record);
  return record;
}

inline std::string record_file() {
  return write_record(
             small_cpu(),
             std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".jsonl")
      .string();
}

}  // namespace trainmeter
