// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce between ranks that share memory: processes over a POSIX segment, or the
// threads of one process. Payloads stay private: they go block by block through a ring of each rank
// in the shared region, small enough to stay in the caches.
#pragma once

#include "kernels/allreduce_plan.hpp"
#include "kernels/block_ring.hpp"
#include "kernels/dtype.hpp"
#include "kernels/store_choice.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {

// What one rank does with the shared region. All ranks call the same functions in the same order.
// Each throws RankLost naming the rank that didn't come within the time-out, or that gave
// up; the group is of no use from then on.
class ShmGroup {
 public:
  static std::int64_t region_bytes(int ranks);

  // `region` begins at a page, holds region_bytes(ranks) zeros when the first rank attaches, and
  // outlives the group.
  ShmGroup(std::shared_ptr<void> region, int rank, int ranks, double timeout_s);

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int ranks() const { return ranks_; }

  // receive = the sum of all ranks' `send`, `count` elements each; the same bits on every rank.
  // `send` may be `receive`.
  void all_reduce(const void* send, void* receive, std::int64_t count, DType type,
                  const AllReducePlan& plan);
  // The other collectives, in steps: each rank writes its block, of at most kMostBlockBytes, and
  // when all have, reads anybody's. All get the step's number, `take` the blocks by rank.
  struct Put {
    std::function<std::int64_t(std::int64_t step)> bytes;
    std::function<void(std::int64_t step, char* to, bool past_caches)> write;
  };
  void exchange(std::int64_t steps, const Put& put,
                const std::function<void(std::int64_t, std::span<const char* const>)>& take);
  void barrier();
  std::vector<double> gather(double mine);  // every rank's, by rank
  std::vector<std::string> gather(const std::string& mine);

  [[nodiscard]] const StoreChoice& stores() const { return stores_; }  // of what it handed over

  void give_up();  // tells the others, who then throw

  // Of each rank of this group: what errors call it, where not its place here.
  struct Named {
    int rank;
    std::string host;
  };
  void set_names(std::vector<Named> names) { names_ = std::move(names); }

  // Of waiting: how often to look before letting other threads run. None where there are more ranks
  // than cores.
  void set_spins(int spins) { spins_ = spins; }

 private:
  struct Shared;     // at the region's begin
  struct RankState;  // one a rank behind it

  void publish();                     // all that was written before it is there to be read
  void wait_for(std::uint64_t step);  // until every rank has published it
  void wait_for(std::uint64_t step, int rank);
  void leave_if_lost(int rank, double waited_s);
  // Room for the next step's block: on this rank, and, since all ranks place the same, on all.
  char* place(std::int64_t bytes);
  [[nodiscard]] char* block_of(int rank, std::uint64_t step) const;
  // write(past_caches) writes a block of so many bytes, which the others may read then.
  template <class Write>
  void hand_over(std::int64_t bytes, const Write& write);

  struct Call;
  void one_shot(const Call& call);
  void two_shot(const Call& call);

  std::shared_ptr<void> region_;
  Shared* shared_ = nullptr;
  RankState* states_ = nullptr;
  char* rings_ = nullptr;
  int rank_;
  int ranks_;
  double timeout_s_;
  int spins_ = 2000;        // some tens of microseconds
  std::uint64_t step_ = 0;  // that this rank has published
  BlockRing ring_;
  StoreChoice stores_;
  std::vector<Named> names_;
  std::vector<const void*> arrays_;  // one a rank: what is added
};

}  // namespace trainmeter
