// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What this machine has, what can be measured on it, and what is missing with the command that
// installs it. Links no CUDA: the driver is loaded at run time, so it also answers where there is
// none.
#pragma once

#include "report/document.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trainmeter {

struct DoctorGpu {
  std::string name;
  int sms = 0;
  std::int64_t memory_bytes = 0;
  std::string compute_capability;
};

struct Capability {
  std::string what;  // "GEMM on the CPU"
  bool can = false;
  std::string why;  // what it will use, or what is missing
  std::string fix;  // the command that installs it; empty where nothing is missing or nothing helps
};

struct Examination {
  std::string host, system, cpu;
  int cores = 0;
  std::int64_t memory_bytes = 0;
  std::vector<std::string> instruction_sets;
  std::vector<DoctorGpu> gpus;
  std::string why_no_gpu, gpu_fix;  // what would help
  int driver_cuda_version = 0;      // 13000 is 13.0; 0 without a driver
  std::vector<Capability> findings;
};

Examination examine();

// Whether the PCI bus has a graphics processor of NVIDIA's, driver or not.
bool has_nvidia_gpu(const std::filesystem::path& pci = "/sys/bus/pci/devices");
Document to_document(const Examination& examination);
nlohmann::ordered_json to_json(const Examination& examination);

}  // namespace trainmeter
