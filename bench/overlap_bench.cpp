// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// overlap_bench: how much an operation and what moves data beside it slow each other.
#include "bench/case_lists.hpp"
#include "bench/main.hpp"

int main(int argc, char** argv) {
  return trainmeter::device_main(trainmeter::Program::overlap, argc, argv,
                                 trainmeter::overlap_cases);
}
