// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the worlds of one host share: ranks in step over shared memory, whoever started them.
#pragma once

#include "kernels/collective_host.hpp"
#include "kernels/collective_shm.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

namespace trainmeter {

class ShmWorld : public World {
 public:
  [[nodiscard]] int ranks() const override { return group_->ranks(); }
  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] std::vector<std::string> backends() const override { return {"shm"}; }

  void barrier() override { group_->barrier(); }
  // Counts stay exact: they are far below 2^53.
  std::int64_t decide(std::int64_t value) override {
    return static_cast<std::int64_t>(group_->gather(static_cast<double>(value)).front());
  }
  double slowest(double seconds) override { return std::ranges::max(group_->gather(seconds)); }
  std::int64_t total(std::int64_t value) override {
    const std::vector<double> all = group_->gather(static_cast<double>(value));
    return static_cast<std::int64_t>(std::accumulate(all.begin(), all.end(), 0.0));
  }
  bool all(bool value) override { return total(value ? 1 : 0) == ranks(); }
  void give_up() override { group_->give_up(); }

  std::unique_ptr<Operation> all_reduce(std::string_view /*backend*/,
                                        const AllReduceProblem& problem,
                                        const OperandOptions& options) override {
    return operations_.make(*this, ranks_here_, problem, options, shm_all_reduce(*group_, problem));
  }

 protected:
  // Before anything else is called.
  void take(std::unique_ptr<ShmGroup> group, int ranks_here) {
    group_ = std::move(group);
    ranks_here_ = ranks_here;
  }
  [[nodiscard]] ShmGroup& group() { return *group_; }

 private:
  std::unique_ptr<ShmGroup> group_;
  int ranks_here_ = 1;
  HostAllReduces operations_;
};

}  // namespace trainmeter
