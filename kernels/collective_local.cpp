// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Processes of one host without MPI: they meet over TCP and work over shared memory.
#include "kernels/collective.hpp"
#include "kernels/collective_host.hpp"
#include "kernels/collective_shm.hpp"
#include "kernels/rank_cores.hpp"
#include "kernels/rendezvous.hpp"

#include <numeric>

namespace trainmeter {
namespace {

class LocalWorld final : public World {
 public:
  LocalWorld(const Launch& launch, const Split& split)
      : launch_(launch), rendezvous_(launch, rank_timeout_s()) {
    const Gather texts = [this](const std::string& mine) { return gather(mine); };
    here_ = take_own_cores(launch.rank, texts);
    members_ = group_of(split, here_.hosts, launch.rank);
    group_ = make_shm_group(launch.rank, launch.ranks, here_.crowded, texts);
    if (members_.groups > 1) part_ = make_shm_group(members_, here_.crowded, texts);
  }

  [[nodiscard]] int ranks() const override { return launch_.ranks; }
  [[nodiscard]] int rank() const override { return launch_.rank; }
  [[nodiscard]] std::string how() const override {
    const std::string by = launch_.by == Launch::By::slurm ? "Slurm" : "torchrun";
    return "TCP rendezvous by " + by + "'s variables, " + std::to_string(ranks()) + " processes";
  }
  [[nodiscard]] std::vector<std::string> backends() const override { return {"shm"}; }
  [[nodiscard]] const RankGroup& group() const override { return members_; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return here_.hosts; }

  std::vector<std::string> gather(const std::string& mine) override {
    return rendezvous_.gather(mine);
  }
  void barrier() override { group_->barrier(); }
  // Counts stay exact: they are far below 2^53.
  std::int64_t decide(std::int64_t value) override {
    return static_cast<std::int64_t>(group_->gather(static_cast<double>(value)).front());
  }
  std::vector<double> each(double value) override { return group_->gather(value); }
  std::int64_t total(std::int64_t value) override {
    const std::vector<double> all = group_->gather(static_cast<double>(value));
    return static_cast<std::int64_t>(std::accumulate(all.begin(), all.end(), 0.0));
  }
  bool all(bool value) override { return total(value ? 1 : 0) == ranks(); }
  void give_up() override {
    group_->give_up();
    if (part_ != nullptr) part_->give_up();
  }

  std::unique_ptr<Operation> collective(std::string_view /*backend*/,
                                        const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    ShmGroup& between = part_ == nullptr ? *group_ : *part_;
    return operations_.make(*this, here_.ranks, problem, options, shm_collective(between, problem));
  }

 private:
  Launch launch_;
  Rendezvous rendezvous_;
  RanksOnHost here_;
  RankGroup members_;
  std::unique_ptr<ShmGroup> group_;  // of all
  std::unique_ptr<ShmGroup> part_;   // of this rank's group, where they are several
  HostCollectives operations_;
};

}  // namespace

std::unique_ptr<World> make_local_world(const Split& split) {
  return std::make_unique<LocalWorld>(launched(), split);
}

}  // namespace trainmeter
