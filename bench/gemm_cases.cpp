// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM: the peak of the registers (CPU), the shapes of models' steps, squares, or one's own shapes.
#include "bench/case_lists.hpp"
#include "bench/model_gemms.hpp"
#include "bench/reasons.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_grouped.hpp"
#include "kernels/peak.hpp"
#include "record/formulas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

struct Shape {
  std::int64_t m = 0, n = 0, k = 0;
  GemmLayout layout = GemmLayout::nt;
  std::int64_t groups = 1;
  std::optional<Pass> pass;  // of a model's step
  bool of_expert = false;    // of one of its routed experts
  StepNotes notes;           // which of its GEMMs have this shape
};

// What training computes in, so that is what a model's shapes are measured in.
constexpr DType kTrainingTypes[] = {DType::bf16, DType::fp32, DType::fp16, DType::tf32, DType::fp8};
constexpr DType kAllTypes[] = {DType::bf16, DType::fp32, DType::fp16, DType::tf32,
                               DType::fp64, DType::int8, DType::fp8,  DType::fp8_e5m2};

std::string name_of(const GemmProblem& problem, std::string_view backend) {
  std::string name = fmt::format("gemm/{}/{}", to_string(problem.dtype), backend);
  if (problem.groups > 1) name += fmt::format("/groups:{}", problem.groups);
  name += fmt::format("/m:{}/n:{}/k:{}", problem.m, problem.n, problem.k);
  if (problem.layout != GemmLayout::nt)
    name += fmt::format("/layout:{}", to_string(problem.layout));
  if (problem.scaling != Scaling::none)
    name += fmt::format("/scaling:{}", to_string(problem.scaling));
  if (problem.accumulate) name += "/accumulate:1";
  if (problem.fp32_out) name += "/fp32_out:1";
  if (problem.sms > 0) name += fmt::format("/sms:{}", problem.sms);
  return name;
}

std::vector<DType> types_asked_for(const Options& options, std::span<const DType> otherwise) {
  if (options.dtypes.empty()) return {otherwise.begin(), otherwise.end()};
  std::vector<DType> types;
  for (const std::string& name : options.dtypes) types.push_back(*dtype_from(name));
  return types;
}

std::vector<GemmLayout> layouts_asked_for(const Options& options) {
  if (options.layouts.empty()) return {GemmLayout::nt};
  std::vector<GemmLayout> layouts;
  for (const std::string& name : options.layouts) {
    layouts.push_back(layout_named(name));
  }
  return layouts;
}

// fp8 has scales, of blocks or of tensors; nothing else has.
std::vector<Scaling> scalings_of(DType dtype, const Options& options) {
  if (dtype != DType::fp8) return {Scaling::none};
  std::vector<Scaling> scalings;
  for (const Scaling scaling : {Scaling::block128, Scaling::tensor}) {
    const auto named = std::ranges::find(options.scalings, to_string(scaling));
    if (options.scalings.empty() || named != options.scalings.end()) scalings.push_back(scaling);
  }
  return scalings;
}

class Builder {
 public:
  Builder(const Options& options, const Target& target) : options_(options), target_(target) {}

  void add(const std::vector<Shape>& shapes, std::span<const DType> dtypes) {
    for (const Shape& shape : shapes) {
      for (const DType dtype : types_asked_for(options_, dtypes)) {
        GemmProblem problem = {.m = shape.m,
                               .n = shape.n,
                               .k = shape.k,
                               .dtype = dtype,
                               .layout = shape.layout,
                               .groups = shape.groups,
                               .accumulate = options_.accumulate,
                               .fp32_out = options_.fp32_out,
                               .sms = static_cast<int>(options_.sms)};
        if (dtype == DType::fp8 && shape.pass) {
          // Weights are transposed, and gradients and inputs quantised along tokens, before: all
          // operands lie along k.
          problem.layout = GemmLayout::nt;
          problem.accumulate = *shape.pass == Pass::wgrad;
        }
        for (const Scaling scaling : scalings_of(dtype, options_)) {
          problem.scaling = scaling;
          add(problem, &shape);
        }
      }
    }
  }

  // Those of experts are grouped_cases.cpp's.
  void add(const std::vector<GemmProblem>& problems) {
    for (const GemmProblem& problem : problems)
      if (problem.groups == 1) add(problem);
  }

  void add_peaks() {
    for (const DType dtype : {DType::fp32, DType::bf16, DType::fp64, DType::int8}) {
      const PeakProblem problem{.dtype = dtype};
      if (!why_no_peak(problem).empty() || !wanted(dtype)) continue;
      Case made;
      made.name = fmt::format("fma/{}/registers/cores:{}", to_string(dtype), target_.device.sms);
      made.operation = "fma";
      made.dtype = to_string(dtype);
      made.backend = "registers";
      made.shape = {{"cores", target_.device.sms}};
      made.flops = peak_flops_of_one_run(problem);
      made.make = [problem](const OperandOptions&) { return make_peak(problem); };
      list_.cases.push_back(std::move(made));
    }
  }

