// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks of a shared-memory group as threads of one process.
#pragma once

#include "kernels/allreduce_shm.hpp"
#include "kernels/rounding.hpp"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace trainmeter {

inline std::shared_ptr<void> zeros_for(int ranks) {
  const std::int64_t bytes = round_up(ShmGroup::region_bytes(ranks), 4096);
  void* const region = std::aligned_alloc(4096, static_cast<std::size_t>(bytes));
  std::memset(region, 0, static_cast<std::size_t>(bytes));
  return {region, std::free};
}

// Runs `body` as each rank on a thread of its own; what each threw, or "".
inline std::vector<std::string> as_threads(int ranks, double timeout_s,
                                           const std::function<void(ShmGroup&)>& body) {
  const std::shared_ptr<void> region = zeros_for(ranks);
  std::vector<std::string> thrown(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      ShmGroup group(region, rank, ranks, timeout_s);
      group.set_spins(rank % 2 == 0 ? 100 : 0);
      try {
        body(group);
      } catch (const std::exception& error) {
        thrown[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return thrown;
}

}  // namespace trainmeter
