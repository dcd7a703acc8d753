// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From the command line to a job, for collective_bench: who the ranks are, and what is to be
// expected of them.
#include "bench/agreement.hpp"
#include "bench/exit_code.hpp"
#include "bench/expected.hpp"
#include "bench/harness.hpp"
#include "bench/interrupt.hpp"
#include "bench/main.hpp"
#include "bench/main_parts.hpp"
#include "bench/numbers.hpp"
#include "bench/session.hpp"
#include "kernels/allreduce_plan.hpp"
#include "kernels/collective.hpp"
#include "kernels/launch.hpp"
#include "kernels/machine.hpp"
#include "kernels/telemetry.hpp"
#include "record/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

// Whether each of several processes drives a GPU; auto: where this one sees any.
bool on_gpus(const Options& options) {
  return options.device == "gpu" || (options.device == "auto" && gpus().why_none.empty());
}

constexpr const char* kAlone =  // wrong on every machine, but where its GPUs could be the ranks
    "one process has nobody to exchange with: start it as mpirun -n 2 collective_bench";

// The ranks of this run: null where cases are only listed. Before anything looks at the cores,
// which ranks of one host divide up.
std::unique_ptr<World> collective_world(const Options& options) {
  refuse(launch_mistake());
  const Launch launch = launched();
  const bool several = launch.ranks > 1;
  const int virtual_ranks = options.collective.virtual_ranks;
  if (virtual_ranks > 0 && (several || options.device == "cpu")) {
    throw BadInput("--virtual_ranks: expected one process with a GPU");
  }
  if (options.google.list_tests) return nullptr;
  refuse(plan_mistake(virtual_ranks > 0 || on_gpus(options)));
  if (virtual_ranks > 0) return make_virtual_world(virtual_ranks);
  const Split& split = options.collective.split;
  if (several) {
    if (options.collective.gpus > 1) {
      throw Unavailable(
          fmt::format("-g {}: of several processes each is one rank, with one GPU at "
                      "most",
                      options.collective.gpus));
    }
    note_meeting();
    const Leave leave = [](const RankLost& error) {
      leave_at_once(Program::collective, nullptr, error);
    };
    if (on_gpus(options)) return make_nccl_world(split, leave, interrupted_by);
    if (launch.by == Launch::By::mpi) return make_mpi_world(split, leave);
    return make_local_world(split, interrupted_by);
  }
  if (options.device != "cpu") {
    const std::string why_none = gpus().why_none;
    if (why_none.empty()) return make_gpu_world(split, options.collective.gpus);
    if (options.device == "gpu") throw Unavailable("--device=gpu: " + why_none);
    throw Unavailable(fmt::format("{}; {}", why_none, kAlone));
  }
  throw BadInput(kAlone);
}

// What ranks must have in common, or they do different things at the same time.
void require_same_command(World& world, const std::vector<std::string>& command) {
  const std::vector<std::pair<const char*, std::string>> mine = {
      {"version", std::string(program_version())},
      {"arguments", fmt::format("{}", fmt::join(command.begin() + 1, command.end(), " "))},
      {"TRAINMETER_ALLREDUCE_PLAN", plan_of_environment()}};
  for (const auto& [what, text] : mine) {
    const std::vector<std::string> all = world.gather(text);
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
      if (all[rank] == all[0]) continue;
      throw BadInput(fmt::format("rank {} has other {} than rank 0: '{}', expected '{}'", rank,
                                 what, all[rank], all[0]));
    }
  }
}

// Which group this process' is, counted by first members: neighbours, or one of every host.
int group_number(const RankGroup& group) {
  const int first = group.members.front();
  return group.members.back() - first == group.ranks() - 1 ? first / group.ranks() : first;
}

// Every rank's line; of a process that drives several GPUs one for each. Collective.
std::vector<std::string> device_lines(World& world, const Target& target) {
  std::string mine;
  const bool gpus_of_one = target.kind == DeviceKind::gpu && launched().ranks == 1;
  const int first = world.rank();
  const int last = gpus_of_one ? world.ranks() - 1 : first;
  for (int rank = first; rank <= last; ++rank) {
    const int group = gpus_of_one ? rank / world.group().ranks() : group_number(world.group());
    mine +=
        nccl_tests_device(rank, group, ::getpid(), world.hosts()[static_cast<std::size_t>(rank)],
                          gpus_of_one ? rank : world.gpu(), target.device.name);
  }
  return world.gather(mine);
}

// GB/s of the bus that the mean must reach (nine tenths of it, as there); below 0: none was asked
// for.
double least_bandwidth() {
  constexpr const char* kVariable = "NCCL_TESTS_MIN_BW";
  const char* const text = std::getenv(kVariable);
  if (text == nullptr || *text == '\0') return -1;
  return parse_non_negative(kVariable, text);
}

