// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The charts of a report, each with its table. Where a story lacks what a chart shows, a paragraph
// says what is missing.
#pragma once

#include "report/document.hpp"
#include "report/story.hpp"

namespace trainmeter {

// A table of a chart ends after this many rows, and says so; the chart shows all.
inline constexpr std::size_t kRowsBelowChart = 200;

Block ladder_chart(const Story& story);    // datasheet, best kernel, step, as FLOP/s
Block roofline_chart(const Story& story);  // GEMMs by FLOP per least byte, under both roofs
Block shape_chart(const Story& story);     // GEMM rate against FLOPs of one run
Block payload_chart(const Story& story);   // bus bandwidth of an all-reduce against payload
Block regime_chart(const Story& story);    // cases measured in burst and sustained
Block breakdown_chart(const Prediction& prediction);   // where a step's time goes
Block basis_chart(const Prediction& prediction);       // what that time rests on
Block tornado_chart(const Prediction& prediction);     // what each factor's range does to the step
Block validation_chart(const Validation& validation);  // predicted over published steps

}  // namespace trainmeter
