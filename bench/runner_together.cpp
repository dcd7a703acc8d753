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

std::string Runner::first_failure(const std::string& mine) {
  const std::vector<std::string> all = world_->gather(mine);
  for (std::size_t device = 0; device < all.size(); ++device) {
    if (!all[device].empty()) {
      return fmt::format("device {} ({}): {}", device, devices_[device], all[device]);
    }
  }
  return "";
}

Outcome Runner::run_together(const Plan& plan, Operation& operation, Outcome outcome) {
  const auto me = static_cast<std::size_t>(world_->rank());
  Measurement alone = outcome.rows.front();
  outcome.rows.clear();
  alone.name = name_on_device(alone.name, me);
  alone.shape["device"] = static_cast<std::int64_t>(me);
  alone.notes["device"] = devices_[me];
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
