// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// gemm_bench --published: the very shapes that others published figures of.
#include "bench/case_lists.hpp"
#include "record/error.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace trainmeter {
namespace {

Scaling scaling_from(const std::string& name) {
  return name == "block128" ? Scaling::block128
         : name == "tensor" ? Scaling::tensor
                            : Scaling::none;
}

bool has_shape(const MicroFigure& figure) {
  return figure.operation == "gemm" && figure.shape.contains("m") && figure.shape.contains("n") &&
         figure.shape.contains("k");
}

GemmProblem problem_of(const MicroFigure& figure, std::int64_t sms) {
  GemmProblem made = {.m = figure.shape.at("m"),
                      .n = figure.shape.at("n"),
                      .k = figure.shape.at("k"),
                      .dtype = *dtype_from(figure.dtype),
                      .scaling = scaling_from(figure.scaling),
                      .sms = static_cast<int>(sms)};
  if (const auto groups = figure.shape.find("groups"); groups != figure.shape.end())
    made.groups = groups->second;
  return made;
}

bool same(const GemmProblem& a, const GemmProblem& b) {
  const auto key = [](const GemmProblem& p) {
    return std::tuple(p.m, p.n, p.k, p.dtype, p.groups, p.scaling);
  };
  return key(a) == key(b);
}

}  // namespace

std::vector<GemmProblem> published_gemms(const Options& options) {
  std::vector<GemmProblem> problems;
  if (options.published.empty()) return problems;
  const Library library(published_data());
  for (const std::string& beginning : options.published) {
    bool known = false;
    for (const std::string& id : library.ids("micro")) {
      for (const MicroFigure& figure : library.micro(id).figures) {
        if (!has_shape(figure) || !figure.id.starts_with(beginning)) continue;
        known = true;
        const auto asked = std::ranges::find(options.dtypes, figure.dtype);
        if (!options.dtypes.empty() && asked == options.dtypes.end()) continue;
        const GemmProblem made = problem_of(figure, options.sms);
        const auto twin =
            std::ranges::find_if(problems, [&](const GemmProblem& one) { return same(one, made); });
        if (twin == problems.end()) problems.push_back(made);
      }
    }
    if (!known) {
      throw BadInput(
          fmt::format("--published: '{}': no published GEMM with a shape has an id that begins so "
                      "(results/published/micro)",
                      beginning));
    }
  }
  // Training's rows before a decode step's: time may end the list.
  std::ranges::stable_sort(problems, std::ranges::greater{},
                           [](const GemmProblem& p) { return p.groups * p.m; });
  return problems;
}

}  // namespace trainmeter
