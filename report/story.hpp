// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The whole story of a record: what was achieved beside what is possible, what that means for a
// training run on this machine, and what it says about published claims.
#pragma once

#include "record/statistics.hpp"
#include "report/beside_published.hpp"
#include "report/claims.hpp"
#include "report/document.hpp"
#include "report/predict.hpp"
#include "report/rate_lines.hpp"
#include "report/rates.hpp"
#include "report/step_gemms.hpp"
#include "report/validate.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// The best case of one operation, dtype and backend.
struct Achieved {
  RatePoint point;
  std::optional<double> possible;    // in the unit of point.value
  std::string possible_how;          // "datasheet of h100", "register loop, measured"
  std::optional<Interval> interval;  // 95 %, of the median's rate; none where samples can't tell
  std::size_t samples = 0;
  std::optional<double> per_joule;  // FLOP/J or bytes/J
  bool imported = false;            // another program's figure, which no prediction takes
};

struct Story {
  std::string title;
  std::vector<Record> records;      // none: the story of the published data alone
  std::filesystem::path published;  // the folder of published data
  System machine;                   // the measured device as a system
  std::vector<std::string> notes;   // how `machine` was made
  RateBook rates;
  std::optional<DevicesApart> apart;  // where several of one model were measured
  std::vector<RatePoint> points;  // that are shown: those of `rates`, and later published figures
  std::vector<Achieved> achieved;
  std::vector<Achieved> collectives;  // every payload, in order
  std::vector<BesidePublished> beside_published;
  std::vector<StepGemms> steps;
  FactorTable assumed;                  // what predictions take, before they look at a run
  std::vector<std::string> failures;    // error rows
  std::vector<std::string> unverified;  // rows that nobody checked, with their rates
  std::vector<std::string> warnings;
  std::optional<Prediction> prediction;
  std::string prediction_title;
  std::string why_no_prediction;
  std::vector<Verdict> verdicts;
  std::optional<Validation> validation;  // where it was asked for
};

struct StoryOptions {
  std::string run = "gpt2-124m-10b";  // what is carried to this machine
  PredictOptions predict;
  bool validate = false;  // every published run too: some seconds
};

Story tell(std::vector<Record> records, const Library& library, const StoryOptions& options);

// What others published, with no measurement of ours: the run on its own system, by the rates that
// others measured on it. BadInput where the run names no system.
Story tell_published(const Library& library, const StoryOptions& options);

std::string shown_rate(const RatePoint& point, double value);
// "32768 x 4096 x 7168 in 4 groups nn, added to": rows of all groups together, the layout where it
// isn't nt, what is done with C.
std::string shown_gemm(const RatePoint& point);
// What follows operation, type and backend in a case's name: "rows:1024 cols:4096".
std::string sizes_in(const std::string& name);
// How it was timed: "in runs back to back", "in bursts after rests", "after half a minute of work".
std::string shown_regime(const RatePoint& point);
std::string shown_rate(const UsedRate& used);
std::string number_id(const Prediction& prediction, const InPlaceLink& link);

// The measured device as a system: a GPU by its name from the published systems, a CPU with its
// measured register peaks.
System measured_system(const std::vector<Record>& records, const RateBook& rates,
                       const Library& library, std::vector<std::string>& notes);

enum class Claims { table, in_full };
Document to_document(const Story& story, Claims claims = Claims::table);
std::string devices_of(const Prediction& prediction);  // "64 x h100, GEMMs in bf16"
Document to_document(const Prediction& prediction, const std::string& title);
nlohmann::ordered_json to_json(const Story& story);

}  // namespace trainmeter
