// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NCCL's collectives between GPUs, by the process that drives them all or by each rank's own.
#include "kernels/collective_cuda.hpp"

#if TRAINMETER_HAS_NCCL

#include <nccl.h>

#include <stdexcept>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

void check(ncclResult_t result, const char* what) {
  if (result == ncclSuccess || result == ncclInProgress) return;  // whoever queues asks again
  throw std::runtime_error(std::string(what) + ": " + ncclGetErrorString(result));
}

// Since NCCL 2.24, on GPUs of compute capability 9.0 and later.
ncclDataType_t fp8_type(DType type) {
#if NCCL_VERSION_CODE >= 22400
  constexpr int kFirstWithFp8 = 22400;
  int version = 0;
  check(ncclGetVersion(&version), "ncclGetVersion");
  if (version >= kFirstWithFp8 && device_attribute(cudaDevAttrComputeCapabilityMajor) >= 9) {
    return type == DType::fp8 ? ncclFloat8e4m3 : ncclFloat8e5m2;
  }
#endif
  throw Unavailable("NCCL: sums in " + std::string(to_string(type)) +
                    " need NCCL 2.24 (built with, and here), and compute capability 9.0");
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
    case DType::fp8:
    case DType::fp8_e5m2:
      return fp8_type(problem.dtype);
    default:
      throw Unavailable("NCCL: sums in " + std::string(to_string(problem.dtype)) +
                        " are not built in");
  }
}

class NcclCollective final : public GpuCollective {
 public:
  NcclCollective(const std::vector<GpuRank>& ranks, std::vector<ncclComm_t> communicators,
                 Queued how, const CollectiveProblem& problem, const OperandOptions& options)
      : GpuCollective(ranks, problem, options),
        communicators_(std::move(communicators)),
        how_(std::move(how)),
        type_(nccl_type(problem)) {}

 private:
  void queue(int set) override {
    how_([&] {
      check(ncclGroupStart(), "ncclGroupStart");
      try {
        for (std::size_t rank = 0; rank < ranks().size(); ++rank) queue(rank, set);
      } catch (...) {
        (void)ncclGroupEnd();  // or whatever this thread calls next would only join the group
        throw;
      }
      check(ncclGroupEnd(), "ncclGroupEnd");
    });
  }

  void queue(std::size_t rank, int set) {
    using enum CollectiveKind;
    const CollectiveLayout& layout = layout_of(rank);
    const void* const send = send_of(rank, set);
    void* const receive = receive_of(rank, set);
    const RankGroup& group = ranks()[rank].group;
    const ncclComm_t comm = communicators_[rank];
    cudaStream_t const stream = ranks()[rank].stream.get();
    const auto units = [&](std::int64_t elements) {  // of type_
      return static_cast<std::size_t>(type_ == ncclUint8 ? bytes_at(elements) : elements);
    };
    switch (problem().what) {
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
          post(rank, send, layout.sections[peer], static_cast<int>(peer), receive,
               layout.parts[peer].at, static_cast<int>(peer));
        }
        return;
      case send_recv:
        post(rank, send, layout.sections.front(), (group.me + 1) % group.ranks(), receive,
             layout.parts.front().at, layout.parts.front().from);
        return;
    }
  }

  void post(std::size_t rank, const void* send, Piece sent, int to, void* receive, Piece got,
            int from) const {
    const ncclComm_t comm = communicators_[rank];
    cudaStream_t const stream = ranks()[rank].stream.get();
    check(ncclSend(static_cast<const char*>(send) + bytes_at(sent.first),
                   static_cast<std::size_t>(bytes_at(sent.count)), ncclUint8, to, comm, stream),
          "ncclSend");
    check(ncclRecv(static_cast<char*>(receive) + bytes_at(got.first),
                   static_cast<std::size_t>(bytes_at(got.count)), ncclUint8, from, comm, stream),
          "ncclRecv");
  }

  std::vector<ncclComm_t> communicators_;  // by rank
  Queued how_;
  ncclDataType_t type_;
};

// One process, all at once, with at most so many thread blocks each.
void join(std::vector<ncclComm_t>& made, const std::vector<int>& devices, int blocks) {
#if NCCL_VERSION_CODE >= 21700
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.minCTAs = 1;
  config.maxCTAs = blocks;
  ncclUniqueId id{};
  check(ncclGetUniqueId(&id), "ncclGetUniqueId");
  check(ncclGroupStart(), "ncclGroupStart");
  for (std::size_t i = 0; i < made.size(); ++i) {
    const OnDevice here(devices[i]);
    check(ncclCommInitRankConfig(&made[i], static_cast<int>(made.size()), id, static_cast<int>(i),
                                 &config),
          "ncclCommInitRankConfig");
  }
  check(ncclGroupEnd(), "ncclGroupEnd");
#else
  throw Unavailable("NCCL: thread blocks are bounded since 2.17 (maxCTAs)");
#endif
}

class Nccl final : public GpuCollectives {
 public:
  Nccl(const std::vector<GpuRank>& ranks, int blocks)
      : ranks_(&ranks), communicators_(ranks.size()) {
    for (const GpuRank& first : ranks) {
      if (first.group.me != 0) continue;
      std::vector<int> devices;
      for (const int member : first.group.members) {
        devices.push_back(ranks[static_cast<std::size_t>(member)].device);
      }
      std::vector<ncclComm_t> made(devices.size());
      blocks > 0 ? join(made, devices, blocks)
                 : check(ncclCommInitAll(made.data(), first.group.ranks(), devices.data()),
                         "ncclCommInitAll");
      for (std::size_t i = 0; i < made.size(); ++i) {
        communicators_[static_cast<std::size_t>(first.group.members[i])] = made[i];
      }
    }
  }
  ~Nccl() override {
    for (ncclComm_t communicator : communicators_) (void)ncclCommDestroy(communicator);
  }

  std::unique_ptr<Operation> make(const CollectiveProblem& problem,
                                  const OperandOptions& options) override {
    return make_nccl_collective(
        *ranks_, communicators_, [](const std::function<void()>& calls) { calls(); }, problem,
        options);
  }

 private:
  const std::vector<GpuRank>* ranks_;
  std::vector<ncclComm_t> communicators_;  // by rank
};

}  // namespace

std::unique_ptr<Operation> make_nccl_collective(const std::vector<GpuRank>& ranks,
                                                std::vector<ncclComm*> communicators, Queued queued,
                                                const CollectiveProblem& problem,
                                                const OperandOptions& options) {
  const bool exchanges = problem.what == CollectiveKind::all_to_all ||
                         problem.what == CollectiveKind::all_to_all_v ||
                         problem.what == CollectiveKind::send_recv;
  if (problem.in_place && exchanges) {
    throw Unavailable("NCCL: " + std::string(to_string(problem.what)) + " can't work in place");
  }
  return std::make_unique<NcclCollective>(ranks, std::move(communicators), std::move(queued),
                                          problem, options);
}

std::unique_ptr<GpuCollectives> make_nccl(const std::vector<GpuRank>& ranks, int blocks) {
  return std::make_unique<Nccl>(ranks, blocks);
}

}  // namespace trainmeter

#else

namespace trainmeter {

std::unique_ptr<GpuCollectives> make_nccl(const std::vector<GpuRank>& /*ranks*/, int /*blocks*/) {
  return nullptr;
}

}  // namespace trainmeter

#endif
