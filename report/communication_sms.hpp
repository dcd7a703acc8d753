// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What compute takes longer where communication has SMs of its own (DeepSeek's: 20 of 132): from
// layers that were measured beside a co-runner in its place (layer_bench --co_sms), else in
// proportion to the SMs. docs/extrapolation.md says which layers count.
#pragma once

#include "record/record.hpp"
#include "report/used_inputs.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// Factors of the time of a layer's parts, in the layer.
struct SmsLoss {
  double fewer = 1;  // on the SMs that are left / on all
  double traffic =
      1;  // on those beside what moves the layer's dispatch and combine / beside nothing
};

struct CommunicationSms {
  SmsLoss gemms, attention, others;
  std::string how;
  std::vector<std::string> origins;  // FILE:LINE; none: not measured
};

// Layers whose GEMMs are in `dtype`, added up, beside the same number of SMs.
struct LayersBeside {
  std::string dtype;
  double share = 0;  // of the SMs, that the co-runner holds
  CommunicationSms loses;
};
std::vector<LayersBeside> layers_beside_communication(const std::vector<Record>& records);

// Where communication leaves `compute_sms` of the SMs (1: it has none of its own). Measured in
// `dtype` at that very share, else GEMMs and attention in proportion, and all else not at all.
CommunicationSms communication_sms(const std::vector<LayersBeside>& measured,
                                   std::string_view dtype, double compute_sms);

// The factors that aren't 1: in one line, and as inputs of a prediction.
std::string in_words(const CommunicationSms& sms);
std::vector<UsedInput> inputs_of(const CommunicationSms& sms);

}  // namespace trainmeter
