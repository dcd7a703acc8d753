// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM: noted, so that the program ends in order. A second one ends it at once.
#pragma once

namespace trainmeter {

void catch_interrupts();
int interrupted_by();  // the signal's number; 0: none so far

}  // namespace trainmeter
