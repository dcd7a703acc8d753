// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A driver's and cuBLASLt's answers where there is neither: one GPU, and the version of CUDA that
// FAKE_CUDA has. Found as libcuda.so.1 and libcublasLt.so.N.
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {

int fake_cuda() {
  const char* version = std::getenv("FAKE_CUDA");  // 13000 is 13.0
  return version == nullptr ? 0 : std::atoi(version);
}

}  // namespace

extern "C" {

int cuInit(unsigned /*flags*/) {
  return 0;
}
int cuDriverGetVersion(int* version) {
  *version = fake_cuda();
  return 0;
}
int cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}
int cuDeviceGet(int* device, int number) {
  *device = number;
  return 0;
}
int cuDeviceGetName(char* name, int size, int /*device*/) {
  std::snprintf(name, static_cast<std::size_t>(size), "a fake GPU");
  return 0;
}
int cuDeviceTotalMem_v2(std::size_t* bytes, int /*device*/) {
  *bytes = std::size_t{1} << 30;
  return 0;
}
int cuDeviceGetAttribute(int* value, int /*attribute*/, int /*device*/) {
  *value = 9;
  return 0;
}

std::size_t cublasLtGetVersion() {
  return static_cast<std::size_t>(fake_cuda()) * 10 + 2;  // of 13.0: 13.0.2
}

}  // extern "C"
