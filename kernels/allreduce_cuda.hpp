// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce between GPUs that reach each other's memory, driven by one process or by one
// each, or between virtual ranks of one GPU: the host's side of allreduce_peer_kernel.hpp.
#pragma once

#include "kernels/allreduce_plan.hpp"
#include "kernels/collective.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/dtype.hpp"
#include "kernels/ipc_memory_cuda.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trainmeter {

// Empty where the kernels add such numbers up.
std::string why_no_peer_sum(DType type);

// The ranks' flags and slots, for calls of one size.
class PeerGroup {
 public:
  // All ranks are this process's: rank r on GPU devices[r], each on one of its own, or all on the
  // same. std::invalid_argument for less than 2 or more than kMostPeers ranks. Unavailable where a
  // GPU doesn't reach another one's memory, can't run the blocks of all its ranks at once, or the
  // type isn't added.
  PeerGroup(std::vector<int> devices, DType type, std::int64_t bytes, const PeerPlan& plan,
            double timeout_s);
  // Rank `me`, on the current device; the others are other processes' of this host. Collective, and
  // so is what it throws.
  PeerGroup(int me, int ranks, const Gather& gather, DType type, std::int64_t bytes,
            const PeerPlan& plan, double timeout_s);
  ~PeerGroup();
  PeerGroup(const PeerGroup&) = delete;  // GPUs hold its addresses
  PeerGroup& operator=(const PeerGroup&) = delete;

  // Queues the call of ranks [first, first + count), all on the current device. Every rank has to
  // be queued, in whatever order, before one of them can end. `send` and `receive` by rank, all
  // ranks'; multiples of 16 bytes, else std::invalid_argument. Throws as check().
  void launch(int first, int count, std::span<const void* const> send,
              std::span<void* const> receive, cudaStream_t stream);

  // RankLost, naming it, where a rank didn't come within the time-out in any call that is over.
  void check() const;

  [[nodiscard]] int ranks() const { return static_cast<int>(who_.size()); }
  [[nodiscard]] int blocks() const { return blocks_; }  // of each rank

  // What other processes may have mapped, which has to live until they no longer do.
  std::vector<DeviceBuffer> release();

 private:
  PeerGroup(std::vector<std::string> who, DType type, std::int64_t bytes, const PeerPlan& plan,
            double timeout_s);
  // Flags and slots of a rank on the current device, in such blocks as DeviceBuffer has them.
  void allot(std::int64_t block = 1);
  void set_blocks(std::int64_t bytes, int resident);

  std::vector<std::string> who_;  // a rank is, in a message
  std::int64_t count_;
  PeerPlan plan_;
  double timeout_s_;
  const void* kernel_;
  int blocks_ = 0;
  std::int64_t slot_packs_ = 0;
  std::vector<DeviceBuffer> own_states_, own_slots_;  // of this process's ranks
  std::vector<IpcMemory> others_;
  std::vector<void*> states_, slots_;  // by rank; no slots where the plan needs none
  int* lost_ = nullptr;                // in the host's memory
};

}  // namespace trainmeter
