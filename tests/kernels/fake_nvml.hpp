// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GPU that the fake NVML library shows. A test finds it by fake_gpu() and changes it.
#pragma once

#include <vector>

struct FakeGpu {
  int init_fails = 0;  // nvmlInit_v2's answer
  int sessions = 0;
  unsigned mhz = 1980, mw = 700'000, celsius = 65;
  unsigned long long reasons = 0x4, mj = 5'000'000;
  int power_fails = 0, energy_fails = 0, ecc_fails = 0, processes_fail = 0;  // their answers
  unsigned pcie_generation = 4, pcie_width = 8, mig = 0;
  unsigned links = 2;  // active; each counts `crc_errors` of one kind, and has but four counters
  unsigned long long crc_errors = 3;
  std::vector<unsigned> compute = {}, graphics = {};  // process ids
};

extern "C" FakeGpu* fake_gpu();
