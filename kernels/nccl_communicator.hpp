// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NCCL between processes: an id handed round by whatever brought the ranks together, and a
// communicator that doesn't wait for ever. Only in builds with NCCL.
#pragma once

#include "kernels/collective.hpp"

#include <mutex>

struct ncclComm;  // nccl.h

namespace trainmeter {

class NcclCommunicator {
 public:
  // Collective over all ranks of `gather`: each group connects by an id of its first member, on the
  // current device. RankLost where it takes longer than `timeout_s`, or NCCL fails.
  NcclCommunicator(const RankGroup& group, const Gather& gather, double timeout_s);
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;  // owns it
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  [[nodiscard]] ncclComm* get() const { return communicator_; }
  // After each operation, or group of them, that was queued: waits until NCCL has taken it, which
  // the first one takes longer for, since only then connections are made. RankLost as above.
  void settle();
  // What failed by itself meanwhile: "NCCL: remote process exited ...", "" for nothing.
  [[nodiscard]] std::string failure() const;
  void abort();  // kernels that wait end; from any thread, once or more often

 private:
  double timeout_s_;
  mutable std::mutex mutex_;  // of the handle's end
  bool ended_ = false;
  ncclComm* communicator_ = nullptr;
};

}  // namespace trainmeter
