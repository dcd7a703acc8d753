// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Transfers by the copy engines, and between GPUs also by SMs that write to the other GPU's memory.
#include "kernels/backends.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/host_operand.hpp"
#include "kernels/numa.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr int kThreads = 512;

std::int64_t floats_in(std::int64_t bytes) {
  return bytes / 4;
}

// Bytes that differ; a copy has none.
Check compare_bytes(const void* found, const void* expected, std::int64_t bytes) {
  const auto* a = static_cast<const unsigned char*>(found);
  const auto* b = static_cast<const unsigned char*>(expected);
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < bytes; ++i) wrong += a[i] != b[i];
  return {.ok = wrong == 0, .error = static_cast<double>(wrong), .bound = 1, .how = "all bytes"};
}

// Host memory that the GPU reads and writes by itself while this lives.
class Pin {
 public:
  Pin(void* data, std::int64_t bytes) : data_(data) {
    cuda_check(cudaHostRegister(data, static_cast<std::size_t>(bytes), cudaHostRegisterDefault),
               "cudaHostRegister");
  }
  ~Pin() { (void)cudaHostUnregister(data_); }
  Pin(const Pin&) = delete;  // a page is registered once
  Pin& operator=(const Pin&) = delete;

 private:
  void* data_;
};

class HostTransfer final : public Operation {
 public:
  HostTransfer(const TransferProblem& problem, const OperandOptions& options)
      : problem_(problem), to_device_(problem.kind == TransferKind::host_to_device) {
    sets_ = sets_for(operand_stride(problem.bytes), options, device_bytes_free());
    on_node([&] {
      host_ = std::make_unique<HostOperand>(problem.bytes, sets_);
      fill_random(host_->data(0), floats_in(problem.bytes), DType::fp32,
                  operand_seed(options.seed, 0, 0));
      host_->repeat_first();
    });
    if (problem.pinned) {
      pin_ = std::make_unique<Pin>(host_->data(0), operand_stride(problem.bytes) * sets_);
    }
    device_ = DeviceOperand(problem.bytes, sets_);
    device_.copy_from_host(host_->data(0));
  }

  void run(int set) override {
    void* const host = host_->data(set);
    void* const device = device_.data(set);
    const auto bytes = static_cast<std::size_t>(problem_.bytes);
    cuda_check(to_device_
                   ? cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_.get())
                   : cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_.get()),
               "cudaMemcpyAsync");
    if (!problem_.pinned) stream_.wait();
  }

  Check verify() override {
    std::vector<char> copy(static_cast<std::size_t>(problem_.bytes));
    stream_.wait();
    if (to_device_) {
      device_.fill_bytes(0xFF);
      run(0);
      stream_.wait();
      device_.copy_to_host(copy.data());
    } else {
      device_.copy_to_host(copy.data());
      std::memset(host_->data(0), 0xFF, copy.size());
      run(0);
      stream_.wait();
    }
    return compare_bytes(copy.data(), host_->data(0), problem_.bytes);
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] void* stream() const override { return problem_.pinned ? stream_.get() : nullptr; }

 private:
  void on_node(const std::function<void()>& work) const {
    if (!problem_.node) return work();
    for (const NumaNode& node : numa_nodes(cpu_info())) {
      if (node.id == *problem_.node) return run_on(node, work);
    }
    throw Unavailable("no NUMA node " + std::to_string(*problem_.node) + " here");
  }

  TransferProblem problem_;
  bool to_device_;
  int sets_ = 1;
  std::unique_ptr<HostOperand> host_;
  std::unique_ptr<Pin> pin_;
  DeviceOperand device_;
  CudaStream stream_;
};

__global__ void __launch_bounds__(kThreads)
    push_kernel(uint4* to, const uint4* from, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += step) {
    to[i] = from[i];
  }
}

// One direction: its memory at both ends, and a stream of the GPU that it comes from.
struct Way {
  int from;
  int to;
  DeviceBuffer source;
  DeviceBuffer target;
  CudaStream stream;
  CudaEvent done;
};

// Timed on a stream of the current GPU, which waits for the ways: they may be on two others.
class PeerTransfer final : public Operation {
 public:
  PeerTransfer(const TransferProblem& problem, const OperandOptions& options, bool by_sms)
      : problem_(problem),
        by_sms_(by_sms),
        host_(static_cast<std::size_t>(problem.bytes)),
        start_(false) {
    fill_random(host_.data(), floats_in(problem.bytes), DType::fp32,
                operand_seed(options.seed, 0, 0));
    add_way(problem.from, problem.to);
    if (problem.both_ways) add_way(problem.to, problem.from);
  }

