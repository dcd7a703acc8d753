// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What is begun and goes on by itself, as a co-runner does, ends where what it is beside throws.
#pragma once

#include <exception>

namespace trainmeter {

// Calls `body`. Where it throws, `end` is called, and what `body` threw goes on, whatever `end`
// throws.
template <class Body, class End>
void or_else_ended(Body body, End end) {
  try {
    body();
  } catch (...) {
    const std::exception_ptr thrown = std::current_exception();
    try {
      end();
    } catch (...) {  // NOLINT(bugprone-empty-catch): the first error is the one to tell
    }
    std::rethrow_exception(thrown);
  }
}

}  // namespace trainmeter
