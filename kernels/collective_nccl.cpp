// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NCCL's collectives between the GPUs that this one process drives.
#include "kernels/collective.hpp"
#include "kernels/collective_check.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/launch.hpp"

#if TRAINMETER_HAS_NCCL

#include <nccl.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

void check(ncclResult_t result, const char* what) {
  if (result != ncclSuccess)
    throw std::runtime_error(std::string(what) + ": " + ncclGetErrorString(result));
}

// What is only moved is as many bytes as it has, whatever they mean.
ncclDataType_t nccl_type(const CollectiveProblem& problem) {
  if (!adds(problem.what)) return ncclUint8;
  switch (problem.dtype) {
    case DType::fp64:
      return ncclFloat64;
    case DType::fp32:
      return ncclFloat32;
    case DType::fp16:
      return ncclFloat16;
    case DType::bf16:
      return ncclBfloat16;
    default:
      throw Unavailable("NCCL: sums in " + std::string(to_string(problem.dtype)) +
                        " are not built in");
  }
}

struct Gpu {
  int device = 0;
  RankGroup group;
  ncclComm_t communicator = nullptr;
  CudaStream stream;
  CudaEvent done{false};
};

// One rank's buffers.
struct Payload {
  CollectiveLayout layout;
  DeviceOperand send_only, buffer;  // as HostPayloads has them: in place, both are in `buffer`
};

class NcclCollective final : public Operation {
 public:
  NcclCollective(std::vector<Gpu>& gpus, const CollectiveProblem& problem,
                 const OperandOptions& options)
      : gpus_(&gpus), problem_(problem), seed_(options.seed), type_(nccl_type(problem)) {
    if (problem.in_place && exchanges()) {
      throw Unavailable("NCCL: " + std::string(to_string(problem.what)) + " can't work in place");
    }
    std::int64_t set = 0;
    for (const Gpu& gpu : gpus) {
      payloads_.push_back({.layout = layout_of(problem, gpu.group.me, gpu.group.ranks()),
                           .send_only = {},
                           .buffer = {}});
      set = std::max(set, operand_stride(buffer_bytes(payloads_.back().layout)) +
                              operand_stride(bytes_of(payloads_.back().layout.send)));
    }
    cuda_check(cudaSetDevice(0), "cudaSetDevice");
    sets_ = sets_for(set, options, device_bytes_free());
    for (std::size_t rank = 0; rank < gpus.size(); ++rank) {
      Payload& payload = payloads_[rank];
      cuda_check(cudaSetDevice(gpus[rank].device), "cudaSetDevice");
      payload.buffer = DeviceOperand(buffer_bytes(payload.layout), sets_);
      if (!problem.in_place) {
        payload.send_only = DeviceOperand(bytes_of(payload.layout.send), sets_);
        payload.send_only.copy_from_host(sent(rank, payload.send_only.bytes(), 0).data());
      }
    }
    prepare();
  }

