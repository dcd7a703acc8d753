// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Each step by its names in the work list, and the operands of its operation by theirs.
#include "bench/layer_stepper.hpp"

#include "kernels/operand_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace trainmeter {
namespace {

std::string described(std::string_view entry, std::string_view operation,
                      std::optional<Pass> pass) {
  return pass ? fmt::format("{} {}", entry, to_string(*pass)) : std::string(operation);
}

// "expert_up wgrad (algorithm id 66, ...; case gemm/fp8/...)": with all that preparing it found
// out.
std::string described(const LayerStep& step, const Operation& operation) {
  std::string how;
  for (const auto& [key, value] : operation.notes())
    how += fmt::format("{}{} {}", how.empty() ? "" : "; ", key, value);
  return fmt::format("{} ({})",
                     described(step.entry, step.operation,
                               step.gemm ? std::optional(step.gemm->pass) : std::nullopt),
                     how);
}

}  // namespace

void LayerStepper::begin(std::span<const LayerStep> steps) {
  steps_ = steps;
  at_ = 0;
}

void LayerStepper::end() {
  note_results();
  if (at_ == steps_.size()) return;
  const LayerStep& more = steps_[at_];
  throw NotTheLayer(
      fmt::format("step {} is {}, where the layer has ended", at_ + 1,
                  described(more.entry, more.operation,
                            more.gemm ? std::optional(more.gemm->pass) : std::nullopt)));
}

const LayerStep& LayerStepper::next(std::string_view entry, std::string_view operation,
                                    std::optional<Pass> pass) {
  const std::string wanted = described(entry, operation, pass);
  if (at_ == steps_.size()) throw NotTheLayer(fmt::format("no step is left for {}", wanted));
  const LayerStep& step = steps_[at_++];
  const auto found = step.gemm ? std::optional(step.gemm->pass) : std::nullopt;
  if (step.entry != entry || step.operation != operation || found != pass) {
    throw NotTheLayer(fmt::format("step {} is {}, where the layer needs {}", at_,
                                  described(step.entry, step.operation, found), wanted));
  }
  return step;
}

// Those that weren't there before the last operation ran.
void LayerStepper::note_results() {
  for (const auto& [name, values] : results_) {
    if (std::ranges::find(by_, name, &MadeBy::result) == by_.end()) by_.push_back({name, last_});
  }
}

std::unique_ptr<Operation> LayerStepper::made(const LayerStep& step) {
  note_results();
  std::unique_ptr<Operation> operation = make_(step);
  last_ = described(step, *operation);
  if (operation->operand_views().empty()) {
    throw Unavailable(
        fmt::format("{}: {} keeps its operands to itself", step.entry, step.operation));
  }
  clear_results(*operation);
  return operation;
}

std::unique_ptr<Operation> LayerStepper::ran(const LayerStep& step, Given given) {
  std::unique_ptr<Operation> operation = made(step);
  for (const OperandView& view : operation->operand_views()) {
    const bool has =
        std::ranges::any_of(given, [&](const auto& g) { return g.first == view.name; });
    if (view.name == "place") {
      set_operand_indices(*operation, view.name, choice_.places());
    } else if (view.name == "chosen" && view.role == OperandRole::input) {
      set_operand_indices(*operation, view.name, choice_.chosen());
    } else if (view.role == OperandRole::input && view.name != "table" && !has) {
      throw std::logic_error(fmt::format("{}: nothing flows into {}", step.entry, view.name));
    }
  }
  for (const auto& [name, values] : given) set_operand_values(*operation, name, values);
  operation->run(0);
  return operation;
}

}  // namespace trainmeter
