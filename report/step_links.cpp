// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Sweeps that were measured here before nominal bandwidth.
#include "report/step_links.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace trainmeter {
namespace {

// A ring collective's start inside a node where no sweep is known: half of what the H200's
// all-reduce sweep in micro/h200.json comes to.
constexpr double kCollectiveStart = 30e-6;
// A ring with one GPU a node goes through one NIC: NCCL opens 2 to 4 channels for it, of the 8 to
// 16 that rings over all GPUs and NICs of a node have.
constexpr double kOneNicChannels = 0.25;

UsedInput of_system(const System& system, const char* key, double value, const char* how) {
  UsedInput out;
  out.value = value;
  out.how = how;
  out.place = system.place.at(key);
  out.numbers = {fmt::format("machine:{}", key)};
  return out;
}

// `value` is the sweep's bandwidth or start; `whose`, where the sweep isn't the collective's own.
UsedInput of_sweep(double value, const RateBook::Sweep& sweep, const char* whose) {
  UsedInput out;
  out.value = value;
  out.how = fmt::format(
      "fitted to {} figures of a sweep over payloads, {} ranks{} (docs/extrapolation.md)",
      sweep.points.size(), sweep.ranks, whose);
  out.kind = "derived";
  for (const RatePoint* point : sweep.points) {
    out.origins.push_back(point->origin);
    if (point->published) out.numbers.push_back(point->name + ":rate");
  }
  return out;
}

UsedInput assumed_start() {
  UsedInput out;
  out.value = kCollectiveStart;
  out.how = "a ring's start inside a node, where no sweep is known";
  out.kind = "assumed";
  out.origins = {"the constant kCollectiveStart of report/step_links.cpp"};
  return out;
}

}  // namespace

StepLinks::StepLinks(const System& system, const RateBook& book, std::string precision,
                     std::function<void(std::string)> assume)
    : system_(system), book_(book), precision_(std::move(precision)), assume_(std::move(assume)) {}

void StepLinks::use(const std::string& what, const std::string& part,
                    const std::function<UsedInput()>& input) {
  auto known = std::ranges::find(used_, what, &UsedInput::what);
  if (known == used_.end()) {
    known = used_.insert(used_.end(), input());
    known->what = what;
  }
  if (std::ranges::find(known->parts, part) == known->parts.end()) known->parts.push_back(part);
}

// What a collective's time alone is multiplied by where it runs under compute: nominal bandwidth
// has a factor of published steps, which hold this, but a sweep that was measured here ran alone.
double StepLinks::beside_compute(const std::string& part) {
  const auto lost = book_.slowdowns().of(precision_, share_inside_a_node(system_));
  if (!lost || !lost->collective_takes) return 1;
  use("links.beside_compute", part, [&] {
    UsedInput out;
    out.value = *lost->collective_takes;
    out.how = "time of a collective beside a GEMM / alone (overlap_bench)";
    out.kind = "measured";
    out.origins = lost->origins;
    return out;
  });
  return *lost->collective_takes;
}

void StepLinks::inside_a_node(CommBill& out, const Collective& c, const std::string& part) {
  // The sweep of an all-reduce stands for a gather or a scatter, which is half of one.
  constexpr const char* kHalf = ", half of an all-reduce's";
  bool stands_in = false;
  const auto sweep_of = [&](bool published) {
    auto sweep = book_.sweep(c.operation, published);
    stands_in = !sweep;
    if (!sweep && (sweep = book_.sweep("allreduce", published))) sweep->start_s /= 2;
    return sweep;
  };
  const auto others = sweep_of(true);
  const bool others_stand_in = stands_in;
  const auto ours = sweep_of(false);
  const double times = c.count;
  const std::string start = fmt::format("links.{}.start_s", c.operation);
  if (ours && ours->ranks <= system_.gpus_per_node + (system_.kind == "cpu" ? ours->ranks : 0)) {
    // Measured here: no factor stands between it and the step but what runs beside it.
    out.fixed_s = times * (ours->start_s + c.node_bytes / ours->bus_bytes_per_s) *
                  (c.hidden && c.group != Group::tp ? beside_compute(part) : 1);
    use(fmt::format("links.{}.bus_bytes_per_s", c.operation), part, [&] {
      return of_sweep(ours->bus_bytes_per_s, *ours, stands_in ? ", an all-reduce's" : "");
    });
    use(start, part, [&] { return of_sweep(ours->start_s, *ours, stands_in ? kHalf : ""); });
  } else if (system_.nvlink_bytes_per_s) {
    out.node_s = times * c.node_bytes / *system_.nvlink_bytes_per_s;
    use("nvlink_bytes_per_s", part, [&] {
      return of_system(system_, "nvlink_bytes_per_s", *system_.nvlink_bytes_per_s,
                       "a GPU's links inside a node, one way");
    });
    const bool within = others && others->one_node && others->ranks <= system_.gpus_per_node;
    out.fixed_s = times * (within ? others->start_s : kCollectiveStart);
    use(start, part, [&] {
      return within ? of_sweep(others->start_s, *others, others_stand_in ? kHalf : "")
                    : assumed_start();
    });
  } else {
    assume_(c.name + std::string(kNoLink));
  }
}

CommBill StepLinks::bill(const Collective& c, const std::string& part) {
  CommBill out{.name = c.name, .hidden = c.hidden};
  if (c.group == Group::tp) out.interference = Factor::tensor_interference;
  if (c.node_bytes > 0) inside_a_node(out, c, part);
  if (c.network_bytes > 0) {
    if (c.ranks_on_node == 1) out.channels = kOneNicChannels;
    if (system_.nic_bytes_per_s) {
      out.network_s = c.count * c.network_bytes / *system_.nic_bytes_per_s;
      use("nic_bytes_per_s", part, [&] {
        return of_system(system_, "nic_bytes_per_s", *system_.nic_bytes_per_s,
                         "a GPU's share of its node's network, one way");
      });
    } else {
      assume_(c.name + std::string(kNoNetwork));
    }
    if (c.operation != "alltoall" && c.operation != "sendrecv")
      out.hops = c.count * (static_cast<double>(c.ranks) - 1);
  }
  return out;
}

}  // namespace trainmeter
