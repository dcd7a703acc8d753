// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From the command line to a job, for each program that measures one device from one process.
#include "bench/main.hpp"

#include "bench/agreement.hpp"
#include "bench/concurrent.hpp"
#include "bench/copies.hpp"
#include "bench/exit_code.hpp"
#include "bench/harness.hpp"
#include "bench/interrupt.hpp"
#include "bench/main_parts.hpp"
#include "bench/sentinel.hpp"
#include "kernels/cache_flush.hpp"
#include "kernels/collective.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

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

using Cases = CaseList (*)(const Options&, const Target&);

// One of the processes of --concurrent.
class OnOneDevice {
 public:
  OnOneDevice(const Options& options, const DeviceProcess& process)
      : world_(process.world), devices_(process.devices) {
    job_.options = options;
    job_.options.device = process.kind;
    job_.interrupted_by = interrupted_by;
  }

  int run(Cases cases) {
    try {
      const int code = done_by_all(
          world_, [&] { prepare(cases); },
          [&](std::size_t device) {
            return fmt::format("device {} ({})", device, devices_[device]);
          });
      if (code != kFine) return code;
      keep_common(world_, job_.list, "device");
      return run_job(std::move(job_));
    } catch (const OutOfStep& error) {
      leave_at_once(job_.options.program, &world_, error);
    } catch (const RankLost& error) {
      leave_at_once(job_.options.program, &world_, error);
    }
  }

 private:
  void prepare(Cases cases) {
    Target& target = job_.target = choose_target(job_.options.device);
    note_copies(target.device);
    require_alone(job_.options, target);
    if (target.kind == DeviceKind::cpu) target.memory_available_bytes /= world_.ranks();
    std::string& all = target.device.details["concurrent"];
    for (std::size_t device = 0; device < devices_.size(); ++device) {
      all += fmt::format("{}{}: {}", device == 0 ? "" : "; ", device, devices_[device]);
    }
    job_.list = cases(job_.options, target);
    job_.timer = timer_for(target, nullptr);
    job_.around = around_for(job_.options, target);
    job_.world = &world_;
    job_.devices = devices_;
  }

  Job job_;
  World& world_;
  const std::vector<std::string>& devices_;
};

int device_program(Program program, const std::vector<std::string>& command, Cases cases) {
  Job job;
  job.options = read_options(program, command);
  if (job.options.help) {
    fmt::print("{}", job.options.help_text);
    return kFine;
  }
  refuse(timeout_mistake());
  if (const std::string copies = warning_of_copies(job.options); !copies.empty())
    fmt::print(stderr, "{}\n", copies);
  catch_interrupts();
  if (job.options.concurrent && !job.options.google.list_tests) {
    return on_each_device(job.options, [&](const DeviceProcess& process) {
      return OnOneDevice(job.options, process).run(cases);
    });
  }
  job.interrupted_by = interrupted_by;
  job.target = choose_target(job.options.device);
  note_copies(job.target.device);
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

}  // namespace

int device_main(Program program, int argc, char** argv,
                CaseList (*cases)(const Options&, const Target&)) {
  return run_program(program_name(program), [&] {
    return device_program(program, {argv, argv + argc}, cases);
  });
}

}  // namespace trainmeter
