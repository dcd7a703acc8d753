// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The worlds of one process that drives GPUs: one rank on each, or virtual ranks on the first.
#include "kernels/allreduce_plan.hpp"
#include "kernels/collective_cuda.hpp"
#include "kernels/launch.hpp"

#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

class GpuWorld : public World {
 public:
  // The device of each rank.
  GpuWorld(const std::vector<int>& devices, const Split& split, std::string how)
      : hosts_(devices.size(), host_name()), how_(std::move(how)) {
    for (std::size_t rank = 0; rank < devices.size(); ++rank) {
      const OnDevice here(devices[rank]);
      ranks_.push_back({.device = devices[rank],
                        .group = group_of(split, hosts_, static_cast<int>(rank)),
                        .stream = {}});
    }
  }

  void add(const char* name, std::unique_ptr<GpuCollectives> backend) {
    if (backend != nullptr) backends_.emplace_back(name, std::move(backend));
  }
  [[nodiscard]] const std::vector<GpuRank>& gpu_ranks() const { return ranks_; }

  [[nodiscard]] int ranks() const override { return static_cast<int>(ranks_.size()); }
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] std::string how() const override { return how_; }
  [[nodiscard]] std::vector<std::string> backends() const override {
    std::vector<std::string> names;
    for (const auto& [name, backend] : backends_) names.push_back(name);
    return names;
  }
  [[nodiscard]] const RankGroup& group() const override { return ranks_.front().group; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return hosts_; }
  std::vector<std::string> gather(const std::string& mine) override { return {mine}; }
  void barrier() override {}  // one process: nobody to wait for
  std::int64_t decide(std::int64_t value) override { return value; }
  std::vector<double> each(double value) override { return {value}; }
  std::int64_t total(std::int64_t value) override { return value; }
  bool all(bool value) override { return value; }
  std::unique_ptr<Operation> collective(std::string_view backend, const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    for (const auto& [name, collectives] : backends_) {
      if (name == backend) return collectives->make(problem, options);
    }
    throw Unavailable(std::string(backend) + ": not between these ranks");
  }

 private:
  std::vector<std::string> hosts_;
  std::string how_;
  std::vector<GpuRank> ranks_;
  std::vector<std::pair<std::string, std::unique_ptr<GpuCollectives>>> backends_;  // use ranks_
};

}  // namespace

std::unique_ptr<World> make_gpu_world(const Split& split, int gpus) {
  if (const std::string reason = why_no_gpu(); !reason.empty()) throw Unavailable(reason);
  int count = 0;
  cuda_check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (count < 2) {
    throw Unavailable("collectives need 2 GPUs, this process sees " + std::to_string(count) +
                      "; --virtual_ranks tries our own all-reduce on one");
  }
  if (gpus > count) {
    throw Unavailable(std::to_string(gpus) + " GPUs asked for, this process sees " +
                      std::to_string(count));
  }
  std::vector<int> devices(static_cast<std::size_t>(gpus == 0 ? count : gpus));
  std::iota(devices.begin(), devices.end(), 0);
  const std::string how = "one process, " + std::to_string(devices.size()) + " GPUs";
  auto world = std::make_unique<GpuWorld>(devices, split, how);
  world->add("nccl", make_nccl(world->gpu_ranks()));
  world->add("peer", make_peer(world->gpu_ranks()));
  if (world->backends().empty()) {
    throw Unavailable("NCCL: not found when trainmeter was built; peer: needs GPUs, " +
                      std::to_string(kMostPeers) +
                      " at most and one group, that reach each other's memory");
  }
  return world;
}

std::unique_ptr<World> make_virtual_world(int ranks) {
  if (ranks < 2 || ranks > kMostPeers) {
    throw std::invalid_argument("virtual ranks are 2 to " + std::to_string(kMostPeers) + ", not " +
                                std::to_string(ranks));
  }
  if (const std::string reason = why_no_gpu(); !reason.empty()) throw Unavailable(reason);
  auto world = std::make_unique<GpuWorld>(
      std::vector<int>(static_cast<std::size_t>(ranks), 0), Split{},
      "one process, " + std::to_string(ranks) + " virtual ranks on a GPU");
  world->add("peer", make_peer(world->gpu_ranks()));
  return world;
}

}  // namespace trainmeter
