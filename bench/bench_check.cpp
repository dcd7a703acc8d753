// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// bench_check: is the harness itself honest on this machine? Its GEMM figure beside a plain loop
// over the same library, in turn within one run; and what it adds to a sample of known length.
// Exit code 1 where either is beyond its bar.
#include "bench/exit_code.hpp"
#include "bench/measure.hpp"
#include "bench/target.hpp"
#include "kernels/gemm.hpp"
#include "kernels/telemetry.hpp"
#include "record/error.hpp"
#include "record/median_estimate.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>
#include <vector>

using namespace trainmeter;

namespace {

constexpr int kTurns = 60;
constexpr double kTurnSeconds = 0.1;
constexpr double kMostDifference = 0.03;  // from the plain loop
constexpr double kMostOverhead = 0.01;    // of a 100 us sample
constexpr double kKnown = 100e-6;

bool never() {
  return false;
}

double harness_s(Operation& operation, Timer& timer) {
  std::array<Operation*, 1> one = {&operation};
  const Rules rules{.warmup_s = 0, .max_warmup_s = 0, .min_time_s = kTurnSeconds, .min_samples = 3};
  return median(measure(one, timer, rules, nullptr, never).of.front().time_s);
}

// What anybody would write: run it for a while, divide.
double plain_loop_s(Operation& operation) {
  const double start_s = steady_now_s();
  std::int64_t runs = 0;
  double elapsed_s = 0;
  while (elapsed_s < kTurnSeconds) {
    operation.run(static_cast<int>(runs % operation.sets()));
    ++runs;
    elapsed_s = steady_now_s() - start_s;
  }
  return elapsed_s / static_cast<double>(runs);
}

// Runs for exactly so long by the same clock.
class Known : public Operation {
 public:
  void run(int /*set*/) override {
    const double end_s = steady_now_s() + kKnown;
    while (steady_now_s() < end_s) {
    }
  }
  Check verify() override { return {.ok = true, .error = 0, .bound = 1, .how = "a wait"}; }
  [[nodiscard]] int sets() const override { return 1; }
};

bool check_gemm(const GemmBackend& backend, Timer& timer, std::int64_t rotate_bytes) {
  const GemmProblem problem{
      .m = 1024, .n = 1024, .k = 1024, .dtype = DType::fp32, .layout = GemmLayout::nt};
  const auto operation = backend.make(problem, {.rotate_bytes = rotate_bytes});
  std::vector<double> ours;
  std::vector<double> plain;
  (void)plain_loop_s(*operation);  // warm
  for (int turn = 0; turn < kTurns; ++turn) {
    ours.push_back(harness_s(*operation, timer));
    plain.push_back(plain_loop_s(*operation));
  }
  const MedianEstimate ratio = estimate_ratio(ours, plain);
  const bool good = std::abs(ratio.median - 1) < kMostDifference;
  fmt::print(
      "gemm fp32 1024^3, {}: harness / plain loop {:.4f}{} ({} turns): {} (bar: within {:.0f} %)\n",
      backend.name, ratio.median,
      ratio.interval
          ? fmt::format(" (95 %: {:.4f} to {:.4f})", ratio.interval->low, ratio.interval->high)
          : ", no interval: " + ratio.why_none,
      kTurns, good ? "fine" : "beyond", kMostDifference * 100);
  return good;
}

bool check_overhead(Timer& timer) {
  Known known;
  std::array<Operation*, 1> one = {&known};
  const Rules rules{.min_time_s = 0.5};
  const double found_s = median(measure(one, timer, rules, nullptr, never).of.front().time_s);
  const double added = found_s / kKnown - 1;
  const bool good = added < kMostOverhead;
  fmt::print(
      "a wait of {:.0f} us measures {:.2f} us: the harness adds {:.2f} %: {} (bar: below {:.0f} "
      "%)\n",
      kKnown * 1e6, found_s * 1e6, added * 100, good ? "fine" : "beyond", kMostOverhead * 100);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("bench_check", [&] {
    if (argc > 1 && std::string_view(argv[1]) == "--help") {
      fmt::print("bench_check: is the harness honest here? Takes no arguments.\n");
      return kFine;
    }
    if (argc > 1) throw BadInput(fmt::format("unknown argument '{}': takes none", argv[1]));
    const Target target = choose_target("cpu");
    const auto timer = make_cpu_timer(steady_clock(), nullptr);
    bool good = check_overhead(*timer);
    for (const GemmBackend& backend : gemm_backends()) {
      if (backend.device == DeviceKind::cpu)
        good = check_gemm(backend, *timer, target.rotate_bytes) && good;
    }
    return good ? kFine : kCheckFailed;
  });
}