// The job with nccl-tests' text around it.
int run_as_nccl_tests(Job job) {
  if (job.list.cases.empty()) return run_job(std::move(job));  // which says why
  World& world = *job.world;
  const std::vector<std::string> devices = device_lines(world, job.target);
  if (world.rank() != 0) return run_job(std::move(job));
  const Options options = job.options;
  NcclTestsTable table(options, job.list.cases.front().backend + ": " + world.how(),
                       [](const std::string& text) {
                         fmt::print("{}", text);
                         std::fflush(stdout);
                       });
  table.begin(devices);
  job.table = &table;
  const int code = run_job(std::move(job));
  const bool good = table.end(least_bandwidth());
  return code == kFine && !good ? kCheckFailed : code;
}

// The nodes that the ranks are on, in order, with spaces between; empty where it is one.
std::string nodes_of(World& world) {
  const std::vector<std::string> all = world.gather(node_name());
  const std::set<std::string> nodes(all.begin(), all.end());
  return nodes.size() > 1 ? fmt::format("{}", fmt::join(nodes, " ")) : "";
}

// What is to be expected of each case, from where: of ranks between GPUs; between CPUs nothing is.
void expect(World& world, Job& job) {
  const bool gpu = job.target.kind == DeviceKind::gpu;
  const DeviceState state =
      gpu ? gpu_telemetry(job.target.device.details.at("uuid"))->state() : DeviceState{};
  const ExpectedLinks links = expected_links(job.target, state, job.options.collective.system);
  job.target.device.details["expected"] = links.from;
  if (!gpu) return;
  for (Case& one : job.list.cases) {
    note_expected(links, of_members(world.group(), world.hosts()), one);
  }
  if (world.rank() == 0) fmt::print(stderr, "collective_bench: expected: {}\n", links.from);
}

int collective_program(const std::vector<std::string>& command) {
  Job job;
  job.options = read_options(Program::collective, command);
  if (job.options.help) {
    if (launched_rank() == 0) fmt::print("{}", job.options.help_text);
    return kFine;
  }
  refuse(timeout_mistake());
  if (job.options.collective.nccl_tests) (void)least_bandwidth();
  catch_interrupts();
  job.interrupted_by = interrupted_by;
  if (job.options.google.list_tests && launched_rank() != 0) return kFine;
  std::unique_ptr<World> world;
  try {
    try {
      world = collective_world(job.options);
    } catch (const std::invalid_argument& error) {
      throw BadInput(
          fmt::format("--split={}: {}", job.options.collective.split_text, error.what()));
    }
    if (world != nullptr) require_same_command(*world, command);
    const auto prepare = [&] {
      require_known_system(job.options.collective.system);
      const bool several = launched().ranks > 1;
      const std::string kind = several && !on_gpus(job.options) ? "cpu" : job.options.device;
      job.target = choose_target(kind, world == nullptr ? 0 : world->gpu());
      require_alone(job.options, job.target);
      job.list = collective_cases(job.options, job.target, world.get());
      if (world == nullptr) return;
      expect(*world, job);
      // One process can't tell its GPUs' times apart.
      const bool one_for_all = job.target.kind == DeviceKind::gpu && !several;
      job.timer = timer_for(job.target, one_for_all ? nullptr : world.get());
    };
    if (world == nullptr) {
      prepare();
      return run_job(std::move(job));
    }
    const int code = done_by_all(*world, prepare, [&](std::size_t rank) {
      return fmt::format("rank {} (host {})", rank, world->hosts()[rank]);
    });
    if (code != kFine) return code;
    keep_common(*world, job.list, "rank");
    if (const std::string nodes = nodes_of(*world); !nodes.empty()) {
      for (Case& one : job.list.cases) one.notes["hosts"] = nodes;
    }
    job.target.device.details["ranks_by"] = world->how();
    if (world->group().groups > 1) {
      job.target.device.details["split"] =
          fmt::format("{} groups of {}, by {}", world->group().groups, world->group().ranks(),
                      job.options.collective.split_text);
    }
    if (job.target.kind == DeviceKind::gpu && job.options.collective.virtual_ranks == 0) {
      job.target.device.count = world->ranks();
    }
    job.world = world.get();
    if (world->rank() == 0) fmt::print(stderr, "collective_bench: {}\n", world->how());
    if (job.options.collective.nccl_tests) return run_as_nccl_tests(std::move(job));
    return run_job(std::move(job));
  } catch (const OutOfStep& error) {
    leave_at_once(Program::collective, world.get(), error);
  } catch (const RankLost& error) {
    leave_at_once(Program::collective, world.get(), error);
  } catch (const Interrupted& interrupted) {
    if (launched_rank() == 0) fmt::print(stderr, "collective_bench: {}\n", interrupted.what());
    return 128 + interrupted.signal;
  }
}

}  // namespace

int collective_main(int argc, char** argv) {
  return run_program(program_name(Program::collective), [&] {
    return collective_program({argv, argv + argc});
  });
}

}  // namespace trainmeter
