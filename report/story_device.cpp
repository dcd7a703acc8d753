// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "report/story_device.hpp"

#include "report/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace trainmeter {
namespace {

bool same_device(const Device& a, const Device& b) {
  return a.kind == b.kind && a.name == b.name;
}

std::string started(const Header& header) {
  return header.started_at == kUnknown ? "" : header.started_at;
}

std::string newest_start(const Record& record) {
  std::string newest;
  for (const Header& header : record.headers) newest = std::max(newest, started(header));
  return newest;
}

// Of the last header of what comes first of these: a measured GPU, a measured CPU, a GPU that is
// only named, a CPU.
const Device& device_of(const Record& record) {
  std::vector<bool> measured(record.headers.size(), false);
  for (const Line& line : record.lines) {
    if (line.measurement.usable()) measured[line.session] = true;
  }
  std::size_t best = 0;
  const auto rank = [&](std::size_t h) {
    return std::tuple(static_cast<bool>(measured[h]), record.headers[h].device.kind == "gpu",
                      started(record.headers[h]));
  };
  for (std::size_t h = 1; h < record.headers.size(); ++h) {
    if (rank(h) >= rank(best)) best = h;
  }
  return record.headers[best].device;
}

// The record with the headers and rows of `device` alone. How many rows of other devices it had, by
// their names, is added to `others`.
Record only(const Record& record, const Device& device,
            std::map<std::string, std::size_t>& others) {
  Record out;
  out.file = record.file;
  out.warnings = record.warnings;
  std::vector<std::size_t> place(record.headers.size());
  for (std::size_t h = 0; h < record.headers.size(); ++h) {
    place[h] = out.headers.size();
    if (same_device(record.headers[h].device, device)) {
      out.headers.push_back(record.headers[h]);
    } else {
      others.try_emplace(record.headers[h].device.name, 0);
    }
  }
  for (const Line& line : record.lines) {
    const Device& its = record.header_of(line).device;
    if (same_device(its, device)) {
      out.lines.push_back({line.measurement, place[line.session], line.line});
    } else {
      ++others[its.name];
    }
  }
  return out;
}

}  // namespace

OfOneDevice of_one_device(std::vector<Record> records) {
  OfOneDevice out;
  if (records.empty()) return out;
  const Record* newest = &records.front();
  for (const Record& record : records) {
    if (newest_start(record) >= newest_start(*newest)) newest = &record;
  }
  if (newest->headers.empty()) {
    out.records = std::move(records);
    return out;
  }
  const Device device = device_of(*newest);
  out.kind = device.kind;
  for (const Record& record : records) {
    std::map<std::string, std::size_t> others;
    Record own = only(record, device, others);
    for (const auto& [name, rows] : others) {
      out.left_out.push_back(
          fmt::format("{}: of another device, {}: {} {} left out; this report is of {}",
                      record.file.string(), name, rows, rows == 1 ? "row" : "rows", device.name));
    }
    if (!own.headers.empty()) out.records.push_back(std::move(own));
  }
  return out;
}

bool imported(const Header& header) {
  return header.device.details.contains("original_sha256");
}

}  // namespace trainmeter
