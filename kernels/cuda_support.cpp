// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Errors and resources of CUDA.
#include "kernels/cuda_support.hpp"

#include "kernels/cache_flush.hpp"
#include "kernels/one_stream.hpp"
#include "kernels/operand_values.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

std::string gib(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1024.0 * 1024 * 1024));
  return text;
}

// After these no call of this process succeeds; what happened stands in the kernel's log.
bool loses_the_gpu(cudaError_t code) {
  switch (code) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorDevicesUnavailable:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorIllegalAddress:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string why_no_gpu() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaErrorInsufficientDriver) {
    int driver = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaGetLastError();
    return driver == 0 ? "no CUDA device: driver not found"
                       : "no CUDA device: the driver is older than this build's CUDA runtime";
  }
  if (code != cudaSuccess) {
    (void)cudaGetLastError();  // not to be met again by the next call
    return std::string("no CUDA device: ") + cudaGetErrorString(code);
  }
  return count > 0 ? "" : "no CUDA device: the driver finds none";
}

void cuda_check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  (void)cudaGetLastError();
  const std::string text =
      std::string(what) + ": " + cudaGetErrorName(code) + ": " + cudaGetErrorString(code);
  if (code == cudaErrorMemoryAllocation || code == cudaErrorNoDevice ||
      code == cudaErrorInsufficientDriver) {
    throw Unavailable(text);
  }
  throw std::runtime_error(text + (loses_the_gpu(code) ? " (its Xid: dmesg | grep -i xid)" : ""));
}

std::int64_t device_bytes_free() {
  std::size_t free = 0;
  std::size_t total = 0;
  cuda_check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  const std::size_t reserve = total / 20;
  return static_cast<std::int64_t>(free - std::min(free, reserve));
}

void* driver_function(const char* name, unsigned int version) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
  cuda_check(cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault, &result),
             "cudaGetDriverEntryPointByVersion");
#else  // it gives the function as of the toolkit's own version
  static_cast<void>(version);
  cuda_check(cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result),
             "cudaGetDriverEntryPoint");
#endif
  return result == cudaDriverEntryPointSuccess ? found : nullptr;
}

