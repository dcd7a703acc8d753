// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// All-reduce by NCCL between the GPUs that this one process drives.
#include "kernels/collective.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/random.hpp"

#if TRAINMETER_HAS_NCCL

#include <nccl.h>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

void check(ncclResult_t result, const char* what) {
  if (result != ncclSuccess)
    throw std::runtime_error(std::string(what) + ": " + ncclGetErrorString(result));
}

ncclDataType_t nccl_type(DType type) {
  switch (type) {
    case DType::fp64:
      return ncclFloat64;
    case DType::fp32:
      return ncclFloat32;
    case DType::fp16:
      return ncclFloat16;
    case DType::bf16:
      return ncclBfloat16;
    default:
      throw Unavailable("NCCL all-reduce: " + std::string(to_string(type)) + " is not built in");
  }
}

// Random integers in -8 .. 8: their sums over up to 16 GPUs are exact in every type here, so the
// check is equality.
std::vector<double> small_integers(std::int64_t count, std::uint64_t seed) {
  std::vector<double> values(static_cast<std::size_t>(count));
  fill_random(values.data(), count, DType::fp64, seed);
  for (double& value : values) value = std::fmax(-8, std::fmin(8, std::round(3 * value)));
  return values;
}

double value_at(const std::byte* data, DType type, std::size_t i) {
  if (type == DType::fp64) return reinterpret_cast<const double*>(data)[i];
  if (type == DType::fp32) return static_cast<double>(reinterpret_cast<const float*>(data)[i]);
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(data)[i];
  return static_cast<double>(type == DType::bf16 ? float_from_bf16(bits) : float_from_fp16(bits));
}

std::vector<std::byte> packed(const std::vector<double>& values, DType type) {
  std::vector<std::byte> out(values.size() * static_cast<std::size_t>(size_of(type)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto single = static_cast<float>(values[i]);
    std::byte* at = out.data() + i * static_cast<std::size_t>(size_of(type));
    if (type == DType::fp64) {
      std::memcpy(at, &values[i], 8);
    } else if (type == DType::fp32) {
      std::memcpy(at, &single, 4);
    } else {
      const std::uint16_t bits =
          type == DType::bf16 ? bf16_from_float(single) : fp16_from_float(single);
      std::memcpy(at, &bits, 2);
    }
  }
  return out;
}

struct Gpu {
  int device = 0;
  ncclComm_t communicator = nullptr;
  CudaStream stream;
  CudaEvent done{false};
};

class NcclAllReduce final : public Operation {
 public:
  NcclAllReduce(std::vector<Gpu>& gpus, const AllReduceProblem& problem,
                const OperandOptions& options)
      : gpus_(&gpus), problem_(problem), seed_(options.seed), type_(nccl_type(problem.dtype)) {
    if (problem.bytes < 1 || problem.bytes % size_of(problem.dtype) != 0) {
      throw std::invalid_argument("bytes is a positive multiple of the element size, not " +
                                  std::to_string(problem.bytes));
    }
    count_ = problem.bytes / size_of(problem.dtype);
    cuda_check(cudaSetDevice(0), "cudaSetDevice");
    sets_ = sets_for(2 * operand_stride(problem.bytes), options, device_bytes_free());
    for (std::size_t rank = 0; rank < gpus.size(); ++rank) {
      cuda_check(cudaSetDevice(gpus[rank].device), "cudaSetDevice");
      inputs_.emplace_back(problem.bytes, sets_);
      outputs_.emplace_back(problem.bytes, sets_);
      inputs_.back().copy_from_host(
          packed(small_integers(count_, operand_seed(seed_, 0, static_cast<int>(rank))),
                 problem.dtype)
              .data());
    }
    cuda_check(cudaSetDevice(0), "cudaSetDevice");
  }

  // Ordered by the first GPU's stream on both sides, so that events on it time the whole operation.
  void run(int set) override {
    cuda_check(cudaEventRecord(start_.get(), gpus_->front().stream.get()), "cudaEventRecord");
    for (const Gpu& gpu : *gpus_)
      cuda_check(cudaStreamWaitEvent(gpu.stream.get(), start_.get(), 0), "cudaStreamWaitEvent");
    check(ncclGroupStart(), "ncclGroupStart");
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) {
      check(ncclAllReduce(inputs_[rank].data(set), outputs_[rank].data(set),
                          static_cast<std::size_t>(count_), type_, ncclSum,
                          (*gpus_)[rank].communicator, (*gpus_)[rank].stream.get()),
            "ncclAllReduce");
    }
    check(ncclGroupEnd(), "ncclGroupEnd");
    for (std::size_t rank = 1; rank < gpus_->size(); ++rank) {
      const Gpu& gpu = (*gpus_)[rank];
      cuda_check(cudaSetDevice(gpu.device), "cudaSetDevice");
      cuda_check(cudaEventRecord(gpu.done.get(), gpu.stream.get()), "cudaEventRecord");
      cuda_check(cudaStreamWaitEvent(gpus_->front().stream.get(), gpu.done.get(), 0),
                 "cudaStreamWaitEvent");
    }
    cuda_check(cudaSetDevice(0), "cudaSetDevice");
  }

  Check verify() override {
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) outputs_[rank].fill_bytes(0xFF);
    run(0);
    gpus_->front().stream.wait();
    std::vector<double> expected(static_cast<std::size_t>(count_));
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) {
      const std::vector<double> part =
          small_integers(count_, operand_seed(seed_, 0, static_cast<int>(rank)));
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += part[i];
    }
    Check out{.error = 0, .bound = 0.5, .how = "all elements on every GPU, exact"};
    std::vector<std::byte> found(static_cast<std::size_t>(problem_.bytes));
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) {
      outputs_[rank].copy_to_host(found.data());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double error = std::abs(value_at(found.data(), problem_.dtype, i) - expected[i]);
        if (!(error <= out.error)) out.error = error;
        if (!(error < out.bound)) ++out.wrong;
      }
    }
    out.ok = out.wrong == 0;
    return out;
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] void* stream() const override { return gpus_->front().stream.get(); }

 private:
  std::vector<Gpu>* gpus_;
  AllReduceProblem problem_;
  std::uint64_t seed_;
  ncclDataType_t type_;
  std::int64_t count_ = 0;
  int sets_ = 1;
  CudaEvent start_{false};
  std::vector<DeviceOperand> inputs_, outputs_;  // of each rank
};

