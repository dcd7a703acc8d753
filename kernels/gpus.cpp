// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GPUs as the CUDA runtime describes them.
#include "kernels/cuda_support.hpp"
#include "kernels/machine.hpp"

#include <cstdio>

namespace trainmeter {
namespace {

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    char byte[3];
    std::snprintf(byte, sizeof byte, "%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(uuid.bytes[i])));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += byte;
  }
  return text;
}

}  // namespace

Gpus gpus() {
  Gpus out;
  out.why_none = why_no_gpu();
  if (!out.why_none.empty()) return out;
  int count = 0;
  int driver = 0;
  int runtime = 0;
  cuda_check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  cuda_check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  cuda_check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    cuda_check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    out.devices.push_back({.name = properties.name,
                           .uuid = uuid_text(properties.uuid),
                           .compute_major = properties.major,
                           .compute_minor = properties.minor,
                           .sms = properties.multiProcessorCount,
                           .memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem),
                           .l2_bytes = properties.l2CacheSize,
                           .driver_version = driver,
                           .runtime_version = runtime});
  }
  return out;
}

std::int64_t gpu_memory_free_bytes(int device) {
  const OnDevice here(device);
  std::size_t free = 0;
  std::size_t total = 0;
  cuda_check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<std::int64_t>(free);
}

}  // namespace trainmeter
