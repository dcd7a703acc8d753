// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMMs of models' steps and of decode steps, alike ones put together.
#include "bench/model_gemms.hpp"

#include "kernels/gemm_grouped.hpp"
#include "record/error.hpp"
#include "workload/decode_gemms.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <numeric>
#include <utility>

namespace trainmeter {
namespace {

// DeepSeek-V3 was trained with its experts spread over 64 GPUs (report, 3.2.2); others as far as
// their experts divide.
constexpr std::int64_t kExpertParallel = 64;

bool is_of_experts(const GemmWork& work) {
  return work.name.starts_with("expert_");
}

// Of one --models.
class OfModel {
 public:
  OfModel(const Model& model, const Options& options) : model_(model), tp_(options.tp) {
    if (model.moe) ep_ = options.ep.value_or(std::gcd(kExpertParallel, model.moe->experts));
  }

  void train(std::int64_t tokens, std::vector<ModelGemm>& out) const {
    for (GemmWork& work : step_gemms(model_, tokens, tp_, ep_)) {
      ModelGemm made = named(std::string(to_string(work.pass)), fmt::format("tokens:{}", tokens));
      if (is_of_experts(work))
        made.sizes.assign(static_cast<std::size_t>(work.groups),
                          work.pass == Pass::wgrad ? work.k : work.m);
      made.work = std::move(work);
      out.push_back(std::move(made));
    }
  }

  // Tokens fall on experts alike: where there are fewer of them, on so many experts one each.
  void decode(std::int64_t sequences, std::vector<ModelGemm>& out) const {
    for (GemmWork& work : decode_gemms(model_, sequences, tp_, ep_)) {
      ModelGemm made = named(fmt::format("decode:{}", sequences), "decode");
      if (is_of_experts(work)) made.sizes = group_sizes(work.m, work.groups, Skew::balanced);
      made.work = std::move(work);
      out.push_back(std::move(made));
    }
  }

 private:
  [[nodiscard]] ModelGemm named(std::string pass, const std::string& of) const {
    ModelGemm made;
    made.model = model_.id;
    made.pass = std::move(pass);
    made.step = fmt::format("{} {} tp:{}", model_.id, of, tp_);
    if (model_.moe) made.step += fmt::format(" ep:{}", ep_);
    return made;
  }

  const Model& model_;
  std::int64_t tp_;
  std::int64_t ep_ = 1;
};

void append(std::string& to, const std::string& text) {
  if (!text.empty()) to += (to.empty() ? "" : "; ") + text;
}

}  // namespace

std::vector<ModelGemm> model_gemms(const Options& options, std::int64_t tokens) {
  std::vector<ModelGemm> out;
  const Library library(published_data());
  bool experts = false;
  for (const std::string& id : options.models) {
    const Model model = library.model(id);
    experts = experts || model.moe;
    const OfModel one(model, options);
    try {
      if (options.decode.empty()) one.train(tokens, out);
      for (const std::int64_t sequences : options.decode) one.decode(sequences, out);
    } catch (const BadInput& error) {
      throw BadInput(fmt::format("--models: {}: {}", id, error.what()));
    }
  }
  if (options.ep && !experts) throw BadInput("--ep: expected a model with experts in --models");
  return out;
}

void StepNotes::add(const ModelGemm& gemm, double count) {
  add({in_step_note(gemm.model, gemm.work.name, gemm.pass, count), gemm.step});
}

void StepNotes::add(const StepNotes& other) {
  append(in_step, other.in_step);
  const bool known = ("; " + step + "; ").find("; " + other.step + "; ") != std::string::npos;
  if (!known) append(step, other.step);
}

void StepNotes::write(Case& made) const {
  if (in_step.empty()) return;
  StepNotes all{made.notes["in_step"], made.notes["step"]};
  all.add(*this);
  made.notes["in_step"] = all.in_step;
  made.notes["step"] = all.step;
}

std::string tokens_of_experts(const std::vector<std::int64_t>& sizes) {
  std::map<std::int64_t, std::int64_t, std::greater<>> experts;  // by their tokens
  for (const std::int64_t size : sizes) ++experts[size];
  if (experts.size() == 1) return fmt::format("{} each", experts.begin()->first);
  std::string out;
  for (const auto& [tokens, count] : experts)
    out += fmt::format("{}{} for {}", out.empty() ? "" : ", ",
                       tokens == 0 ? "none" : std::to_string(tokens), count);
  return out;
}

std::string in_step_note(const std::string& model, const std::string& name, const std::string& pass,
                         double count) {
  return fmt::format("{} {} {} x {:.6g}", model, name, pass, count);
}

}  // namespace trainmeter
