// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Runs one case: prepares it, checks its result, then measures it. With a world every rank does so
// in step.
#pragma once

#include "bench/case.hpp"
#include "bench/measure.hpp"
#include "bench/target.hpp"
#include "bench/timer.hpp"
#include "kernels/collective.hpp"
#include "kernels/telemetry.hpp"
#include "record/record.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

namespace trainmeter {

// A case, and with --versus the one its samples alternate with.
struct Plan {
  Case main;
  std::optional<Case> versus;
  std::optional<Rules> rules;  // instead of the program's
};

struct Outcome {
  // Finished ones: `main` first; with devices as bench/together.hpp has them, or one of each that
  // failed; of a layer as bench/layer_rows.hpp has them. None where interrupted.
  std::vector<Measurement> rows;
  std::size_t shown = 0;  // the row that stands for all
  int code = 0;           // exit_code.hpp: kFine, kCheckFailed, kUnavailable
  bool interrupted = false;
  bool settled = true;
  bool brief = false;                // sampled for less than its rules' min_time_s
  std::int64_t runs_per_sample = 1;  // of `main`
  std::int64_t wrong = 0;            // elements of its result
};

Outcome ended(Outcome outcome, int code);     // its rows are of now
Outcome ended_by_interrupt(Outcome outcome);  // without rows

// Note of a row: the time of one run by a CUDA graph over the median of the samples, by events.
inline constexpr const char* kGraphNote = "cuda_graph_vs_events";
inline constexpr double kTelemetryPeriod = 0.05;  // seconds; sensors are no faster

// The outcome of a check, into the row of what was checked.
void note_check(const Check& check, bool ok_everywhere, Measurement& row);
// The same outcome, for a row of the same result.
void copy_check(const Measurement& from, Measurement& to);

// Of rows that took turns: whose energy it was can't be told.
void forget_energy(Measurement& row);

// By more than 3 %, of runs that are long enough to tell (100 us).
bool at_odds_with_graph(const Measurement& row);

// A rank failed in the middle of a case: the others wait in a collective that will not come. The
// program must end without MPI_Finalize, for its launcher to end them.
class OutOfStep : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a runner measures, and by what.
struct RunnerSetup {
  Target target;
  Rules rules;
  OperandOptions operands;  // what cases are made with
  std::unique_ptr<Timer> timer;
  World* world = nullptr;
  std::function<bool()> stop;
  Around around;  // every case's runs
  // Where the ranks are devices that do the same each by itself (bench/concurrent.hpp).
  std::vector<std::string> devices = {};
};

class Runner {
 public:
  explicit Runner(RunnerSetup setup);
  Outcome run(const Plan& plan);

 private:
  class CaseBeside;   // of run_beside()
  class LayerBeside;  // of run_layer_beside()

  Outcome run_in_step(const Plan& plan);
  Outcome run_together(const Plan& plan, Operation& operation, Outcome outcome);
  Outcome run_layer(const Plan& plan);
  Outcome run_layer_beside(const Plan& plan);
  Outcome run_layers(const Plan& plan);  // of a plan with two ways to compose a layer
  Outcome run_beside(const Plan& plan);  // of a plan with an overlap
  // Measures by `rules` into `rows`, one an operation. False where interrupted.
  bool sample(const std::vector<Operation*>& operations, Timer& timer, const Rules& rules,
              World* world, const std::vector<Measurement*>& rows, Outcome& outcome);
  [[nodiscard]] Rules rules_of(const Plan& plan);
  [[nodiscard]] Measurement on_this_device(Measurement row) const;
  std::vector<Measurement> failed_on_devices(Measurement mine);  // where `mine` failed, its row too
  [[nodiscard]] bool all(bool mine) const;
  [[nodiscard]] Measurement row_of(const Case& what) const;

  Target target_;
  Rules rules_;
  OperandOptions operands_;
  std::unique_ptr<Timer> timer_;
  World* world_;
  std::function<bool()> stop_;
  Around around_;
  std::vector<std::string> devices_;
  std::unique_ptr<TelemetrySource> telemetry_;
};

}  // namespace trainmeter
