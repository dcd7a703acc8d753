// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A story is of one device: which, where its records are of several, and which of their rows are
// of it.
#pragma once

#include "record/record.hpp"

#include <string>
#include <vector>

namespace trainmeter {

struct OfOneDevice {
  std::string kind = "cpu";           // gpu or cpu
  std::vector<Record> records;        // with its headers and rows alone
  std::vector<std::string> left_out;  // a line for each other device
};

// Of the newest record, by `started_at`: the GPU that it measured, else the CPU; where no row of it
// is usable, what its headers name.
OfOneDevice of_one_device(std::vector<Record> records);

// Another program's output (trainmeter import).
bool imported(const Header& header);

}  // namespace trainmeter
