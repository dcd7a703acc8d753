// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// attention_bench: how fast this device does the attention core.
#include "bench/main.hpp"

int main(int argc, char** argv) {
  return trainmeter::device_main(trainmeter::Program::attention, argc, argv,
                                 trainmeter::attention_cases);
}
