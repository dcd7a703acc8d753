// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// memory_bench: how fast this device moves memory.
#include "bench/case_lists.hpp"
#include "bench/main.hpp"
#include "kernels/machine.hpp"

#include <algorithm>
#include <iterator>

namespace trainmeter {
namespace {

CaseList all_cases(const Options& options, const Target& target) {
  CaseList list = memory_cases(options, target);
  if (target.kind == DeviceKind::cpu) return list;
  CaseList more = transfer_cases(options, target, static_cast<int>(gpus().devices.size()));
  std::move(more.cases.begin(), more.cases.end(), std::back_inserter(list.cases));
  return list;
}

}  // namespace
}  // namespace trainmeter

int main(int argc, char** argv) {
  return trainmeter::device_main(trainmeter::Program::memory, argc, argv, trainmeter::all_cases);
}
