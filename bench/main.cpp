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
#include "kernels/machine.hpp"
#include "kernels/telemetry.hpp"
#include "record/error.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
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

Target collective_target(const Options& options) {
  const bool several = ranks_started() > 1;
  if (several && options.device == "gpu") {
    throw BadInput("--device=gpu: one process drives all GPUs; start it without mpirun or srun");
  }
  Target target = choose_target(several ? "cpu" : options.device);
  if (target.kind == DeviceKind::cpu && !several && !options.google.list_tests) {
    throw BadInput(
        "one process has nothing to reduce with: start it as mpirun -n 2 collective_bench");
  }
  return target;
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
  job.target = collective_target(job.options);
  require_alone(job.options, job.target);
  if (job.options.google.list_tests) {
    if (launched_rank() != 0) return kFine;
    job.list = collective_cases(job.options, job.target, nullptr);
    return run_job(std::move(job));
  }
  const bool gpu = job.target.kind == DeviceKind::gpu;
  const std::unique_ptr<World> world = gpu ? make_nccl_world() : make_mpi_world();
  if (gpu) job.target.device.count = world->ranks();
  job.list = collective_cases(job.options, job.target, world.get());
  job.world = world.get();
  job.timer = timer_for(job.target, world.get());
  try {
    return run_job(std::move(job));
  } catch (const OutOfStep& error) {
    // Leaving in order would wait for ranks that wait for this one.
    fmt::print(stderr, "collective_bench: {}\n", error.what());
    std::fflush(nullptr);
    std::_Exit(kEnvironmentFailed);
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
