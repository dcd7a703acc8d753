// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all collectives share between ranks whose GPUs this process drives, which are all of a run
// or one of many: payloads, order, check. The backends are NCCL and our own over peer memory.
#pragma once

#include "kernels/collective.hpp"
#include "kernels/cuda_support.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

struct ncclComm;  // nccl.h

namespace trainmeter {

// Virtual ranks have one GPU; all that they do together is on the first one's stream.
struct GpuRank {
  int device = 0;
  RankGroup group;
  CudaStream stream;
  CudaEvent done{false};
};

// A collective on payloads of its own, the ranks' that outlive it.
class GpuCollective : public Operation {
 public:
  // `block`: of the payloads' memory, as DeviceBuffer has it.
  GpuCollective(const std::vector<GpuRank>& ranks, const CollectiveProblem& problem,
                const OperandOptions& options, std::int64_t block = 1);

  // Ordered by the first rank's stream on both sides, so that events on it time the whole
  // operation.
  void run(int set) final;
  Check verify() final;
  // The halves of verify(), around a run of one's own: nothing received in any set, and in place
  // what is to be sent; whether what `set` received since is right. Neither waits for a run.
  void prepare();
  [[nodiscard]] Check compare(int set);
  [[nodiscard]] int sets() const final { return sets_; }
  [[nodiscard]] void* stream() const final { return ranks_->front().stream.get(); }
  // An event that the other GPUs wait for, the backend's kernel, and a wait for each other GPU,
  // that is GPUs + 1; NCCL may order its streams by an event and a wait of its own.
  [[nodiscard]] int launches() const final { return 3 + gpus_; }

 protected:
  virtual void queue(int set) = 0;  // every rank's part on its stream
  virtual void require_done() {}    // throws where a run that is over failed

  [[nodiscard]] const std::vector<GpuRank>& ranks() const { return *ranks_; }
  [[nodiscard]] const CollectiveProblem& problem() const { return problem_; }
  [[nodiscard]] const CollectiveLayout& layout_of(std::size_t rank) const {
    return payloads_[rank].layout;
  }
  [[nodiscard]] const void* send_of(std::size_t rank, int set) const;
  [[nodiscard]] void* receive_of(std::size_t rank, int set) const;
  [[nodiscard]] std::int64_t bytes_at(std::int64_t elements) const {
    return elements * size_of(problem_.dtype);
  }

  // Where the first rank's payloads of all sets begin, what is sent and what is received: the same
  // in place.
  [[nodiscard]] std::pair<const void*, const void*> first_allocations() const;
  // Keeps the payloads' memory alive; nothing works after it.
  std::shared_ptr<void> release();

 private:
  // One rank's buffers.
  struct Payload {
    CollectiveLayout layout;
    DeviceOperand send_only, buffer;  // as HostPayloads has them: in place, both are in `buffer`
  };

  [[nodiscard]] std::int64_t bytes_of(std::int64_t elements) const;
  [[nodiscard]] std::int64_t buffer_bytes(const CollectiveLayout& layout) const;
  [[nodiscard]] std::vector<char> sent(std::size_t rank, std::int64_t bytes, std::int64_t at) const;
  [[nodiscard]] std::vector<char> received(std::size_t rank, int set) const;

  const std::vector<GpuRank>* ranks_;
  CollectiveProblem problem_;
  std::uint64_t seed_;
  int sets_ = 1;
  int gpus_ = 1;
  CudaEvent start_{false};
  std::vector<Payload> payloads_;  // by rank
};

// A backend between these ranks, which outlive it.
class GpuCollectives {
 public:
  virtual ~GpuCollectives() = default;
  // Unavailable where it doesn't have it.
  virtual std::unique_ptr<Operation> make(const CollectiveProblem& problem,
                                          const OperandOptions& options) = 0;
};

// Is given what queues work that other ranks have a part in, and calls it: who watches over ranks
// that hang knows of it then.
using Queued = std::function<void(const std::function<void()>&)>;

// By NCCL, with the communicator of each of these ranks.
std::unique_ptr<Operation> make_nccl_collective(const std::vector<GpuRank>& ranks,
                                                std::vector<ncclComm*> communicators, Queued queued,
                                                const CollectiveProblem& problem,
                                                const OperandOptions& options);

// Null where there is none: built without NCCL; GPUs that don't reach each other's memory, groups
// of ranks, or more ranks than our own is made for. `blocks`: thread blocks, and so SMs, that a
// rank has at most; 0: NCCL's choice, the plan's.
std::unique_ptr<GpuCollectives> make_nccl(const std::vector<GpuRank>& ranks, int blocks = 0);
std::unique_ptr<GpuCollectives> make_peer(const std::vector<GpuRank>& ranks, int blocks = 0);
// The same where this process has one rank, `mine`, of a run whose ranks are on `hosts`, and each
// other one has its own: each maps the others' memory (CUDA IPC). Collective; null where one can't.
std::unique_ptr<GpuCollectives> make_peer_ranks(const std::vector<GpuRank>& mine,
                                                const std::vector<std::string>& hosts,
                                                const Gather& gather, Queued queued);

}  // namespace trainmeter
