// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Two successive looks must agree, or the last one possible.
#include "bench/stop_rule.hpp"

namespace trainmeter {

std::string StopRule::why_stop(std::int64_t have, bool late, const Narrow& narrow) {
  const bool full = have >= max_samples_;
  if (!(target_ > 0)) return full ? "sample_limit" : "enough";
  if (have < next_look_ && !full && !late) return "";
  // The look before this one was at half as many samples, or would have been.
  const bool narrow_now = have > 0 && narrow(have);
  next_look_ = 2 * have;
  if (narrow_now && (full || late || narrow(have / 2))) return "converged";
  return full ? "sample_limit" : late ? "time_limit" : "";
}

}  // namespace trainmeter
