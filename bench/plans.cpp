// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pairs cases.
#include "bench/plans.hpp"

#include "bench/backend_names.hpp"
#include "bench/expected.hpp"
#include "record/error.hpp"
#include "record/names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace trainmeter {
namespace {

// "gemm/fp32//m:64/n:64/k:64": all that two backends' cases have in common.
std::string without_backend(const Case& one) {
  std::string name = one.name;
  const std::size_t found = name.find("/" + one.backend + "/");
  if (found != std::string::npos) name.erase(found + 1, one.backend.size());
  return name;
}

// What a case's notes say of its work. How a backend does it, which NCCL_ALGO asks of NCCL alone,
// and what is to be expected of it then are no other work.
std::map<std::string, std::string> notes_of_work(const Case& one) {
  auto out = one.notes;
  for (const char* how : {"algorithm", kExpectedNote, kExpectedFromNote}) out.erase(how);
  return out;
}

std::vector<Plan> with_backend(const std::vector<Case>& cases, Program program,
                               const std::string& backend) {
  std::vector<Plan> plans;
  std::set<std::string> backends;
  for (const Case& one : cases) {
    backends.insert(one.backend);
    if (one.backend == backend) continue;
    for (const Case& other : cases) {
      if (other.backend == backend && other.operation == one.operation &&
          other.dtype == one.dtype && other.layout == one.layout && other.scaling == one.scaling &&
          other.shape == one.shape && notes_of_work(other) == notes_of_work(one) &&
          without_backend(other) == without_backend(one)) {
        plans.push_back({.main = one, .versus = other});
      }
    }
  }
  if (!backends.contains(backend)) {
    const std::vector<std::string>& known = backend_names(program);
    if (std::ranges::find(known, backend) != known.end()) {
      throw Unavailable(fmt::format("--versus={}: nothing here runs on it, only on {}", backend,
                                    fmt::join(backends, ", ")));
    }
    backends.insert(known.begin(), known.end());
    throw BadInput(
        fmt::format("--versus={}: expected one of {}", backend, fmt::join(backends, ", ")));
  }
  if (plans.empty()) {
    throw Unavailable(
        fmt::format("--versus={}: no case here that another backend can run too", backend));
  }
  return plans;
}

// A step's kernels need their own content (ids, scales, states).
bool takes_values(const Case& one) {
  return std::ranges::find(step_kernel_names(), one.operation) == step_kernel_names().end();
}

std::vector<Plan> with_pitfalls(const std::vector<Case>& cases, const OperandOptions& usual) {
  std::vector<Plan> plans;
  for (const Case& one : cases) {
    if (one.operation == "fma") continue;  // it has no operands in memory
    if (takes_values(one)) {
      Case zeros = one;
      zeros.name += "/data:zeros";
      zeros.notes["data"] = "zeros";
      zeros.operands = usual;
      zeros.operands->values = Values::zeros;
      plans.push_back({.main = one, .versus = std::move(zeros)});
    }
    Case hot = one;
    hot.name += "/cache:hot";
    hot.notes["cache"] = "hot";
    hot.operands = usual;
    hot.operands->rotate_bytes = 0;
    plans.push_back({.main = one, .versus = std::move(hot)});
  }
  return plans;
}

}  // namespace

std::vector<Plan> make_plans(const std::vector<Case>& cases, const Options& options,
                             std::int64_t rotate_bytes) {
  if (!options.versus.empty()) return with_backend(cases, options.program, options.versus);
  if (options.pitfalls) return with_pitfalls(cases, options.operands(rotate_bytes));
  std::vector<Plan> plans;
  for (const Case& one : cases) plans.push_back({.main = one, .versus = std::nullopt});
  return plans;
}

}  // namespace trainmeter
