// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The runs, rates and knowledge that the tests of predictions share.
#pragma once

#include "report/predict.hpp"

#include "fixtures.hpp"

#include <cmath>
#include <string>

namespace trainmeter {

inline const Library& library() {
  static const Library kLibrary = published_library();
  return kLibrary;
}

inline const Knowledge& knowledge() {
  static const Knowledge kKnowledge = load_knowledge(library());
  return kKnowledge;
}

inline Run gpt2() {
  trainmeter::Run run = library().run("gpt2-124m-10b");
  run.gpus = 1;
  Parallel layout;
  layout.microbatch_sequences = 4;
  layout.recompute = Recompute::none;
  run.parallel = layout;
  run.published = {};
  run.price_usd_per_gpu_hour.reset();
  return run;
}

inline System small_system() {
  System system;
  system.id = "small";
  system.kind = "cpu";
  system.peak_flops = {{"bf16", 2e12}};
  return system;
}

inline RateBook small_book() {
  RateBook book;
  book.describe(small_system());
  book.add(small_cpu());
  return book;
}

// Parts of a step as they are: not scaled to the median of draws.
inline constexpr PredictOptions kMiddle{.samples = 0};

inline RateBook published_book(const System& system) {
  RateBook book;
  book.add_published(library(), system);
  return book;
}

inline Prediction predicted(const trainmeter::Run& run, const PredictOptions& options = {}) {
  return predict(run, small_system(), small_book(), knowledge(), options);
}

// A published system and a run in one JSON, as a user would write it.
inline Prediction predicted(const nlohmann::json& run_json, const PredictOptions& options = {}) {
  const trainmeter::Run run = read_run(StrictObject(run_json, "mine.json"), library());
  return predict(run, *run.system, published_book(*run.system), knowledge(), options);
}

inline nlohmann::json read_json(const char* kind, const std::string& id) {
  return nlohmann::json::parse(slurp(library().root() / kind / (id + ".json")));
}

inline double factor(const trainmeter::Run& run, Factor f) {
  return std::exp(at(knowledge().calibration.for_family(run.family).log_mean, f));
}

inline double part(const Prediction& p, const std::string& name) {
  for (const auto& [key, seconds] : p.breakdown_s) {
    if (key == name) return seconds;
  }
  return NAN;
}

inline double whole(const Prediction& p) {
  double sum = 0;
  for (const auto& [name, seconds] : p.breakdown_s) sum += seconds;
  return sum;
}

inline bool ordered(const Estimate& e) {
  return std::isfinite(e.p05) && std::isfinite(e.p95) && 0 < e.p05 && e.p05 <= e.p50 &&
         e.p50 <= e.p95;
}

}  // namespace trainmeter
