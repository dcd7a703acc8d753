// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Forks the processes and watches over them.
#include "bench/concurrent.hpp"

#include "bench/exit_code.hpp"
#include "bench/interrupt.hpp"
#include "kernels/collective_forked.hpp"
#include "kernels/machine.hpp"
#include "kernels/numa.hpp"
#include "record/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <sched.h>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace trainmeter {
namespace {

// Processes that still have to say why end by themselves within this time.
constexpr std::chrono::milliseconds kGrace{2000};

struct NodeDevices {
  std::string kind;
  std::vector<std::string> names;
  std::vector<std::vector<int>> cores;  // of each, on a CPU
};

pid_t forked() {
  std::fflush(nullptr);  // or a child would write it again
  const pid_t child = ::fork();
  if (child < 0) throw EnvironmentFailed(fmt::format("fork: {}", std::strerror(errno)));
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Lists of cores: of each NUMA node, or of `groups` groups, next to each other, as large as all can
// be.
std::vector<std::string> cpu_devices(int groups) {
  const CpuInfo cpu = cpu_info();
  std::vector<std::string> out;
  if (groups == 0) {
    for (const NumaNode& node : numa_nodes(cpu)) out.push_back(list_of_cores(node.core_ids));
    if (out.size() > 1) return out;
    throw Unavailable(
        "--concurrent: this machine has one NUMA node; --concurrent=N measures N groups of its "
        "cores");
  }
  const int size = cpu.cores / groups;
  if (size == 0) {
    throw Unavailable(fmt::format("--concurrent={}: there are {} cores", groups, cpu.cores));
  }
  for (int group = 0; group < groups; ++group) {
    const auto first = cpu.core_ids.begin() + static_cast<std::ptrdiff_t>(group) * size;
    out.push_back(list_of_cores({first, first + size}));
  }
  return out;
}

std::vector<std::string> gpu_devices(const Gpus& found, int wanted) {
  const auto have = static_cast<int>(found.devices.size());
  if (wanted > have || have < 2) {
    throw Unavailable(fmt::format("--concurrent: there {} {} GPU{}", have == 1 ? "is" : "are", have,
                                  have == 1 ? "" : "s"));
  }
  std::vector<std::string> out;
  for (const GpuInfo& gpu : found.devices) out.push_back(gpu.uuid);
  if (wanted > 0) out.resize(static_cast<std::size_t>(wanted));
  return out;
}

// The first line says the kind, or what is wrong and its exit code.
std::string described_devices(const Options& options) {
  try {
    if (options.device != "cpu") {
      const Gpus found = gpus();
      if (!found.devices.empty()) {
        return fmt::format("gpu\n{}\n", fmt::join(gpu_devices(found, *options.concurrent), "\n"));
      }
      if (options.device == "gpu") throw Unavailable("--device=gpu: " + found.why_none);
    }
    return fmt::format("cpu\n{}\n", fmt::join(cpu_devices(*options.concurrent), "\n"));
  } catch (...) {
    const Failure failure = failure_in_flight();
    return fmt::format("{} {}\n", failure.code, failure.text);
  }
}

// Asked in a process of its own, since a process that has looked for GPUs can't be forked.
NodeDevices devices_of_node(const Options& options) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw EnvironmentFailed("pipe: no descriptors are left");
  const pid_t child = forked();
  if (child == 0) {
    const std::string text = described_devices(options);
    const bool said = ::write(ends[1], text.data(), text.size()) >= 0;
    std::_Exit(said ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const ssize_t count = ::read(ends[0], piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  (void)wait_for(child);
  std::istringstream lines(text);
  NodeDevices out;
  if (!std::getline(lines, out.kind)) {
    throw EnvironmentFailed("--concurrent: looking for devices ended without an answer");
  }
  if (out.kind != "gpu" && out.kind != "cpu") {
    throw_failure({out.kind.front() - '0', out.kind.substr(2)});
  }
  for (std::string line; std::getline(lines, line);) {
    if (out.kind == "cpu") out.cores.push_back(cores_in(line));
    out.names.push_back(out.kind == "cpu" ? "cores " + line : line);
  }
  return out;
}

void see_only(const NodeDevices& node, std::size_t device) {
  if (node.kind == "gpu") {
    ::setenv("CUDA_VISIBLE_DEVICES", node.names[device].c_str(), 1);
    return;
  }
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int core : node.cores[device]) CPU_SET(core, &mask);
  if (::sched_setaffinity(0, sizeof mask, &mask) != 0) {
    throw EnvironmentFailed(
        fmt::format("--concurrent: {}: {}", node.names[device], std::strerror(errno)));
  }
}

class Watch {
 public:
  Watch(std::string program, const NodeDevices& node)
      : program_(std::move(program)), node_(node), status_(node.names.size()) {}

  void add(pid_t child) { children_.push_back(child); }

  int run() {
    bool failed = false;
    std::chrono::steady_clock::time_point since;
    while (running() > 0) {
      int status = 0;
      const pid_t child = ::waitpid(-1, &status, failed ? WNOHANG : 0);
      if (child < 0 && errno != EINTR) throw EnvironmentFailed("waiting for a device's process");
      if (child > 0) note(child, status);
      if (child > 0 && status != 0 && !failed) {
        failed = true;
        since = std::chrono::steady_clock::now();
      }
      if (child == 0) {
        if (!ended_ && std::chrono::steady_clock::now() - since > kGrace) end_others();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
    return ended_ ? kEnvironmentFailed : WEXITSTATUS(*status_.front());
  }

  void end_others() {
    ended_ = true;
    for (std::size_t device = 0; device < children_.size(); ++device) {
      if (!status_[device]) ::kill(children_[device], SIGKILL);
    }
  }

 private:
  [[nodiscard]] std::size_t running() const {
    return children_.size() - static_cast<std::size_t>(std::ranges::count_if(
                                  status_, [](const auto& status) { return status.has_value(); }));
  }

  void note(pid_t child, int status) {
    const auto found = std::ranges::find(children_, child);
    if (found == children_.end()) return;
    const auto device = static_cast<std::size_t>(found - children_.begin());
    status_[device] = status;
    if (!WIFSIGNALED(status) || ended_) return;
    fmt::print(stderr,
               "{}: device {} ({}): its process {} was ended by signal {}; what was finished is "
               "kept\n",
               program_, device, node_.names[device], child, WTERMSIG(status));
    end_others();
  }

  std::string program_;
  const NodeDevices& node_;
  std::vector<pid_t> children_;
  std::vector<std::optional<int>> status_;
  bool ended_ = false;  // the others, by us
};

}  // namespace

int on_each_device(const Options& options, const std::function<int(const DeviceProcess&)>& work) {
  const NodeDevices node = devices_of_node(options);
  const auto ranks = static_cast<int>(node.names.size());
  const auto region = shared_with_children(forked_world_bytes(ranks));
  const auto interrupt = shared_with_children(sizeof(int));
  note_interrupts_in(static_cast<int*>(interrupt.get()));
  const pid_t parent = ::getpid();
  Watch watch(program_name(options.program), node);
  for (int rank = 0; rank < ranks; ++rank) {
    pid_t child = 0;
    try {
      child = forked();
    } catch (...) {
      watch.end_others();
      throw;
    }
    if (child != 0) {
      watch.add(child);
      continue;
    }
    leave_interrupts_to_parent();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) std::_Exit(kEnvironmentFailed);  // it ended before that
    see_only(node, static_cast<std::size_t>(rank));
    const std::unique_ptr<World> world = make_forked_world(region, rank, ranks);
    return work({*world, node.names, node.kind});
  }
  return watch.run();
}

}  // namespace trainmeter
