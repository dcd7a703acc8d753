// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce between GPUs of one process that reach each other's memory, or between virtual
// ranks of one GPU: the host's side of allreduce_peer_kernel.hpp.
#pragma once

#include "kernels/allreduce_plan.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/dtype.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trainmeter {

// Empty where the kernels add such numbers up.
std::string why_no_peer_sum(DType type);

// The ranks' flags and slots, for calls of one size. Rank r is on GPU devices[r]: each on one of
// its own, or all on the same.
class PeerGroup {
 public:
  // std::invalid_argument for less than 2 or more than kMostPeers ranks. Unavailable where a GPU
  // doesn't reach another one's memory, can't run the blocks of all its ranks at once, or the type
  // isn't added.
  PeerGroup(std::vector<int> devices, DType type, std::int64_t bytes, const PeerPlan& plan,
            double timeout_s);
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

  [[nodiscard]] int ranks() const { return static_cast<int>(devices_.size()); }
  [[nodiscard]] int blocks() const { return blocks_; }  // of each rank

 private:
  std::vector<int> devices_;
  std::int64_t count_;
  PeerPlan plan_;
  double timeout_s_;
  const void* kernel_;
  int blocks_ = 0;
  std::int64_t slot_packs_ = 0;
  std::vector<DeviceBuffer> states_, slots_;  // by rank
  int* lost_ = nullptr;                       // in the host's memory
};

}  // namespace trainmeter