int device_attribute(cudaDeviceAttr which) {
  int device = 0;
  int value = 0;
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

OnDevice::OnDevice(int device) {
  cuda_check(cudaGetDevice(&before_), "cudaGetDevice");
  cuda_check(cudaSetDevice(device), "cudaSetDevice");
}

OnDevice::~OnDevice() {
  (void)cudaSetDevice(before_);
}

bool reaches_peer(int from, int to) {
  int can = 0;
  cuda_check(cudaDeviceCanAccessPeer(&can, from, to), "cudaDeviceCanAccessPeer");
  return can != 0;
}

void enable_peer_access(int from, int to) {
  const OnDevice here(from);
  const cudaError_t code = cudaDeviceEnablePeerAccess(to, 0);
  if (code == cudaErrorPeerAccessAlreadyEnabled) {
    (void)cudaGetLastError();
    return;
  }
  cuda_check(code, "cudaDeviceEnablePeerAccess");
}

DeviceBuffer::DeviceBuffer(std::int64_t bytes, std::int64_t block)
    : bytes_(round_up(bytes, block)) {
  const cudaError_t code = cudaMalloc(&data_, static_cast<std::size_t>(bytes_));
  if (code == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw Unavailable("needs " + gib(bytes_) + " of GPU memory, " + gib(device_bytes_free()) +
                      " is free");
  }
  cuda_check(code, "cudaMalloc");
}

DeviceBuffer::~DeviceBuffer() {
  (void)cudaFree(data_);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void DeviceBuffer::copy_to_host(void* host) const {
  cuda_check(cudaMemcpy(host, data_, static_cast<std::size_t>(bytes_), cudaMemcpyDeviceToHost),
             "copy from the GPU");
}

void DeviceBuffer::fill_bytes(int value) {
  cuda_check(cudaMemset(data_, value, static_cast<std::size_t>(bytes_)), "cudaMemset");
  cuda_check(cudaStreamSynchronize(nullptr), "cudaMemset");  // a co-runner isn't waited for
}

DeviceOperand::DeviceOperand(std::int64_t bytes, int sets, std::int64_t block)
    : bytes_(bytes), sets_(sets), buffer_(operand_stride(bytes) * sets, block) {}

void* DeviceOperand::data(int set) const {
  return static_cast<std::byte*>(buffer_.data()) + set * operand_stride(bytes_);
}

void DeviceOperand::copy_from_host(const void* host) {
  cuda_check(cudaMemcpy(data(0), host, static_cast<std::size_t>(bytes_), cudaMemcpyHostToDevice),
             "copy to the GPU");
  // What is there is doubled again and again: a handful of copies however many sets there are.
  for (int done = 1; done < sets_;) {
    const int more = std::min(done, sets_ - done);
    cuda_check(
        cudaMemcpy(data(done), data(0), static_cast<std::size_t>(operand_stride(bytes_) * more),
                   cudaMemcpyDeviceToDevice),
        "copy on the GPU");
    done += more;
  }
  // On the device copies aren't waited for.
  cuda_check(cudaStreamSynchronize(nullptr), "copy on the GPU");
}

void DeviceOperand::copy_to_host(void* host) const {
  cuda_check(cudaMemcpy(host, data(0), static_cast<std::size_t>(bytes_), cudaMemcpyDeviceToHost),
             "copy from the GPU");
}

void DeviceOperand::fill_bytes(int value) {
  cuda_check(cudaMemset(data(0), value, static_cast<std::size_t>(bytes_)), "cudaMemset");
  cuda_check(cudaStreamSynchronize(nullptr), "cudaMemset");  // a co-runner isn't waited for
}

void copy_with_gpu(void* to, const void* from, std::int64_t bytes) {
  cuda_check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  cuda_check(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault),
             "copy of an operand");
  // Operations' streams don't wait for this one.
  cuda_check(cudaStreamSynchronize(nullptr), "copy of an operand");
}

std::function<void()> gpu_cache_flusher(std::int64_t bytes) {
  return [buffer = std::make_shared<DeviceBuffer>(bytes), value = 0]() mutable {
    buffer->fill_bytes(++value % 256);
  };
}

namespace {

cudaStream_t new_stream(CudaStream::Priority priority = CudaStream::Priority::usual) {
  cudaStream_t stream = nullptr;
  int first = 0;
  if (priority == CudaStream::Priority::first)
    cuda_check(cudaDeviceGetStreamPriorityRange(nullptr, &first), "stream priorities");
  cuda_check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, first),
             "cudaStreamCreate");
  return stream;
}

// This thread's OneStream, and how many own each stream that there was one for.
thread_local cudaStream_t shared_stream = nullptr;
thread_local std::map<cudaStream_t, int> owners;

void let_go_of(cudaStream_t stream) {
  const auto shared = owners.find(stream);
  if (shared != owners.end()) {
    if (--shared->second > 0) return;
    owners.erase(shared);
  }
  (void)cudaStreamDestroy(stream);
}

}  // namespace

OneStream::OneStream() {
  if (shared_stream != nullptr) throw std::logic_error("this thread has its one stream already");
  shared_stream = new_stream();
  owners[shared_stream] = 1;
}

OneStream::~OneStream() {
  let_go_of(std::exchange(shared_stream, nullptr));
}

bool OneStream::lives() {
  return shared_stream != nullptr;
}

CudaStream::CudaStream(Priority priority)
    : stream_(priority == Priority::usual ? shared_stream : nullptr) {
  if (stream_ == nullptr) {
    stream_ = new_stream(priority);
  } else {
    ++owners[stream_];
  }
}

CudaStream::~CudaStream() {
  if (stream_ != nullptr) let_go_of(stream_);
}

CudaStream::CudaStream(CudaStream&& other) noexcept
    : in_(std::move(other.in_)), stream_(std::exchange(other.stream_, nullptr)) {}

void CudaStream::wait() const {
  cuda_check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

CudaEvent::CudaEvent(bool timed) {
  cuda_check(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming),
             "cudaEventCreate");
}

CudaEvent::~CudaEvent() {
  if (event_ != nullptr) (void)cudaEventDestroy(event_);
}

CudaEvent::CudaEvent(CudaEvent&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}

}  // namespace trainmeter
