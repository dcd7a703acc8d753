// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What collectives of a step take over a system's links, with every factor at 1.
#pragma once

#include "report/step_time.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// What an assumption ends with where traffic isn't counted.
inline constexpr std::string_view kNoLink = " is left out: no link bandwidth is known for it";
inline constexpr std::string_view kNoNetwork = " is left out: no network bandwidth is known for it";

class StepLinks {
 public:
  // Beside GEMMs in `precision`. `assume` hears each assumption, as often as it is made. The
  // arguments outlive it.
  StepLinks(const System& system, const RateBook& book, std::string precision,
            std::function<void(std::string)> assume);

  // `part` of the breakdown is the one that this collective acts on.
  [[nodiscard]] CommBill bill(const Collective& collective, const std::string& part);
  // Bandwidths and starts so far.
  [[nodiscard]] const std::vector<UsedInput>& used() const { return used_; }

 private:
  // `input` makes the input of that name; called where it is new.
  void use(const std::string& what, const std::string& part,
           const std::function<UsedInput()>& input);
  void inside_a_node(CommBill& out, const Collective& collective, const std::string& part);
  double beside_compute(const std::string& part);

  const System& system_;
  const RateBook& book_;
  std::string precision_;
  std::function<void(std::string)> assume_;
  std::vector<UsedInput> used_;
};

}  // namespace trainmeter
