// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Mistakes planted into a layer's steps, and whether the check finds them.
#pragma once

#include "bench/layer_check.hpp"
#include "kernels/operand_values.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {

using Spoils = std::function<void(Operation&)>;

// An operation to which something is done before or after it runs.
class Spoilt : public Operation, public KeepsOfOperands {
 public:
  Spoilt(std::unique_ptr<Operation> inner, Spoils before, Spoils after)
      : inner_(std::move(inner)), before_(std::move(before)), after_(std::move(after)) {}
  void run(int set) override {
    if (before_) before_(*inner_);
    inner_->run(set);
    if (after_) after_(*inner_);
  }
  void operands_written() override { trainmeter::operands_written(*inner_); }
  Check verify() override { return inner_->verify(); }
  [[nodiscard]] int sets() const override { return inner_->sets(); }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    return inner_->operand_views();
  }

 private:
  std::unique_ptr<Operation> inner_;
  Spoils before_, after_;
};

// One of a layer's steps that isn't as it should be.
struct Mistake {
  std::string what;
  std::function<bool(const LayerStep&)> at;  // the first of which this holds
  std::function<void(LayerStep&)> prepared;  // before it is
  Spoils before, after;                      // it ran
};

inline Check with_mistake(const SmallLayer& layer, DType dtype, const MakeStep& right,
                          const Mistake& mistake) {
  bool made = false;
  const Check check =
      check_layer(layer, layer_steps(layer.model, layer.share), dtype, [&](LayerStep step) {
        if (made || !mistake.at(step)) return right(step);
        made = true;
        if (mistake.prepared) mistake.prepared(step);
        return std::unique_ptr<Operation>(
            std::make_unique<Spoilt>(right(step), mistake.before, mistake.after));
      });
  EXPECT_TRUE(made) << mistake.what;
  return check;
}

inline void expect_found(const SmallLayer& layer, DType dtype, const MakeStep& right,
                         const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    const Check check = with_mistake(layer, dtype, right, mistake);
    EXPECT_FALSE(check.ok) << mistake.what << ": " << check.error;
  }
}

inline Spoils copies(const char* from, const char* to) {
  return [=](Operation& operation) {
    set_operand_values(operation, to, operand_values(operation, from));
  };
}

inline Spoils changes(const char* operand, std::function<void(Tensor&)> how) {
  return [=](Operation& operation) {
    Tensor values = operand_values(operation, operand);
    how(values);
    set_operand_values(operation, operand, values);
  };
}

}  // namespace trainmeter
