// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Handles of CUDA IPC as hexadecimal digits.
#include "kernels/ipc_memory_cuda.hpp"

#include "kernels/cuda_support.hpp"

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace trainmeter {

std::string ipc_handle_of(const void* allocation) {
  cudaIpcMemHandle_t handle;
  cuda_check(cudaIpcGetMemHandle(&handle, const_cast<void*>(allocation)), "cudaIpcGetMemHandle");
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : handle.reserved) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

IpcMemory::IpcMemory(const std::string& handle) {
  cudaIpcMemHandle_t bits;
  if (handle.size() != 2 * sizeof bits.reserved)
    throw std::invalid_argument("no handle of a GPU's memory: '" + handle + "'");
  for (std::size_t i = 0; i < sizeof bits.reserved; ++i) {
    unsigned byte = 0;
    const char* const digits = handle.data() + 2 * i;
    if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2)
      throw std::invalid_argument("no handle of a GPU's memory: '" + handle + "'");
    bits.reserved[i] = static_cast<char>(byte);
  }
  cuda_check(cudaIpcOpenMemHandle(&data_, bits, cudaIpcMemLazyEnablePeerAccess),
             "cudaIpcOpenMemHandle");
}

IpcMemory::~IpcMemory() {
  if (data_ != nullptr) (void)cudaIpcCloseMemHandle(data_);
}

IpcMemory::IpcMemory(IpcMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

}  // namespace trainmeter
