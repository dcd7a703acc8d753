// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce over peer memory as a backend.
#include "kernels/allreduce_cuda.hpp"
#include "kernels/collective_cuda.hpp"

#include <algorithm>
#include <string>

namespace trainmeter {
namespace {

PeerPlan bounded(PeerPlan plan, int blocks) {
  if (blocks > 0) plan.blocks = std::min(blocks, kMostPeerBlocks);
  return plan;
}

std::vector<int> devices_of(const std::vector<GpuRank>& ranks) {
  std::vector<int> devices(ranks.size());
  std::ranges::transform(ranks, devices.begin(), &GpuRank::device);
  return devices;
}

class PeerAllReduce final : public GpuCollective {
 public:
  PeerAllReduce(const std::vector<GpuRank>& ranks, const CollectiveProblem& problem,
                const OperandOptions& options, int blocks)
      : GpuCollective(ranks, problem, options),
        plan_(bounded(chosen_peer_plan(static_cast<int>(ranks.size()), problem.bytes), blocks)),
        group_(devices_of(ranks), problem.dtype, problem.bytes, plan_, rank_timeout_s()),
        send_(ranks.size()),
        receive_(ranks.size()) {}

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return {{"algorithm", std::string(to_string(plan_.algorithm)) + ", " +
                              std::to_string(group_.blocks()) + " thread blocks a rank"}};
  }

 private:
  // One launch a GPU, of all its ranks.
  void queue(int set) override {
    for (std::size_t rank = 0; rank < ranks().size(); ++rank) {
      send_[rank] = send_of(rank, set);
      receive_[rank] = receive_of(rank, set);
    }
    for (std::size_t first = 0; first < ranks().size();) {
      const GpuRank& rank = ranks()[first];
      std::size_t next = first + 1;
      while (next < ranks().size() && ranks()[next].device == rank.device) ++next;
      const OnDevice here(rank.device);
      group_.launch(static_cast<int>(first), static_cast<int>(next - first), send_, receive_,
                    rank.stream.get());
      first = next;
    }
  }
  void require_done() override { group_.check(); }

  PeerPlan plan_;
  PeerGroup group_;
  std::vector<const void*> send_;  // by rank, of the call being queued
  std::vector<void*> receive_;
};

class Peer final : public GpuCollectives {
 public:
  Peer(const std::vector<GpuRank>& ranks, int blocks) : ranks_(&ranks), blocks_(blocks) {}

  std::unique_ptr<Operation> make(const CollectiveProblem& problem,
                                  const OperandOptions& options) override {
    if (problem.what != CollectiveKind::all_reduce) {
      throw Unavailable("peer: allreduce alone, not " + std::string(to_string(problem.what)));
    }
    if (const std::string why = why_no_peer_sum(problem.dtype); !why.empty()) {
      throw Unavailable(why);
    }
    return std::make_unique<PeerAllReduce>(*ranks_, problem, options, blocks_);
  }

 private:
  const std::vector<GpuRank>* ranks_;
  int blocks_;
};

}  // namespace

std::unique_ptr<GpuCollectives> make_peer(const std::vector<GpuRank>& ranks, int blocks) {
  if (ranks.size() > kMostPeers || ranks.front().group.groups > 1) return nullptr;
  for (const GpuRank& from : ranks) {
    for (const GpuRank& to : ranks) {
      if (from.device != to.device && !reaches_peer(from.device, to.device)) return nullptr;
    }
  }
  return std::make_unique<Peer>(ranks, blocks);
}

}  // namespace trainmeter
