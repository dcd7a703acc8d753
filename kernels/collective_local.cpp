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
  explicit LocalWorld(const Launch& launch)
      : launch_(launch), rendezvous_(launch, rank_timeout_s()) {
    const Gather texts = [this](const std::string& mine) { return gather(mine); };
    const RanksOnHost here = take_own_cores(launch.rank, texts);
    take(make_shm_group(launch.rank, launch.ranks, here.crowded, texts), here.ranks);
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

std::unique_ptr<World> make_local_world() {
  return std::make_unique<LocalWorld>(launched());
}

}  // namespace trainmeter
