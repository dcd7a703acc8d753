// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the worlds of one host share: ranks in step over shared memory, whoever started them.
#pragma once

#include "kernels/collective_host.hpp"
#include "kernels/collective_shm.hpp"

#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {

class ShmWorld : public World {
 public:
  [[nodiscard]] int ranks() const override { return all_->ranks(); }
  [[nodiscard]] int rank() const override { return all_->rank(); }
  [[nodiscard]] std::vector<std::string> backends() const override { return {"shm"}; }
  [[nodiscard]] const RankGroup& group() const override { return members_; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return hosts_; }

  void barrier() override { all_->barrier(); }
  // Counts stay exact: they are far below 2^53.
  std::int64_t decide(std::int64_t value) override {
    return static_cast<std::int64_t>(all_->gather(static_cast<double>(value)).front());
  }
  std::vector<double> each(double value) override { return all_->gather(value); }
  std::int64_t total(std::int64_t value) override {
    const std::vector<double> values = all_->gather(static_cast<double>(value));
    return static_cast<std::int64_t>(std::accumulate(values.begin(), values.end(), 0.0));
  }
  bool all(bool value) override { return total(value ? 1 : 0) == ranks(); }
  void give_up() override {
    all_->give_up();
    if (part_ != nullptr) part_->give_up();
  }

  std::unique_ptr<Operation> collective(std::string_view /*backend*/,
                                        const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    ShmGroup& between = part_ == nullptr ? *all_ : *part_;
    return operation(problem, options, shm_collective(between, problem));
  }

 protected:
  // Before anything else is called: all ranks, the hosts of each, the group of this one's
  // collectives, and its memory where there are several groups.
  void take(std::unique_ptr<ShmGroup> all, std::vector<std::string> hosts, RankGroup members,
            std::unique_ptr<ShmGroup> part, int ranks_here) {
    all_ = std::move(all);
    hosts_ = std::move(hosts);
    members_ = std::move(members);
    part_ = std::move(part);
    ranks_here_ = ranks_here;
    std::vector<int> everyone(hosts_.size());
    std::iota(everyone.begin(), everyone.end(), 0);
    name_ranks(*all_, everyone, hosts_);
    if (part_ != nullptr) name_ranks(*part_, members_.members, hosts_);
  }
  // Collective. Of this world's backends, whichever runs it.
  std::unique_ptr<Operation> operation(const CollectiveProblem& problem,
                                       const OperandOptions& options, HostRun run) {
    return operations_.make(*this, ranks_here_, problem, options, std::move(run));
  }
  [[nodiscard]] ShmGroup& all_ranks() { return *all_; }

 private:
  std::unique_ptr<ShmGroup> all_;
  std::vector<std::string> hosts_;
  RankGroup members_;
  std::unique_ptr<ShmGroup> part_;
  int ranks_here_ = 1;
  HostCollectives operations_;
};

}  // namespace trainmeter
