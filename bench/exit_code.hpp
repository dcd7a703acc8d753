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

// Runs a program's body. An error becomes "PROGRAM: text" on stderr and its code. Rank 0 speaks for
// ranks that met. Of those that haven't no other can say what is wrong with one, so each says it,
// with its number; but rank 0 first, in case its launcher then ends all.
int run_program(const std::string& program, const std::function<int()>& body);
void note_meeting();  // the ranks meet now; what goes wrong in that is said by whoever finds it

// This process's rank as its launcher says it (mpirun, srun, torchrun). 0 without one.
int launched_rank();

}  // namespace trainmeter