class NcclWorld final : public World {
 public:
  explicit NcclWorld(int count) {
    std::vector<int> devices;
    for (int device = 0; device < count; ++device) devices.push_back(device);
    std::vector<ncclComm_t> communicators(static_cast<std::size_t>(count));
    check(ncclCommInitAll(communicators.data(), count, devices.data()), "ncclCommInitAll");
    for (int device = 0; device < count; ++device) {
      cuda_check(cudaSetDevice(device), "cudaSetDevice");
      gpus_.push_back({.device = device,
                       .communicator = communicators[static_cast<std::size_t>(device)],
                       .stream = {}});
    }
    cuda_check(cudaSetDevice(0), "cudaSetDevice");
  }
  ~NcclWorld() override {
    for (Gpu& gpu : gpus_) (void)ncclCommDestroy(gpu.communicator);
  }

  [[nodiscard]] int ranks() const override { return static_cast<int>(gpus_.size()); }
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] std::string how() const override {
    return "one process, " + std::to_string(gpus_.size()) + " GPUs";
  }
  [[nodiscard]] std::vector<std::string> backends() const override { return {"nccl"}; }
  std::vector<std::string> gather(const std::string& mine) override { return {mine}; }
  void barrier() override {}  // one process: nobody to wait for
  std::int64_t decide(std::int64_t value) override { return value; }
  double slowest(double seconds) override { return seconds; }
  std::int64_t total(std::int64_t value) override { return value; }
  bool all(bool value) override { return value; }
  std::unique_ptr<Operation> all_reduce(std::string_view /*backend*/,
                                        const AllReduceProblem& problem,
                                        const OperandOptions& options) override {
    return std::make_unique<NcclAllReduce>(gpus_, problem, options);
  }

 private:
  std::vector<Gpu> gpus_;
};

}  // namespace

std::unique_ptr<World> make_nccl_world() {
  if (const std::string reason = why_no_gpu(); !reason.empty()) throw Unavailable(reason);
  int count = 0;
  cuda_check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (count < 2)
    throw Unavailable("NCCL all-reduce needs 2 GPUs, this process sees " + std::to_string(count));
  return std::make_unique<NcclWorld>(count);
}

}  // namespace trainmeter

#else

namespace trainmeter {

std::unique_ptr<World> make_nccl_world() {
  throw Unavailable("NCCL: not found when trainmeter was built");
}

}  // namespace trainmeter

#endif
