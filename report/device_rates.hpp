// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which rate stands for an operation of a run on its device: what was measured or published, else
// what is assumed, and that is said.
#pragma once

#include "report/rates.hpp"
#include "workload/run.hpp"
#include "workload/worklist.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace trainmeter {

// What kernels reach of the datasheet's memory bandwidth, bytes/s; none where that isn't known.
std::optional<Rate> datasheet_memory(const System& system);

class DeviceRates {
 public:
  // `assume` hears each assumption, as often as it is made. BadInput where no GEMM rate or no
  // memory bandwidth is known. The arguments outlive it.
  DeviceRates(const Run& run, const System& system, const RateBook& book,
              std::function<void(std::string)> assume);

  // Of the run's precision, and of what it keeps in a higher one.
  [[nodiscard]] const std::string& low() const { return low_; }
  [[nodiscard]] const std::string& high() const { return high_; }
  // The dtype that stands in for one nobody measured here, the nearest in width first.
  [[nodiscard]] std::string dtype_known(const std::string& wanted) const;

  [[nodiscard]] const Rate& memory() const { return memory_; }  // bytes/s
  // FLOP/s. `layout`: nt, nn, tn.
  [[nodiscard]] Rate gemm(const std::string& dtype, std::string_view layout,
                          const GemmWork& work) const;
  [[nodiscard]] double best_gemm(const std::string& dtype) const;
  // Of the attention core in a fused kernel, FLOP/s; `backend`: the stack's own.
  [[nodiscard]] Rate attention(bool forward, const std::string& backend, const Core& core) const;
  // Of one whose scores go through memory.
  [[nodiscard]] double unfused_attention_gemm() const;

 private:
  const Run& run_;
  const System& system_;
  const RateBook& book_;
  std::function<void(std::string)> assume_;
  std::string low_, high_;
  Rate memory_;
};

}  // namespace trainmeter
