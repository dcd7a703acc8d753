// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// collective_bench: how fast ranks reduce between them.
#include "bench/main.hpp"

int main(int argc, char** argv) {
  return trainmeter::collective_main(argc, argv);
}
