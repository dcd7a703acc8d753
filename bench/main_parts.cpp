// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Timers, refusals, and the way out for ranks that can't leave in order.
#include "bench/main_parts.hpp"

#include "bench/exclusive.hpp"
#include "bench/exit_code.hpp"
#include "bench/session.hpp"
#include "kernels/telemetry.hpp"
#include "record/error.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace trainmeter {

std::unique_ptr<Timer> timer_for(const Target& target, World* world) {
  return target.kind == DeviceKind::gpu ? make_gpu_timer(world)
                                        : make_cpu_timer(steady_clock(), world);
}

void require_alone(const Options& options, const Target& target) {
  if (!options.exclusive || options.google.list_tests) return;
  if (target.kind == DeviceKind::cpu) throw Unavailable("--exclusive: is of a GPU");
  require_exclusive(*gpu_telemetry(target.device.details.at("uuid")));
}

void leave_at_once(Program program, World* world, const std::exception& error) {
  fmt::print(stderr, "{}: {}\n", program_name(program), error.what());
  std::fflush(nullptr);
  if (world != nullptr) world->give_up();
  std::_Exit(kEnvironmentFailed);
}

void refuse(const std::string& mistake) {
  if (!mistake.empty()) throw BadInput(mistake);
}

}  // namespace trainmeter
