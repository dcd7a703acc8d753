// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the options --rates and --system come to for a run: the system it is predicted on, and the
// rates it is predicted from.
#pragma once

#include "record/record.hpp"
#include "report/rates.hpp"
#include "workload/run.hpp"
#include "workload/system.hpp"

#include <string>
#include <vector>

namespace trainmeter {

struct RatesOptions {
  std::string system;  // id or file; "measured": the records' own; empty: the run's
  bool no_in_place = false;
  bool priced = false;  // by whoever asks, so that two systems' prices aren't compared
};

struct RunRates {
  System system;
  RateBook book;
  std::vector<std::string> notes;     // what was assumed and carried over
  std::vector<std::string> warnings;  // of them, and others
};

// Of `records`, or published ones where there is none. A CPU's records mean a run on that CPU where
// no system is asked for. BadInput where no system is known, or the records say nothing of it.
RunRates rates_for(const Run& run, const std::vector<Record>& records, const Library& library,
                   const RatesOptions& options);

}  // namespace trainmeter
