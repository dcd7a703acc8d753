// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// --resume: what a record holds already, and whether it is a record to go on with.
#pragma once

#include "bench/runner.hpp"
#include "record/record.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

// What keeps two sessions from being one: machine, revision, settings of the measurement. One short
// text each ("device: A, now B").
std::vector<std::string> differences(const Header& then, const Header& now);

// BadInput where the record holds a session of this program that is none of `allowed`: this one, or
// with the quick rules of a search.
void require_same(const Record& record, const std::vector<Header>& allowed);

// A row that a finished plan has.
struct RowKey {
  std::string name, paired_with, beside = "none";
  std::int64_t ranks = 1;
  auto operator<=>(const RowKey&) const = default;
};
std::vector<RowKey> rows_of(const Plan& plan, std::int64_t ranks);
// Of each of so many devices, alone and with all together.
std::vector<RowKey> rows_on_devices(const Plan& plan, std::size_t devices);

// How many usable measurements of each row the record holds, of sessions on the same device that
// don't differ from `now`; of any with `anyway`. A host's devices may share a record.
int finished_repetitions(const std::vector<RowKey>& rows, const Record& record, const Header& now,
                         bool anyway);
// The first such of a case, whatever it was measured beside; nullptr: none.
const Measurement* finished_row(const std::string& name, const Record& record, const Header& now,
                                bool anyway);

}  // namespace trainmeter
