// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which lines of records give rates, and which of a case's lines is its rate.
#pragma once

#include "record/record.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct RateLine {
  const Record* record;
  const Line* line;
};

// Lines that give rates, of all records. Ranks count as devices of one node, so a collective
// between nodes (notes.hosts) is left out. fp8 is trained with scales of blocks; a scale of a
// tensor, which is less work, stands for it only where nothing else was measured on the device.
std::vector<RateLine> rate_lines(const std::vector<const Record*>& records);
std::vector<RateLine> rate_lines(const std::vector<Record>& records);

// Of each case of a backend on one model of device the line that is its rate, in the order of
// `lines`. Of one device's lines (repetitions, starts, records) that with the median rate, of an
// even number the slower of the two in the middle: the fastest would be the luckiest of many. A
// ceiling (fma) is the fastest. Of several devices the slowest one's: in a synchronous step the
// others wait for it. Bursts and sustained rates are cases of their own.
std::vector<RateLine> one_a_case(const std::vector<RateLine>& lines);

// How far devices of one model are apart, in the case where they are farthest apart.
struct DevicesApart {
  std::string kind;         // gpu or cpu
  std::size_t devices = 0;  // that were measured
  std::string at;           // the case's name on the slowest
  std::string slowest;      // which it is there
  double below = 0;         // 1 - its rate / the fastest one's

  [[nodiscard]] bool differ() const;  // by more than devices of one model do
  [[nodiscard]] std::string shown() const;
};

// Nothing where no case was measured on more than one. Collectives are of several at once.
std::optional<DevicesApart> devices_apart(const std::vector<Record>& records);

}  // namespace trainmeter
