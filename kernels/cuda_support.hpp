// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What every CUDA file needs: errors as exceptions, memory, streams and events that free
// themselves.
#pragma once

#include "kernels/operation.hpp"

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace trainmeter {

// Empty where there is a usable device, else "no CUDA device: ..." with the driver's reason.
std::string why_no_gpu();

// Throws where `code` is an error: Unavailable for no device and no memory, else std::runtime_error
// "what: name: text".
void cuda_check(cudaError_t code, const char* what);

std::int64_t
device_bytes_free();  // on the current device, less 5 % that the driver and libraries need
int device_attribute(cudaDeviceAttr which);  // of the current device: its SMs, its L2

// The driver's function as of a version of CUDA (12040: 12.4), by way of the runtime: no program of
// ours links the driver. Null where the driver has none.
void* driver_function(const char* name, unsigned int version);

// Makes a GPU the current one while this lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;  // undoes itself once
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

// Whether GPU `from` can read and write GPU `to`'s memory; and makes it so, for all that is and
// will be allocated there.
bool reaches_peer(int from, int to);
void enable_peer_access(int from, int to);

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  // In multiples of `block`. Unavailable "needs 12.3 GiB of GPU memory, 8.0 GiB is free".
  explicit DeviceBuffer(std::int64_t bytes, std::int64_t block = 1);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  void copy_to_host(void* host) const;
  void fill_bytes(int value);  // synchronous

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// One operand of every set on the current device, in one allocation: set after set by
// operand_stride(). Copies and fills are of set 0, which is the one that is checked.
class DeviceOperand {
 public:
  DeviceOperand() = default;
  DeviceOperand(std::int64_t bytes, int sets, std::int64_t block = 1);  // as DeviceBuffer

  [[nodiscard]] void* data(int set) const;
  [[nodiscard]] bool empty() const { return sets_ == 0; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }  // of one set
  void copy_from_host(const void* host);                       // and from there to every set
  void copy_to_host(void* host) const;
  void fill_bytes(int value);  // synchronous

 private:
  std::int64_t bytes_ = 0;
  int sets_ = 0;
  DeviceBuffer buffer_;
};

class CudaStream {
 public:
  enum class Priority { usual, first };  // first: before all others
  CudaStream() : CudaStream(Priority::usual) {}
  explicit CudaStream(Priority priority);
  // One that was made elsewhere, in something that is to outlive it.
  CudaStream(cudaStream_t made, std::shared_ptr<void> in) : in_(std::move(in)), stream_(made) {}
  ~CudaStream();
  CudaStream(CudaStream&& other) noexcept;
  CudaStream& operator=(CudaStream&&) = delete;
  [[nodiscard]] cudaStream_t get() const { return stream_; }
  void wait() const;  // until everything queued is done

 private:
  std::shared_ptr<void> in_;
  cudaStream_t stream_ = nullptr;
};

class CudaEvent {
 public:
  explicit CudaEvent(bool timed);
  ~CudaEvent();
  CudaEvent(CudaEvent&& other) noexcept;
  CudaEvent& operator=(CudaEvent&&) = delete;
  [[nodiscard]] cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace trainmeter
