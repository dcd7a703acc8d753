// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Takes a layer's steps in their order, runs each on what it is given, and notes whose the results
// are.
#pragma once

#include "bench/layer_choice.hpp"
#include "bench/layer_flow.hpp"
#include "bench/layer_reference.hpp"
#include "kernels/operation.hpp"
#include "workload/layer_steps.hpp"

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainmeter {

class LayerStepper {
 public:
  using Given = std::initializer_list<std::pair<std::string_view, const Tensor&>>;

  // All outlive it. `results` are those that it notes, whoever adds them.
  LayerStepper(const MakeStep& make, const LayerChoice& choice, const Tensors& results)
      : make_(make), choice_(choice), results_(results) {}

  void begin(std::span<const LayerStep> steps);
  void end();  // NotTheLayer where a step is left
  // NotTheLayer where the next step is another one.
  const LayerStep& next(std::string_view entry, std::string_view operation,
                        std::optional<Pass> pass);

  // The step's operation, whose operands the caller sets. Unavailable where it keeps them to itself.
  std::unique_ptr<Operation> made(const LayerStep& step);
  // The same after it ran on these operands, the tokens' places and choices, and a table of angles
  // of its own.
  std::unique_ptr<Operation> ran(const LayerStep& step, Given given);

  [[nodiscard]] const std::vector<MadeBy>& made_by() const { return by_; }

 private:
  void note_results();

  const MakeStep& make_;
  const LayerChoice& choice_;
  const Tensors& results_;
  std::span<const LayerStep> steps_;
  std::size_t at_ = 0;
  std::vector<MadeBy> by_;
  std::string last_;  // operation
};

}  // namespace trainmeter
