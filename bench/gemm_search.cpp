// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// gemm_bench --search.
#include "bench/case_lists.hpp"
#include "bench/reasons.hpp"
#include "bench/search.hpp"
#include "bench/shape_search.hpp"
#include "kernels/gemm.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::size_t kMeasuredAgain = 3;  // of each group: the first may have been lucky

// One element type, backend and layout.
struct Group {
  GemmProblem problem;
  const GemmBackend* backend;
  ShapeSearch shapes;
  std::map<std::string, double> confirmed;  // rates by the program's own rules
};

std::string name_of(const Group& group) {
  return fmt::format("gemm/{}/{}/{}", to_string(group.problem.dtype), group.backend->name,
                     to_string(group.problem.layout));
}

SearchSpace space_of(const Target& target) {
  if (target.kind == DeviceKind::gpu) {
    // Short, because cuBLASLt times up to 64 algorithms for each shape.
    return {.step = 128, .most = 20480, .first = {2048, 2048, 2048}, .max_run_s = 0.005};
  }
  return {.step = 64, .most = 8192, .first = {512, 512, 512}};
}

class GemmSearch final : public Search {
 public:
  GemmSearch(const Options& options, const Target& target) : options_(options), target_(target) {
    const NameFilter filter(options.google.filter);
    Reasons reasons;
    for (const GemmProblem& problem : gemm_problems(options)) {
      for (const GemmBackend& backend : gemm_backends()) {
        if (backend.device != target.kind || backend.on_request) continue;
        const std::string why = backend.why_not(problem);
        if (!why.empty()) {
          reasons.add(problem.dtype, backend.name, why);
          continue;
        }
        Group group{problem, &backend, ShapeSearch(space_of(target), kSeed), {}};
        if (filter.matches(case_of(group, space_of(target).first).name)) {
          groups_.push_back(std::move(group));
        }
      }
    }
    if (groups_.empty() && !reasons.empty()) {
      throw Unavailable(fmt::format("nothing to measure: {}", fmt::join(reasons.texts(), "; ")));
    }
    if (groups_.empty()) {
      throw BadInput(
          fmt::format("--benchmark_filter={}: no GEMM to search matches", options.google.filter));
    }
  }

  std::optional<Plan> next(double elapsed_s) override {
    if (!confirming_ && elapsed_s < *options_.search_s) {
      for (std::size_t i = 0; i < groups_.size(); ++i) {
        if (auto plan = probe(turn_++ % groups_.size())) return plan;
      }
    }
    if (!confirming_) choose_best();
    if (to_confirm_.empty()) return std::nullopt;
    pending_ = to_confirm_.front();
    to_confirm_.pop_front();
    return Plan{.main = case_of(groups_[pending_.group], pending_.shape)};
  }

  void take(const Measurement& row) override {
    if (!row.usable()) return;
    const double found = rate(row.flops, median(row.time_s));
    Group& group = groups_[pending_.group];
    if (confirming_) {
      group.confirmed.emplace(row.name, found);
    } else {
      group.shapes.take(pending_.shape, found);
    }
  }

  [[nodiscard]] std::string progress(double elapsed_s) const override {
    const Group& group = groups_[pending_.group];
    std::string text = confirming_
                           ? "the best again"
                           : fmt::format("{:.0f} s of {:.0f} s", elapsed_s, *options_.search_s);
    text += fmt::format("  {}: {} shapes", name_of(group), group.shapes.taken());
    if (const auto best = group.shapes.best(1); !best.empty()) {
      text += fmt::format(", best {:.4g} TFLOP/s", group.shapes.rate(best.front()) / 1e12);
    }
    return text;
  }

  [[nodiscard]] std::vector<std::string> found() const override {
    std::vector<std::string> lines;
    for (const Group& group : groups_) {
      const auto probed = group.shapes.best(1);
      if (probed.empty()) continue;
      std::string name = case_of(group, probed.front()).name;
      double best = group.shapes.rate(probed.front());
      if (!group.confirmed.empty()) {
        std::tie(name, best) = *std::ranges::max_element(
            group.confirmed, {}, [](const auto& entry) { return entry.second; });
      }
      lines.push_back(fmt::format("best of {} shapes{}: {}: {:.4g} TFLOP/s", group.shapes.taken(),
                                  group.confirmed.empty() ? ", each measured briefly" : "", name,
                                  best / 1e12));
    }
    return lines;
  }

 private:
  struct Proposal {
    std::size_t group = 0;
    GemmShape shape{};
  };

  [[nodiscard]] Case case_of(const Group& group, const GemmShape& shape) const {
    GemmProblem problem = group.problem;
    std::tie(problem.m, problem.n, problem.k) = std::tuple_cat(shape);
    return gemm_case(problem, *group.backend);
  }

  std::optional<Plan> probe(std::size_t index) {
    while (const auto shape = groups_[index].shapes.next()) {
      Case made = case_of(groups_[index], *shape);
      if (static_cast<double>(target_.memory_available_bytes) < made.memory_bytes) continue;
      pending_ = {index, *shape};
      made.notes["probe"] = "short";
      return Plan{.main = std::move(made), .rules = options_.quick_rules()};
    }
    return std::nullopt;
  }

  void choose_best() {
    confirming_ = true;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      for (const GemmShape& shape : groups_[i].shapes.best(kMeasuredAgain)) {
        to_confirm_.push_back({i, shape});
      }
    }
  }

  Options options_;
  Target target_;
  std::vector<Group> groups_;
  std::size_t turn_ = 0;
  bool confirming_ = false;
  Proposal pending_;
  std::deque<Proposal> to_confirm_;
};

}  // namespace

std::unique_ptr<Search> gemm_search(const Options& options, const Target& target) {
  return std::make_unique<GemmSearch>(options, target);
}

}  // namespace trainmeter
