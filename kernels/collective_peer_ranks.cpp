// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce over peer memory where each rank is a process with a GPU: payloads, flags and
// slots are mapped by all.
#include "kernels/all_made.hpp"
#include "kernels/allreduce_cuda.hpp"
#include "kernels/collective_cuda.hpp"
#include "kernels/ipc_memory_cuda.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// Memory that was an operation's. CUDA wants others' mappings closed before it is freed; they are
// when all ranks have come to make the next operation.
using Retired = std::vector<std::shared_ptr<void>>;

class PeerRanksAllReduce final : public GpuCollective {
 public:
  PeerRanksAllReduce(const std::vector<GpuRank>& mine, const CollectiveProblem& problem,
                     const OperandOptions& options, std::shared_ptr<Retired> retired, Queued queued)
      : GpuCollective(mine, problem, options, kIpcBlock),
        retired_(std::move(retired)),
        queued_(std::move(queued)) {}

  ~PeerRanksAllReduce() override {
    others_.clear();
    if (group_) retired_->push_back(std::make_shared<std::vector<DeviceBuffer>>(group_->release()));
    retired_->push_back(release());
  }
  PeerRanksAllReduce(const PeerRanksAllReduce&) = delete;
  PeerRanksAllReduce& operator=(const PeerRanksAllReduce&) = delete;

  // What the others need to know of this rank's payloads.
  [[nodiscard]] std::string offered() const {
    const auto [sent, received] = first_allocations();
    return std::to_string(sets()) + " " + ipc_handle_of(sent) + " " + ipc_handle_of(received);
  }

  // Collective: by rank, what each offered.
  void connect(const std::vector<std::string>& offers, const Gather& gather) {
    const RankGroup& group = ranks().front().group;
    all_made(gather, [&] {
      for (std::size_t rank = 0; rank < offers.size(); ++rank) map(offers[rank], rank, group.me);
      return std::string();
    });
    const int count = group.ranks();
    plan_ = chosen_peer_plan(count, problem().bytes);
    group_ = std::make_unique<PeerGroup>(group.me, count, gather, problem().dtype, problem().bytes,
                                         plan_, rank_timeout_s());
  }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return {{"algorithm", std::string(to_string(plan_.algorithm)) + ", " +
                              std::to_string(group_->blocks()) + " thread blocks a rank"}};
  }

 private:
  // A rank's payloads begin at the same place in its allocations as this one's in its own.
  void map(const std::string& offer, std::size_t rank, int me) {
    const auto [sent, received] = first_allocations();
    std::istringstream words(offer);
    int sets_there = 0;
    std::string send, receive;
    words >> sets_there >> send >> receive;
    if (sets_there != sets()) {
      throw Unavailable("peer: ranks' GPUs have room for " + std::to_string(sets()) + " and " +
                        std::to_string(sets_there) + " sets of payloads");
    }
    if (static_cast<int>(rank) == me) {
      sends_.push_back(sent);
      receives_.push_back(received);
      return;
    }
    sends_.push_back(others_.emplace_back(send).data());
    receives_.push_back(problem().in_place ? sends_.back() : others_.emplace_back(receive).data());
  }

  void queue(int set) override {
    const auto [sent, received] = first_allocations();
    const auto offset = [](const void* of, const void* from) {
      return static_cast<const char*>(of) - static_cast<const char*>(from);
    };
    const auto to_send = offset(send_of(0, set), sent);
    const auto to_receive = offset(receive_of(0, set), received);
    std::vector<const void*> send;
    std::vector<void*> receive;
    for (std::size_t rank = 0; rank < sends_.size(); ++rank) {
      send.push_back(static_cast<const char*>(sends_[rank]) + to_send);
      receive.push_back(const_cast<char*>(static_cast<const char*>(receives_[rank])) + to_receive);
    }
    queued_([&] {
      group_->launch(ranks().front().group.me, 1, send, receive, ranks().front().stream.get());
    });
  }
  void require_done() override { group_->check(); }

  std::shared_ptr<Retired> retired_;
  Queued queued_;
  std::vector<IpcMemory> others_;
  std::vector<const void*> sends_, receives_;  // allocations, by rank
  PeerPlan plan_;
  std::unique_ptr<PeerGroup> group_;
};

