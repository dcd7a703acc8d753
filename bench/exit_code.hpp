// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The one place where the benchmark programs make exit codes out of errors.
#pragma once

#include "record/error.hpp"
#include "record/exit_code.hpp"

#include <functional>
#include <string>

namespace trainmeter {

// The exit code of the error in flight, and its text. Call it in a catch block.
struct Failure {
  int code = kFine;
  std::string text;
};
Failure failure_in_flight();
[[noreturn]] void throw_failure(const Failure& failure);  // the error that it was made of

// A mistake in this process's own environment, found before the ranks met: no other can say it.
class OwnMistake : public BadInput {
 public:
  using BadInput::BadInput;
};

// Runs a program's body. An error becomes "PROGRAM: text" on stderr (of rank 0 alone, but for the
// above) and its code.
int run_program(const std::string& program, const std::function<int()>& body);

// This process's rank as its launcher says it (mpirun, srun, torchrun). 0 without one.
int launched_rank();

}  // namespace trainmeter
