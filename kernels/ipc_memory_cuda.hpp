// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that other processes of the same host map (CUDA IPC), each with a GPU of its own
// that reaches it.
#pragma once

#include <cstdint>
#include <string>

namespace trainmeter {

// The driver packs small allocations into one block, and it is blocks that it maps. So what others
// map is made in whole blocks (DeviceBuffer's `block`), or several handles would be of one.
inline constexpr std::int64_t kIpcBlock = 2 << 20;

// A text by which other processes map an allocation in such blocks, given its begin.
// std::runtime_error where the driver has none for it.
std::string ipc_handle_of(const void* allocation);

// Another process's allocation in this one's address space, on the current device. It has to be
// gone before that process frees it.
class IpcMemory {
 public:
  // std::invalid_argument for a text that is no handle, std::runtime_error where it can't be
  // mapped: of this very process, say, or of a GPU out of reach.
  explicit IpcMemory(const std::string& handle);
  ~IpcMemory();
  IpcMemory(IpcMemory&& other) noexcept;
  IpcMemory& operator=(IpcMemory&& other) = delete;

  [[nodiscard]] void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace trainmeter
