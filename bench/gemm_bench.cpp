// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// gemm_bench: how fast this device multiplies matrices.
#include "bench/case_lists.hpp"
#include "bench/main.hpp"

int main(int argc, char** argv) {
  return trainmeter::device_main(trainmeter::Program::gemm, argc, argv, trainmeter::gemm_cases);
}
