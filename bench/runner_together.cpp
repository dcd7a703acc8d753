// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One case on every device: each alone in turn while the others wait, then all at once.
#include "bench/runner.hpp"
#include "bench/together.hpp"
#include "record/names.hpp"

#include <fmt/format.h>

#include <sstream>
#include <utility>

namespace trainmeter {

Measurement Runner::on_this_device(Measurement row) const {
  const auto me = static_cast<std::size_t>(world_->rank());
  row.name = name_on_device(row.name, me);
  row.shape["device"] = static_cast<std::int64_t>(me);
  row.notes["device"] = devices_[me];
  return row;
}

std::vector<Measurement> Runner::failed_on_devices(Measurement mine) {
  std::string line;
  if (!mine.failure.empty()) {
    mine.failure =
        fmt::format("device {} ({}): {}", world_->rank(), mine.notes.at("device"), mine.failure);
    line = to_json_line(mine);
  }
  std::vector<Measurement> rows;
  for (const std::string& text : world_->gather(line)) {
    if (!text.empty()) rows.push_back(measurement_from_json_line(text));
  }
  return rows;
}

Outcome Runner::run_together(const Plan& plan, Operation& operation, Outcome outcome) {
  const auto me = static_cast<std::size_t>(world_->rank());
  Measurement alone = outcome.rows.front();
  outcome.rows.clear();
  Measurement together = alone;
  together.beside = plan.main.operation;  // the same, on the others

  const Rules rules = rules_of(plan);
  const std::vector<Operation*> measured = {&operation};
  std::vector<Measurement*> rows = {&alone};
  for (std::size_t turn = 0; turn < devices_.size(); ++turn) {
    bool finished = true;
    if (turn == me) finished = sample(measured, *timer_, rules, nullptr, rows, outcome);
    if (!world_->all(finished)) {
      outcome.interrupted = true;
      return outcome;
    }
  }
  rows = {&together};
  TogetherTimer timer(*timer_, *world_);
  if (!world_->all(sample(measured, timer, rules, world_, rows, outcome))) {
    outcome.interrupted = true;
    return outcome;
  }
  // The last ones of this device's: what came before them was warm-up.
  std::copy(timer.own_s().end() - static_cast<std::ptrdiff_t>(together.time_s.size()),
            timer.own_s().end(), together.time_s.begin());
  together.at = utc_now();
  alone.at = together.at;
  for (const std::string& text :
       world_->gather(to_json_line(alone) + "\n" + to_json_line(together))) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      outcome.rows.push_back(measurement_from_json_line(line));
    }
  }
  return outcome;
}

}  // namespace trainmeter
