// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A world over memory that was mapped before the fork.
#include "kernels/collective_forked.hpp"

#include "kernels/collective_shm_world.hpp"
#include "kernels/launch.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kPatience = 10;

class ForkedWorld final : public ShmWorld {
 public:
  ForkedWorld(std::shared_ptr<void> region, int rank, int ranks) {
    std::vector<std::string> hosts(static_cast<std::size_t>(ranks), node_name());
    RankGroup all = group_of({}, hosts, rank);
    take(std::make_unique<ShmGroup>(std::move(region), rank, ranks, kPatience * rank_timeout_s()),
         std::move(hosts), std::move(all), nullptr, ranks);
  }
  [[nodiscard]] std::string how() const override {
    return std::to_string(ranks()) + " processes of this program";
  }
  std::vector<std::string> gather(const std::string& mine) override {
    return all_ranks().gather(mine);
  }
};

}  // namespace

std::shared_ptr<void> shared_with_children(std::int64_t bytes) {
  const auto length = static_cast<std::size_t>(bytes);
  void* const at =
      ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw Unavailable(std::string("shared memory: ") + std::strerror(errno));
  return {at, [length](void* mapped) { ::munmap(mapped, length); }};
}

std::int64_t forked_world_bytes(int ranks) {
  return ShmGroup::region_bytes(ranks);
}

std::unique_ptr<World> make_forked_world(std::shared_ptr<void> region, int rank, int ranks) {
  return std::make_unique<ForkedWorld>(std::move(region), rank, ranks);
}

}  // namespace trainmeter