// Two small allocations, as flags and slots may be: each says whose it is, and which.
class Trial {
 public:
  // Of rank `me`.
  explicit Trial(int me) {
    for (const int which : kBoth) {
      buffers_.emplace_back(1, kIpcBlock).fill_bytes(mark(me, which));
    }
  }
  [[nodiscard]] std::string offered() const {
    return ipc_handle_of(buffers_[0].data()) + " " + ipc_handle_of(buffers_[1].data());
  }
  // Throws where another rank's can't be mapped both at once, or aren't those.
  static void require_mapped(const std::string& offer, int rank) {
    std::istringstream words(offer);
    std::vector<IpcMemory> both;
    for (std::string handle; words >> handle;) both.emplace_back(handle);
    for (const int which : kBoth) {
      unsigned char found = 0;
      cuda_check(cudaMemcpy(&found, both.at(static_cast<std::size_t>(which)).data(), 1,
                            cudaMemcpyDeviceToHost),
                 "copy of another process's memory");
      if (found != mark(rank, which)) throw std::runtime_error("another memory is mapped");
    }
  }

 private:
  static constexpr int kBoth[] = {0, 1};
  static int mark(int rank, int which) { return 1 + 2 * rank + which; }

  std::vector<DeviceBuffer> buffers_;
};

class PeerRanks final : public GpuCollectives {
 public:
  PeerRanks(const std::vector<GpuRank>& mine, Gather gather, Queued queued)
      : mine_(&mine), gather_(std::move(gather)), queued_(std::move(queued)) {}

  std::unique_ptr<Operation> make(const CollectiveProblem& problem,
                                  const OperandOptions& options) override {
    if (problem.what != CollectiveKind::all_reduce)
      throw Unavailable("peer: allreduce alone, not " + std::string(to_string(problem.what)));
    if (const std::string why = why_no_peer_sum(problem.dtype); !why.empty())
      throw Unavailable(why);
    std::unique_ptr<PeerRanksAllReduce> made;
    const std::vector<std::string> offers = all_made(gather_, [&] {
      made = std::make_unique<PeerRanksAllReduce>(*mine_, problem, options, retired_, queued_);
      return made->offered();
    });
    retired_->clear();
    made->connect(offers, gather_);
    return made;
  }

 private:
  const std::vector<GpuRank>* mine_;
  Gather gather_;
  Queued queued_;
  std::shared_ptr<Retired> retired_ = std::make_shared<Retired>();
};

}  // namespace

std::unique_ptr<GpuCollectives> make_peer_ranks(const std::vector<GpuRank>& mine,
                                                const std::vector<std::string>& hosts,
                                                const Gather& gather, Queued queued) {
  const RankGroup& group = mine.front().group;
  const bool one_host =
      std::ranges::all_of(hosts, [&](const std::string& host) { return host == hosts.front(); });
  if (!one_host || group.groups > 1 || group.ranks() < 2 || kMostPeers < group.ranks())
    return nullptr;
  try {
    std::optional<Trial> trial;  // which outlives the others' mappings of it
    const std::vector<std::string> offers =
        all_made(gather, [&] { return trial.emplace(group.me).offered(); });
    all_made(gather, [&] {
      for (int rank = 0; rank < group.ranks(); ++rank) {
        if (rank != group.me) Trial::require_mapped(offers[static_cast<std::size_t>(rank)], rank);
      }
      return std::string();
    });
  } catch (const Unavailable&) {
    return nullptr;
  }
  return std::make_unique<PeerRanks>(mine, gather, std::move(queued));
}

}  // namespace trainmeter