  // Ordered by the first GPU's stream on both sides, so that events on it time the whole operation.
  void run(int set) override {
    cuda_check(cudaEventRecord(start_.get(), gpus_->front().stream.get()), "cudaEventRecord");
    for (const Gpu& gpu : *gpus_)
      cuda_check(cudaStreamWaitEvent(gpu.stream.get(), start_.get(), 0), "cudaStreamWaitEvent");
    check(ncclGroupStart(), "ncclGroupStart");
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) queue(rank, set);
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
    prepare();
    run(0);
    gpus_->front().stream.wait();
    Check out{.error = 0,
              .bound = 1,
              .how = adds(problem_.what) ? "all elements on every GPU, fp64"
                                         : "all elements on every GPU, bit by bit"};
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) {
      const Payload& payload = payloads_[rank];
      std::vector<char> found(static_cast<std::size_t>(payload.buffer.bytes()));
      payload.buffer.copy_to_host(found.data());
      const char* const received =
          found.data() + (problem_.in_place ? bytes_at(payload.layout.receive_at) : 0);
      const PayloadError error =
          check_payload(received, problem_.dtype, payload.layout, (*gpus_)[rank].group, seed_);
      out.error = std::max(out.error, error.worst);
      out.wrong += error.wrong;
    }
    out.ok = out.error < out.bound;
    return out;
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] void* stream() const override { return gpus_->front().stream.get(); }

 private:
  [[nodiscard]] bool exchanges() const {
    return problem_.what == CollectiveKind::all_to_all ||
           problem_.what == CollectiveKind::all_to_all_v ||
           problem_.what == CollectiveKind::send_recv;
  }
  [[nodiscard]] std::int64_t bytes_at(std::int64_t elements) const {
    return elements * size_of(problem_.dtype);
  }
  [[nodiscard]] std::int64_t bytes_of(std::int64_t elements) const {
    return bytes_at(std::max<std::int64_t>(1, elements));
  }
  [[nodiscard]] std::int64_t buffer_bytes(const CollectiveLayout& layout) const {
    return bytes_of(problem_.in_place ? layout.whole : layout.receive);
  }
  [[nodiscard]] const void* send_of(std::size_t rank, int set) const {
    const Payload& payload = payloads_[rank];
    if (!problem_.in_place) return payload.send_only.data(set);
    return static_cast<char*>(payload.buffer.data(set)) + bytes_at(payload.layout.send_at);
  }
  [[nodiscard]] void* receive_of(std::size_t rank, int set) const {
    const Payload& payload = payloads_[rank];
    return static_cast<char*>(payload.buffer.data(set)) +
           (problem_.in_place ? bytes_at(payload.layout.receive_at) : 0);
  }

  // A buffer of all bits set but for what rank `rank` sends, `at` bytes from its begin.
  [[nodiscard]] std::vector<char> sent(std::size_t rank, std::int64_t bytes,
                                       std::int64_t at) const {
    std::vector<char> out(static_cast<std::size_t>(bytes), static_cast<char>(0xff));
    fill_payload(out.data() + at, problem_.dtype, adds(problem_.what), seed_,
                 static_cast<int>(rank), 0, payloads_[rank].layout.send);
    return out;
  }

  // Nothing received, and in place what is to be sent.
  void prepare() {
    for (std::size_t rank = 0; rank < gpus_->size(); ++rank) {
      Payload& payload = payloads_[rank];
      cuda_check(cudaSetDevice((*gpus_)[rank].device), "cudaSetDevice");
      if (problem_.in_place) {
        payload.buffer.copy_from_host(
            sent(rank, payload.buffer.bytes(), bytes_at(payload.layout.send_at)).data());
      } else {
        payload.buffer.fill_bytes(0xFF);
      }
    }
    cuda_check(cudaSetDevice(0), "cudaSetDevice");
  }

  void queue(std::size_t rank, int set) {
    using enum CollectiveKind;
    const Gpu& gpu = (*gpus_)[rank];
    const CollectiveLayout& layout = payloads_[rank].layout;
    const void* const send = send_of(rank, set);
    void* const receive = receive_of(rank, set);
    const ncclComm_t comm = gpu.communicator;
    cudaStream_t const stream = gpu.stream.get();
    const auto units = [&](std::int64_t elements) {  // of type_
      return static_cast<std::size_t>(type_ == ncclUint8 ? bytes_at(elements) : elements);
    };
    switch (problem_.what) {
      case all_reduce:
        return check(ncclAllReduce(send, receive, units(layout.send), type_, ncclSum, comm, stream),
                     "ncclAllReduce");
      case all_gather:
        return check(ncclAllGather(send, receive, units(layout.send), type_, comm, stream),
                     "ncclAllGather");
      case reduce_scatter:
        return check(
            ncclReduceScatter(send, receive, units(layout.receive), type_, ncclSum, comm, stream),
            "ncclReduceScatter");
      case broadcast:
        return check(ncclBroadcast(send, receive, units(layout.send), type_, 0, comm, stream),
                     "ncclBroadcast");
      case reduce:
        return check(ncclReduce(send, receive, units(layout.send), type_, ncclSum, 0, comm, stream),
                     "ncclReduce");
      case all_to_all:
      case all_to_all_v:
        for (std::size_t peer = 0; peer < layout.sections.size(); ++peer) {
          post(gpu, send, layout.sections[peer], static_cast<int>(peer), receive,
               layout.parts[peer].at, static_cast<int>(peer));
        }
        return;
      case send_recv:
        post(gpu, send, layout.sections.front(), (gpu.group.me + 1) % gpu.group.ranks(), receive,
             layout.parts.front().at, layout.parts.front().from);
        return;
    }
  }

  void post(const Gpu& gpu, const void* send, Piece sent, int to, void* receive, Piece got,
            int from) const {
    check(ncclSend(static_cast<const char*>(send) + bytes_at(sent.first),
                   static_cast<std::size_t>(bytes_at(sent.count)), ncclUint8, to, gpu.communicator,
                   gpu.stream.get()),
          "ncclSend");
    check(ncclRecv(static_cast<char*>(receive) + bytes_at(got.first),
                   static_cast<std::size_t>(bytes_at(got.count)), ncclUint8, from, gpu.communicator,
                   gpu.stream.get()),
          "ncclRecv");
  }

  std::vector<Gpu>* gpus_;
  CollectiveProblem problem_;
  std::uint64_t seed_;
  ncclDataType_t type_;
  int sets_ = 1;
  CudaEvent start_{false};
  std::vector<Payload> payloads_;  // by rank
};

