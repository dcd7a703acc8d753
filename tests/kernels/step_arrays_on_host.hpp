// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The arrays of a step's kernel in the host's memory, for a GPU's kernel that runs on the CPU.
#pragma once

#include "kernels/host_buffer.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/step_kernel.hpp"
#include "kernels/step_verify.hpp"

#include <cstddef>
#include <cstring>
#include <vector>

namespace trainmeter {

// Filled as an operation's are, what is written poisoned.
class StepArraysOnHost {
 public:
  explicit StepArraysOnHost(const StepProblem& problem) : problem_(problem) {
    const std::vector<StepArray> roles = step_arrays(problem);
    for (std::size_t i = 0; i < roles.size(); ++i) {
      arrays_.emplace_back(roles[i].bytes);
      std::memset(arrays_[i].data(), 0xff, static_cast<std::size_t>(roles[i].bytes));
      if (roles[i].role != StepArray::Role::output)
        fill_step_array(problem, i, arrays_[i].data(), 3);
    }
  }

  template <class T>
  T* at(std::size_t i) {
    return static_cast<T*>(arrays_[i].data());
  }

 protected:
  [[nodiscard]] const StepProblem& problem() const { return problem_; }
  Check check() {
    std::vector<const void*> all;
    for (HostBuffer& array : arrays_) all.push_back(array.data());
    return verify_step(problem_, all, all);
  }

 private:
  StepProblem problem_;
  std::vector<HostBuffer> arrays_;
};

}  // namespace trainmeter
