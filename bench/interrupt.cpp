// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The signal handler, which only notes the signal.
#include "bench/interrupt.hpp"

#include <csignal>
#include <type_traits>

namespace trainmeter {
namespace {

volatile std::sig_atomic_t own_note = 0;
volatile std::sig_atomic_t* noted_signal = &own_note;

extern "C" void note_signal(int number) {
  *noted_signal = number;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // nohup ignores it
}

int interrupted_by() {
  return *noted_signal;
}

void note_interrupts_in(int* shared) {
  static_assert(std::is_same_v<int, std::sig_atomic_t>);
  noted_signal = shared;
}

void leave_interrupts_to_parent() {
  (void)std::signal(SIGINT, SIG_IGN);
  (void)std::signal(SIGTERM, SIG_IGN);
  (void)std::signal(SIGHUP, SIG_IGN);
}

}  // namespace trainmeter