  CaseList take() {
    // Backends that can't are said only where the element type was asked for, or nothing is left.
    if (!options_.dtypes.empty() || !options_.published.empty() || list_.cases.empty()) {
      for (std::string& reason : reasons_.texts()) list_.left_out.push_back(std::move(reason));
    }
    return std::move(list_);
  }

 private:
  [[nodiscard]] bool wanted(DType dtype) const {
    if (options_.dtypes.empty()) return true;
    for (const std::string& name : options_.dtypes) {
      if (name == to_string(dtype)) return true;
    }
    return false;
  }

  // A model's weight gradient in bf16 is there twice where the backend can: added to a sum in fp32
  // by the GEMM itself, as Megatron-LM and DeepSeek train; and C alone, in bf16, which PyTorch adds
  // up afterwards.
  void add(const GemmProblem& problem, const Shape* of = nullptr) {
    const bool sums = of != nullptr && of->pass == Pass::wgrad && problem.dtype == DType::bf16;
    bool here = false;
    for (const GemmBackend& backend : gemm_backends()) {
      if (backend.device != target_.kind) continue;
      here = true;
      if (backend.on_request && !asked_for(options_, backend.name)) continue;
      if (of != nullptr && of->of_expert && does_groups_of(backend, problem, *of->pass)) continue;
      if (sums) {
        GemmProblem sum = problem;
        sum.accumulate = true;
        if (backend.why_not(sum).empty()) add(sum, backend, of);
      }
      if (const std::string why = backend.why_not(problem); !why.empty()) {
        reasons_.add(problem.dtype, backend.name, why);
      } else {
        add(problem, backend, of);
      }
    }
    if (!here) reasons_.add("no GEMM implementation for this device was built in");
  }

  void add(const GemmProblem& problem, const GemmBackend& backend, const Shape* of) {
    Case made = gemm_case(problem, backend);
    if (of != nullptr) of->notes.write(made);
    if (std::string why = why_no_room(made.name, made.memory_bytes, target_); !why.empty()) {
      list_.left_out.push_back(std::move(why));
      return;
    }
    const auto [at, fresh] = places_.try_emplace(made.name, list_.cases.size());
    if (fresh) {
      list_.cases.push_back(std::move(made));
    } else if (of != nullptr) {
      of->notes.write(list_.cases[at->second]);
    }
  }

  // Then all experts' are listed as one GEMM of groups (grouped_cases.cpp).
  [[nodiscard]] bool does_groups_of(const GemmBackend& backend, const GemmProblem& problem,
                                    Pass pass) const {
    GroupedGemmProblem groups{.all = problem,
                              .sizes = {pass == Pass::wgrad ? problem.k : problem.m}};
    groups.all.accumulate = pass == Pass::wgrad;
    return std::ranges::any_of(grouped_gemm_backends(), [&](const GroupedGemmBackend& one) {
      return one.name == backend.name && one.device == target_.kind && one.why_not(groups).empty();
    });
  }

  const Options& options_;
  const Target& target_;
  CaseList list_;
  std::map<std::string, std::size_t> places_;  // in the list, by name
  Reasons reasons_;
};

// Of a step's experts each size that any has, as one product by itself.
std::vector<Shape> model_shapes(const Options& options, const Target& target) {
  std::vector<Shape> shapes;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, GemmLayout, std::int64_t, bool>,
           std::size_t>
      seen;
  const auto add = [&](Shape shape, const ModelGemm& gemm, double count) {
    shape.pass = gemm.work.pass;
    shape.layout = layout_named(layout_of(gemm.work.pass));
    const auto [at, fresh] = seen.try_emplace(
        {shape.m, shape.n, shape.k, shape.layout, shape.groups, shape.of_expert}, shapes.size());
    if (fresh) shapes.push_back(shape);
    shapes[at->second].notes.add(gemm, count);
  };
  for (const ModelGemm& gemm : model_gemms(options, tokens_of_models(options, target))) {
    const GemmWork& work = gemm.work;
    Shape shape{.m = work.m, .n = work.n, .k = work.k, .groups = work.groups};
    if (gemm.sizes.empty()) {
      add(shape, gemm, work.count);
      continue;
    }
    shape.groups = 1;
    shape.of_expert = true;
    std::map<std::int64_t, std::int64_t> experts;  // by their tokens
    for (const std::int64_t size : gemm.sizes) ++experts[size];
    for (const auto& [size, number] : experts) {
      if (size == 0) continue;
      (work.pass == Pass::wgrad ? shape.k : shape.m) = size;
      add(shape, gemm, work.count * static_cast<double>(number));
    }
  }
  return shapes;
}

