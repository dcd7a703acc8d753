// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a launch of a GEMM for Hopper works through: one product, or those of several groups, each a
// grid of tiles.
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/rounding.hpp"
#include "kernels/tile_schedule.hpp"

#include <cstdint>

namespace trainmeter::hopper {

// What L2 is told of lines, as createpolicy encodes it: CUTLASS, TMA::CacheHintSm90.
using CachePolicy = std::uint64_t;
constexpr CachePolicy kEvictNormally = 0x1000000000000000;
constexpr CachePolicy kEvictFirst = 0x12F0000000000000;

// The clusters' tiles of C, m x n, in each group.
template <class Config>
constexpr TileGrid grid_of(int m, int n, int groups) {
  // In 64 bits: a size and its tile may together be beyond 2^31.
  const auto tiles = [](std::int64_t size, std::int64_t of_tile) {
    return static_cast<int>(ceil_div(size, of_tile));
  };
  return {tiles(m, Config::kClusterRows), tiles(n, Config::kClusterColumns), groups};
}

// C and its operands as TMA sees them, {contiguous, other, group}, and how much there is to do. A
// tile of the grid is one cluster's: kBlocks tiles below or beside each other.
template <class TensorMap>
struct GemmTask {
  TensorMap a;
  TensorMap b;
  TensorMap c;
  TileGrid grid;
  int k_steps = 0;
  CachePolicy policy_of_c = kEvictNormally;
};

// A tile and the task that it belongs to.
template <class Task>
struct TileOfTask {
  const Task& task;
  TileAt tile;
};

// What a launch works through: one task, a parameter of the kernel,
template <class TaskType>
struct OneTask {
  using Task = TaskType;
  static constexpr bool kInMemory = false;
  const Task& task;

  TRAINMETER_DEVICE int tiles() const { return task.grid.count(); }
  TRAINMETER_DEVICE TileOfTask<Task> at(int index, int& /*from*/) const {
    return {task, tile_at(task.grid, index)};
  }
};

// or several, each with sizes of its own: experts, say. Those without tiles are passed over. Their
// tensor maps lie in global memory, where an earlier operation may have had others: each thread
// that has TMA use one acquires it first.
template <class TaskType>
struct TaskList {
  using Task = TaskType;
  static constexpr bool kInMemory = true;
  const Task* tasks = nullptr;
  const int* begins = nullptr;  // of each task, its first tile's index; then how many there are
  int count = 0;

  TRAINMETER_DEVICE int tiles() const { return begins[count]; }
  // `from`: the task of an earlier index, 0 before the first.
  TRAINMETER_DEVICE TileOfTask<Task> at(int index, int& from) const {
    while (index >= begins[from + 1]) ++from;
    return {tasks[from], tile_at(tasks[from].grid, index - begins[from])};
  }
};

}  // namespace trainmeter::hopper
