// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Makes the probe's two operations of the backends there are, and compares probes.
#include "bench/sentinel.hpp"

#include "kernels/gemm.hpp"
#include "kernels/memory.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace trainmeter {
namespace {

// Some hundred microseconds each: long against a clock's step, short against a round of samples.
constexpr std::int64_t kCpuEdge = 256;
constexpr std::int64_t kGpuEdge = 2048;
constexpr std::int64_t kCpuBytes = std::int64_t{1} << 20;
constexpr std::int64_t kGpuBytes = std::int64_t{64} << 20;

template <class Backends, class Problem>
std::unique_ptr<Operation> made(const Backends& backends, const Problem& problem, DeviceKind kind) {
  for (const auto& backend : backends) {
    if (backend.device == kind && backend.why_not(problem).empty())
      return backend.make(problem, {});
  }
  return nullptr;
}

// Empty where the probe is as the median is.
std::string difference(const Probe& probe, const Probe& usual) {
  const auto of = [](const char* what, double seconds, double usual_s) {
    const double ratio = seconds / usual_s;
    return std::abs(ratio - 1) < kSameState ? std::string()
                                            : fmt::format("{} probe {:.2f} x", what, ratio);
  };
  const std::string compute = of("compute", probe.compute_s, usual.compute_s);
  const std::string copy = of("copy", probe.copy_s, usual.copy_s);
  return compute.empty() || copy.empty() ? compute + copy : compute + ", " + copy;
}

}  // namespace

Sentinel::Sentinel(std::unique_ptr<Operation> compute, std::unique_ptr<Operation> copy,
                   std::unique_ptr<Timer> timer)
    : compute_(std::move(compute)), copy_(std::move(copy)), timer_(std::move(timer)) {}

double Sentinel::time(Operation& operation) {
  Rotation one(operation);
  const std::vector<double> times = timer_->take(one, 2, 1);
  return *std::ranges::min_element(times);
}

Probe Sentinel::probe() {
  return {.before = 0, .compute_s = time(*compute_), .copy_s = time(*copy_)};
}

std::unique_ptr<Sentinel> make_sentinel(const Target& target) {
  const bool gpu = target.kind == DeviceKind::gpu;
  const std::int64_t edge = gpu ? kGpuEdge : kCpuEdge;
  const GemmProblem gemm{.m = edge,
                         .n = edge,
                         .k = edge,
                         .dtype = gpu ? DType::bf16 : DType::fp32,
                         .layout = GemmLayout::nt};
  const MemoryProblem copy{.kernel = MemoryKernel::copy,
                           .dtype = DType::fp64,
                           .array_bytes = gpu ? kGpuBytes : kCpuBytes};
  auto compute = made(gemm_backends(), gemm, target.kind);
  auto moved = made(memory_backends(), copy, target.kind);
  if (compute == nullptr || moved == nullptr) return nullptr;
  return std::make_unique<Sentinel>(
      std::move(compute), std::move(moved),
      gpu ? make_gpu_timer() : make_cpu_timer(steady_clock(), nullptr));
}

std::vector<Mark> changed_states(const std::vector<Probe>& probes, std::int64_t samples) {
  std::vector<Mark> out;
  if (probes.size() < 2) return out;
  std::vector<double> compute;
  std::vector<double> copy;
  for (const Probe& p : probes) {
    compute.push_back(p.compute_s);
    copy.push_back(p.copy_s);
  }
  const Probe usual{.before = 0, .compute_s = median(compute), .copy_s = median(copy)};
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const std::string why = difference(probes[i], usual);
    if (why.empty()) continue;
    // From the probe before it to the one after it: the change came somewhere between.
    const std::int64_t first = i == 0 ? 0 : probes[i - 1].before;
    const std::int64_t end = i + 1 < probes.size() ? probes[i + 1].before : samples;
    if (first < end) out.push_back({first, end - 1, "machine: " + why});
  }
  return out;
}

Measurement first_samples(const std::vector<double>& time_s, const std::vector<Probe>& probes,
                          std::int64_t count) {
  std::vector<Probe> until_then;
  std::ranges::copy_if(probes, std::back_inserter(until_then),
                       [&](const Probe& probe) { return probe.before <= count; });
  Measurement out;
  out.time_s.assign(time_s.begin(), time_s.begin() + count);
  out.marks = changed_states(until_then, count);
  return out;
}

}  // namespace trainmeter