class NcclWorld final : public World {
 public:
  NcclWorld(int count, const Split& split) : hosts_(static_cast<std::size_t>(count), host_name()) {
    for (int device = 0; device < count; ++device) {
      cuda_check(cudaSetDevice(device), "cudaSetDevice");
      gpus_.push_back({.device = device,
                       .group = group_of(split, hosts_, device),
                       .communicator = nullptr,
                       .stream = {}});
    }
    for (const Gpu& first : gpus_) {
      if (first.group.me != 0) continue;
      std::vector<ncclComm_t> communicators(first.group.members.size());
      check(ncclCommInitAll(communicators.data(), first.group.ranks(), first.group.members.data()),
            "ncclCommInitAll");
      for (std::size_t i = 0; i < communicators.size(); ++i) {
        gpus_[static_cast<std::size_t>(first.group.members[i])].communicator = communicators[i];
      }
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
  [[nodiscard]] const RankGroup& group() const override { return gpus_.front().group; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return hosts_; }
  std::vector<std::string> gather(const std::string& mine) override { return {mine}; }
  void barrier() override {}  // one process: nobody to wait for
  std::int64_t decide(std::int64_t value) override { return value; }
  std::vector<double> each(double value) override { return {value}; }
  std::int64_t total(std::int64_t value) override { return value; }
  bool all(bool value) override { return value; }
  std::unique_ptr<Operation> collective(std::string_view /*backend*/,
                                        const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    return std::make_unique<NcclCollective>(gpus_, problem, options);
  }

 private:
  std::vector<std::string> hosts_;
  std::vector<Gpu> gpus_;
};

}  // namespace

std::unique_ptr<World> make_nccl_world(const Split& split, int gpus) {
  if (const std::string reason = why_no_gpu(); !reason.empty()) throw Unavailable(reason);
  int count = 0;
  cuda_check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (count < 2)
    throw Unavailable("NCCL's collectives need 2 GPUs, this process sees " + std::to_string(count));
  if (gpus > count) {
    throw Unavailable(std::to_string(gpus) + " GPUs asked for, this process sees " +
                      std::to_string(count));
  }
  return std::make_unique<NcclWorld>(gpus == 0 ? count : gpus, split);
}

}  // namespace trainmeter

#else

namespace trainmeter {

std::unique_ptr<World> make_nccl_world(const Split& /*split*/, int /*gpus*/) {
  throw Unavailable("NCCL: not found when trainmeter was built");
}

}  // namespace trainmeter

#endif
