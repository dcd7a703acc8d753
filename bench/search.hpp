// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Cases that follow from results: a program asks for the next one and says what became of it.
#pragma once

#include "bench/options.hpp"
#include "bench/runner.hpp"
#include "bench/target.hpp"
#include "record/record.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

class Search {
 public:
  Search() = default;
  virtual ~Search() = default;
  Search(const Search&) = delete;  // a search has one place
  Search& operator=(const Search&) = delete;

  // The next case, `elapsed_s` after the first; nothing where the search is over.
  virtual std::optional<Plan> next(double elapsed_s) = 0;
  virtual void take(const Measurement& row) = 0;  // of the last plan; also one without a result
  [[nodiscard]] virtual std::string progress(double elapsed_s) const = 0;  // "12 s of 60 s, ..."
  [[nodiscard]] virtual std::vector<std::string> found() const = 0;        // one line each
};

// gemm_bench --search: for each element type, backend and layout in turn the shape of the highest
// rate. Probes go by options.quick_rules() until the time is up, then the best few of each by the
// program's rules. BadInput, Unavailable where there is nothing to search.
std::unique_ptr<Search> gemm_search(const Options& options, const Target& target);

}  // namespace trainmeter
