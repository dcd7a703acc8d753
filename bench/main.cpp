// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From the command line to a job, for each program.
#include "bench/main.hpp"

#include "bench/exclusive.hpp"
#include "bench/exit_code.hpp"
#include "bench/harness.hpp"
#include "bench/interrupt.hpp"
#include "bench/sentinel.hpp"
#include "kernels/cache_flush.hpp"
#include "kernels/launch.hpp"
#include "kernels/machine.hpp"
#include "kernels/telemetry.hpp"
#include "record/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

std::unique_ptr<Timer> timer_for(const Target& target, World* world) {
  return target.kind == DeviceKind::gpu ? make_gpu_timer() : make_cpu_timer(steady_clock(), world);
}

void require_alone(const Options& options, const Target& target) {
  if (!options.exclusive || options.google.list_tests) return;
  if (target.kind == DeviceKind::cpu) throw Unavailable("--exclusive: is of a GPU");
  require_exclusive(*gpu_telemetry(target.device.details.at("uuid")));
}

// What is done around every case's runs on this target, alone in one process.
Around around_for(const Options& options, const Target& target) {
  Around around;
  if (options.google.list_tests) return around;
  if (options.cache == "cold") {
    around.before_run = cache_flusher(target.kind, 2 * target.device.last_level_cache_bytes);
  }
  if (options.sentinel) {
    if (std::shared_ptr<Sentinel> sentinel = make_sentinel(target)) {
      around.probe = [sentinel] { return sentinel->probe(); };
    }
  }
  return around;
}

int device_program(Program program, const std::vector<std::string>& command,
                   CaseList (*cases)(const Options&, const Target&)) {
  Job job;
  job.options = read_options(program, command);
  if (job.options.help) {
    fmt::print("{}", job.options.help_text);
    return kFine;
  }
  catch_interrupts();
  job.interrupted_by = interrupted_by;
  job.target = choose_target(job.options.device);
  require_alone(job.options, job.target);
  if (job.options.search_s) {
    job.search = gemm_search(job.options, job.target);
  } else {
    job.list = cases(job.options, job.target);
  }
  job.timer = timer_for(job.target, nullptr);
  job.around = around_for(job.options, job.target);
  return run_job(std::move(job));
}

// The ranks of this run: null where cases are only listed. Before anything looks at the cores,
// which ranks of one host divide up.
std::unique_ptr<World> collective_world(const Options& options) {
  const Launch launch = launched();
  const bool several = launch.ranks > 1;
  if (several && options.device == "gpu") {
    throw BadInput("--device=gpu: one process drives all GPUs; start it without mpirun or srun");
  }
  if (options.google.list_tests) return nullptr;
  if (several) {
    return launch.by == Launch::By::mpi ? make_mpi_world() : make_local_world();
  }
  if (options.device != "cpu") {
    const std::string why_none = gpus().why_none;
    if (why_none.empty()) return make_nccl_world();
    if (options.device == "gpu") throw Unavailable("--device=gpu: " + why_none);
  }
  throw BadInput(
      "one process has nothing to reduce with: start it as mpirun -n 2 collective_bench");
}

void require_same_command(World& world, const std::vector<std::string>& command) {
  const std::string mine = fmt::format("{}", fmt::join(command.begin() + 1, command.end(), " "));
  const std::vector<std::string> all = world.gather(mine);
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw BadInput(fmt::format("rank {} has other arguments than rank 0: '{}', expected '{}'", rank,
                               all[rank], all[0]));
  }
}

// The nodes that the ranks are on, in order, with spaces between; empty where it is one.
std::string nodes_of(World& world) {
  const std::vector<std::string> all = world.gather(node_name());
  const std::set<std::string> nodes(all.begin(), all.end());
  return nodes.size() > 1 ? fmt::format("{}", fmt::join(nodes, " ")) : "";
}

// Leaving in order would wait for ranks that wait for this one.
[[noreturn]] void leave_at_once(World* world, const std::exception& error) {
  fmt::print(stderr, "collective_bench: {}\n", error.what());
  std::fflush(nullptr);
  if (world != nullptr) world->give_up();
  std::_Exit(kEnvironmentFailed);
}

int collective_program(const std::vector<std::string>& command) {
  Job job;
  job.options = read_options(Program::collective, command);
  if (job.options.help) {
    if (launched_rank() == 0) fmt::print("{}", job.options.help_text);
    return kFine;
  }
  catch_interrupts();
  job.interrupted_by = interrupted_by;
  if (job.options.google.list_tests && launched_rank() != 0) return kFine;
  std::unique_ptr<World> world;
  try {
    world = collective_world(job.options);
    if (world != nullptr) require_same_command(*world, command);
    job.target = choose_target(launched().ranks > 1 ? "cpu" : job.options.device);
    require_alone(job.options, job.target);
    job.list = collective_cases(job.options, job.target, world.get());
    if (world == nullptr) return run_job(std::move(job));
    if (const std::string nodes = nodes_of(*world); !nodes.empty()) {
      for (Case& one : job.list.cases) one.notes["hosts"] = nodes;
    }
    job.target.device.details["ranks_by"] = world->how();
    if (job.target.kind == DeviceKind::gpu) job.target.device.count = world->ranks();
    job.world = world.get();
    job.timer = timer_for(job.target, world.get());
    if (world->rank() == 0) fmt::print(stderr, "collective_bench: {}\n", world->how());
    return run_job(std::move(job));
  } catch (const OutOfStep& error) {
    leave_at_once(world.get(), error);
  } catch (const RankLost& error) {
    leave_at_once(world.get(), error);
  }
}

}  // namespace

int device_main(Program program, int argc, char** argv,
                CaseList (*cases)(const Options&, const Target&)) {
  return run_program(program_name(program), [&] {
    return device_program(program, {argv, argv + argc}, cases);
  });
}

int collective_main(int argc, char** argv) {
  return run_program(program_name(Program::collective), [&] {
    return collective_program({argv, argv + argc});
  });
}

}  // namespace trainmeter
