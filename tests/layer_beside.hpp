// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rows of a layer beside a co-runner, as layer_bench --co_sms writes them.
#pragma once

#include "record/overlap.hpp"
#include "record/record.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace trainmeter {

// A forward layer on 112 of 132 SMs.
class LayerBeside {
 public:
  explicit LayerBeside(const std::string& dtype = "fp8") {
    layer_.name = "layer_forward/" + dtype + "/composed/m/moe/rows:8/memory_mover/co_sms:20";
    layer_.operation = "layer_forward";
    layer_.dtype = dtype;
    layer_.shape = {{kCoSms, kSms}};
    layer_.sms = 132;
  }

  // Seconds of one place: in the layer and alone, on all SMs, on those left idle, beside traffic.
  void part(const char* operation, std::int64_t places, const std::vector<double>& times_s) {
    Measurement part = layer_;
    part.operation = operation;
    part.name = std::string(operation) + "/x/memory_mover/co_sms:20";
    part.notes[kOfLayer] = layer_.name;
    const OverlapRows rows = overlap_rows(part, "memory_mover", kSms, false);
    std::size_t i = 0;
    for (const Measurement* alone : {&rows.alone, &rows.held, &rows.together}) {
      Measurement in_place = *alone;
      in_place.beside = alone->beside == "none" ? kInLayer : in_layer_beside(alone->beside);
      in_place.runs_per_sample = places;
      add(in_place, times_s.at(i++));
      add(*alone, times_s.at(i++));
    }
  }

  // The layer on all SMs, on those left idle, beside traffic; the co-runner alone and beside it.
  void whole(const std::vector<double>& times_s) {
    OverlapRows rows = overlap_rows(layer_, "memory_mover", kSms, false);
    rows.co_together.notes["co_layer_bytes"] = "1e6";
    std::size_t i = 0;
    for (const Measurement* row :
         {&rows.alone, &rows.held, &rows.together, &rows.co_alone, &rows.co_together})
      add(*row, times_s.at(i++));
  }

  Record record;

 private:
  static constexpr std::int64_t kSms = 20;

  void add(Measurement row, double time_s) {
    row.verified = true;
    row.time_s = {time_s};
    record.lines.push_back({.measurement = row, .line = record.lines.size() + 2});
  }

  Measurement layer_;
};

}  // namespace trainmeter
