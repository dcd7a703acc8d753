// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, SIGTERM and a terminal that went away (SIGHUP): noted, so that the program ends in order.
// A second one ends it at once.
#pragma once

namespace trainmeter {

void catch_interrupts();
int interrupted_by();  // the signal's number; 0: none so far

// From now on the number is noted in `shared`, which processes that are forked later see, too;
// those call the second function, so that a signal to all of them is this process's alone.
void note_interrupts_in(int* shared);
void leave_interrupts_to_parent();

}  // namespace trainmeter