std::vector<Shape> own_shapes(const Options& options) {
  std::vector<Shape> shapes;
  for (const std::int64_t m : options.m) {
    for (const std::int64_t n : options.n) {
      for (const std::int64_t k : options.k) {
        for (const GemmLayout layout : layouts_asked_for(options)) {
          for (const std::int64_t groups : options.batch)
            shapes.push_back({.m = m, .n = n, .k = k, .layout = layout, .groups = groups});
        }
      }
    }
  }
  return shapes;
}

std::vector<Shape> squares(const Target& target) {
  const std::vector<std::int64_t> edges = target.kind == DeviceKind::gpu
                                              ? std::vector<std::int64_t>{8192, 4096, 2048, 1024}
                                              : std::vector<std::int64_t>{2048, 1024, 512};
  std::vector<Shape> shapes;
  shapes.reserve(edges.size());
  for (const std::int64_t edge : edges) shapes.push_back({.m = edge, .n = edge, .k = edge});
  return shapes;
}

}  // namespace

GemmLayout layout_named(std::string_view layout) {
  return layout == "nn" ? GemmLayout::nn : layout == "tn" ? GemmLayout::tn : GemmLayout::nt;
}

Case gemm_case(const GemmProblem& problem, const GemmBackend& backend) {
  Case made;
  made.name = name_of(problem, backend.name);
  made.operation = "gemm";
  made.dtype = to_string(problem.dtype);
  made.backend = backend.name;
  made.shape = {{"m", problem.m}, {"n", problem.n}, {"k", problem.k}};
  made.layout = to_string(problem.layout);
  made.scaling = to_string(problem.scaling);
  if (problem.accumulate) made.shape["accumulate"] = 1;
  if (problem.fp32_out) made.shape["fp32_out"] = 1;
  made.cores = problem.sms;
  if (problem.groups > 1) made.shape["groups"] = problem.groups;
  const auto groups = static_cast<double>(problem.groups);
  made.flops = groups * gemm_flops(problem.m, problem.n, problem.k);
  made.bytes = groups * gemm_bytes(problem.m, problem.n, problem.k,
                                   static_cast<double>(size_of(problem.dtype)),
                                   static_cast<double>(output_size_of(problem)));
  if (problem.accumulate) made.bytes += static_cast<double>(problem.m * problem.n * 4);  // is read
  made.memory_bytes = made.bytes;
  made.make = [problem, make = backend.make](const OperandOptions& operands) {
    return make(problem, operands);
  };
  return made;
}

std::int64_t tokens_of_models(const Options& options, const Target& target) {
  return options.tokens.value_or(kStepTokens.of(target.kind == DeviceKind::gpu));
}

bool asked_for(const Options& options, std::string_view backend) {
  const std::string& filter = options.google.filter;
  return options.versus == backend ||
         (!filter.starts_with('-') && filter.find(backend) != std::string::npos);
}

std::vector<GemmProblem> gemm_problems(const Options& options) {
  std::vector<GemmProblem> problems;
  for (const DType dtype : types_asked_for(options, kAllTypes)) {
    for (const GemmLayout layout : layouts_asked_for(options)) {
      for (const std::int64_t groups : options.batch) {
        const GemmProblem problem = {.dtype = dtype,
                                     .layout = layout,
                                     .groups = groups,
                                     .accumulate = options.accumulate,
                                     .fp32_out = options.fp32_out,
                                     .sms = static_cast<int>(options.sms)};
        for (const Scaling scaling : scalings_of(dtype, options)) {
          problems.push_back(problem);
          problems.back().scaling = scaling;
        }
      }
    }
  }
  return problems;
}

CaseList gemm_cases(const Options& options, const Target& target) {
  if (options.sms > 0 && target.kind == DeviceKind::cpu)
    throw Unavailable("--sms: multiprocessors are a GPU's");
  if (options.sms > target.device.sms)
    throw Unavailable(
        fmt::format("--sms={}: this GPU has {} multiprocessors", options.sms, target.device.sms));
  if (options.groups) return grouped_cases(options, target);
  Builder builder(options, target);
  builder.add(own_shapes(options), kAllTypes);
  builder.add(published_gemms(options));
  const bool own = !options.m.empty() || !options.published.empty();
  if (!own && target.kind == DeviceKind::cpu) builder.add_peaks();
  builder.add(model_shapes(options, target), kTrainingTypes);
  if (!own) builder.add(squares(target), kAllTypes);
  CaseList list = builder.take();
  for (CaseList experts :
       {published_grouped_cases(options, target), model_grouped_cases(options, target)}) {
    std::ranges::move(experts.cases, std::back_inserter(list.cases));
    std::ranges::move(experts.left_out, std::back_inserter(list.left_out));
  }
  return list;
}

}  // namespace trainmeter
