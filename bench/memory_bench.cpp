// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// memory_bench: how fast this device moves memory.
#include "bench/case_lists.hpp"
#include "bench/main.hpp"

int main(int argc, char** argv) {
  return trainmeter::device_main(trainmeter::Program::memory, argc, argv, trainmeter::memory_cases);
}
