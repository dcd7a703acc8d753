// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Processes of one host without MPI: they meet over TCP and work over shared memory.
#include "kernels/collective_shm_world.hpp"
#include "kernels/rank_cores.hpp"
#include "kernels/rendezvous.hpp"

namespace trainmeter {
namespace {

class LocalWorld final : public ShmWorld {
 public:
  LocalWorld(const Launch& launch, const Split& split)
      : launch_(launch), rendezvous_(launch, rank_timeout_s()) {
    const Gather texts = [this](const std::string& mine) { return gather(mine); };
    RanksOnHost here = take_own_cores(launch.rank, texts);
    RankGroup members = group_of(split, here.hosts, launch.rank);
    auto all = make_shm_group(launch.rank, launch.ranks, here.crowded, texts);
    auto part = members.groups > 1 ? make_shm_group(members, here.crowded, texts) : nullptr;
    take(std::move(all), std::move(here.hosts), std::move(members), std::move(part), here.ranks);
  }

  [[nodiscard]] std::string how() const override {
    const std::string by = launch_.by == Launch::By::slurm ? "Slurm" : "torchrun";
    return "TCP rendezvous by " + by + "'s variables, " + std::to_string(ranks()) + " processes";
  }
  std::vector<std::string> gather(const std::string& mine) override {
    return rendezvous_.gather(mine);
  }

 private:
  Launch launch_;
  Rendezvous rendezvous_;
};

}  // namespace

std::unique_ptr<World> make_local_world(const Split& split) {
  return std::make_unique<LocalWorld>(launched(), split);
}

}  // namespace trainmeter