  void run(int /*set*/) override {
    cuda_check(cudaEventRecord(start_.get(), stream_.get()), "cudaEventRecord");
    for (const Way& way : ways_) {
      const OnDevice here(way.from);
      cuda_check(cudaStreamWaitEvent(way.stream.get(), start_.get()), "cudaStreamWaitEvent");
      copy(way);
      cuda_check(cudaEventRecord(way.done.get(), way.stream.get()), "cudaEventRecord");
    }
    for (const Way& way : ways_) {
      cuda_check(cudaStreamWaitEvent(stream_.get(), way.done.get()), "cudaStreamWaitEvent");
    }
  }

  Check verify() override {
    stream_.wait();
    for (Way& way : ways_) {
      const OnDevice here(way.to);
      way.target.fill_bytes(0xFF);
    }
    run(0);
    stream_.wait();
    Check worst{.ok = true, .error = 0, .bound = 1, .how = "all bytes"};
    std::vector<char> copied(host_.size());
    for (const Way& way : ways_) {
      way.target.copy_to_host(copied.data());
      const Check check = compare_bytes(copied.data(), host_.data(), problem_.bytes);
      if (!check.ok) worst = check;
    }
    return worst;
  }

  [[nodiscard]] int sets() const override { return 1; }
  [[nodiscard]] void* stream() const override { return stream_.get(); }
  // An event and a wait for each way; and a way's own wait, copy and event, since streams of one
  // GPU may share the driver's queue.
  [[nodiscard]] int launches() const override { return 4 + static_cast<int>(ways_.size()); }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return {{"peer_access", reaches_peer(problem_.from, problem_.to) ? "yes" : "no"}};
  }

 private:
  void add_way(int from, int to) {
    if (reaches_peer(from, to)) enable_peer_access(from, to);
    DeviceBuffer target;
    {
      const OnDevice there(to);
      target = DeviceBuffer(problem_.bytes);
    }
    const OnDevice here(from);
    DeviceBuffer source(problem_.bytes);
    cuda_check(cudaMemcpy(source.data(), host_.data(), host_.size(), cudaMemcpyHostToDevice),
               "copy to the GPU");
    // Pageable memory's last part may still be on its way, which the ways' streams don't wait for.
    cuda_check(cudaStreamSynchronize(nullptr), "copy to the GPU");
    ways_.push_back(
        {from, to, std::move(source), std::move(target), CudaStream(), CudaEvent(false)});
  }

  void copy(const Way& way) const {
    if (!by_sms_) {
      cuda_check(cudaMemcpyPeerAsync(way.target.data(), way.to, way.source.data(), way.from,
                                     host_.size(), way.stream.get()),
                 "cudaMemcpyPeerAsync");
      return;
    }
    const int blocks = 4 * device_attribute(cudaDevAttrMultiProcessorCount);  // of way.from
    push_kernel<<<blocks, kThreads, 0, way.stream.get()>>>(
        static_cast<uint4*>(way.target.data()), static_cast<const uint4*>(way.source.data()),
        problem_.bytes / 16);
    cuda_check(cudaGetLastError(), "push_kernel");
  }

  TransferProblem problem_;
  bool by_sms_;
  std::vector<char> host_;
  std::vector<Way> ways_;
  CudaStream stream_;
  CudaEvent start_;
};

std::string why_not(const TransferProblem& /*problem*/) {
  return why_no_gpu();
}

std::string why_not_by_sms(const TransferProblem& problem) {
  if (problem.kind != TransferKind::peer_copy) return "SMs: copy between GPUs only";
  if (std::string reason = why_no_gpu(); !reason.empty()) return reason;
  if (!reaches_peer(problem.from, problem.to) ||
      (problem.both_ways && !reaches_peer(problem.to, problem.from))) {
    return "no peer access between GPU " + std::to_string(problem.from) + " and GPU " +
           std::to_string(problem.to);
  }
  return "";
}

void check(const TransferProblem& problem) {
  if (problem.bytes < 4096 || problem.bytes % 4096 != 0) {
    throw std::invalid_argument("bytes is a positive multiple of 4096, not " +
                                std::to_string(problem.bytes));
  }
  if (problem.kind == TransferKind::peer_copy && problem.from == problem.to) {
    throw std::invalid_argument("a peer is another GPU");
  }
}

std::unique_ptr<Operation> make(const TransferProblem& problem, const OperandOptions& options) {
  check(problem);
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  if (problem.kind == TransferKind::peer_copy)
    return std::make_unique<PeerTransfer>(problem, options, false);
  return std::make_unique<HostTransfer>(problem, options);
}

std::unique_ptr<Operation> make_by_sms(const TransferProblem& problem,
                                       const OperandOptions& options) {
  check(problem);
  if (const std::string reason = why_not_by_sms(problem); !reason.empty())
    throw Unavailable(reason);
  return std::make_unique<PeerTransfer>(problem, options, true);
}

}  // namespace

TransferBackend copy_engine_transfer_backend() {
  return {"copy_engine", why_not, make};
}

TransferBackend cuda_transfer_backend() {
  return {"cuda", why_not_by_sms, make_by_sms};
}

}  // namespace trainmeter
