// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// layer_bench: what a transformer layer takes, and what its operations take in it and alone.
#include "bench/main.hpp"

int main(int argc, char** argv) {
  return trainmeter::device_main(trainmeter::Program::layer, argc, argv, trainmeter::layer_cases);
}
