// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The user's records: of which kind of device they are, and their rates as another system's.
#include "record/error.hpp"
#include "report/gemm_curve.hpp"
#include "report/rate_lines.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace trainmeter {

std::string device_kind(const std::vector<Record>& records) {
  bool measured = false;
  bool on_gpu = false;
  for (const Record& record : records) {
    for (const Header& header : record.headers) on_gpu = on_gpu || header.device.kind == "gpu";
    for (const Line& line : record.lines) {
      if (!line.measurement.usable()) continue;
      if (record.header_of(line).device.kind == "gpu") return "gpu";
      measured = true;
    }
  }
  return on_gpu && !measured ? "gpu" : "cpu";
}

std::vector<Record> of_kind(std::vector<Record> records, const std::string& kind) {
  for (Record& record : records) {
    std::erase_if(record.lines,
                  [&](const Line& line) { return record.header_of(line).device.kind != kind; });
  }
  return records;
}

namespace {

std::optional<System> system_of(const Device& device, const System& on, const Library& library) {
  return device.name == on.gpu ? on : system_of_device(device, library);
}

}  // namespace

std::vector<Record> of_chip(std::vector<Record> records, const System& on, const Library& library) {
  std::map<std::string, bool> same;  // by the device's name
  for (Record& record : records) {
    std::erase_if(record.lines, [&](const Line& line) {
      const Device& device = record.header_of(line).device;
      const auto [at, added] = same.insert({device.name, true});
      if (added) {
        const auto from = system_of(device, on, library);
        at->second =
            device.kind == on.kind && (!from || nearness(*from, on, "", "") <= Nearness::same_chip);
      }
      return !at->second;
    });
  }
  return records;
}

std::vector<std::string> add_projected(RateBook& book, const std::vector<Record>& records,
                                       const System& on, const Library& library, OfACase which) {
  std::vector<std::string> notes;
  const auto note = [&](const std::string& text) {
    if (std::ranges::find(notes, text) == notes.end()) notes.push_back(text);
  };
  std::map<std::string, std::optional<System>> systems;  // by the device's name
  std::map<std::string, std::vector<RatePoint>> points;  // of those devices
  std::map<std::string, std::vector<PowerPoint>> power;
  std::string other_kind;  // a device of it, with its record
  const std::vector<RateLine> lines = rate_lines(records);
  for (const auto& [record, line] : lines) {
    const Device& device = record->header_of(*line).device;
    if (device.kind != on.kind) {
      other_kind =
          fmt::format("{}: rates of {} are never carried to {}: one is a CPU, the other a GPU",
                      record->file.string(), device.name, on.id);
      note(other_kind);
      continue;
    }
    const auto [at, added] = systems.insert({device.name, std::nullopt});
    if (added) at->second = system_of(device, on, library);
    std::ranges::copy(power_points(line->measurement), std::back_inserter(power[device.name]));
  }
  for (const auto& [record, line] : which == OfACase::all ? lines : one_a_case(lines)) {
    const Device& device = record->header_of(*line).device;
    if (device.kind == on.kind) points[device.name].push_back(point_of(*record, *line));
  }
  if (points.empty() && !other_kind.empty())
    throw BadInput(other_kind + " (predict --system measured: a run on the measured machine)");
  // The nearest first, so that the others are used only for what it lacks.
  for (const Nearness turn : {Nearness::own, Nearness::same_chip, Nearness::same_architecture,
                              Nearness::other_architecture}) {
    for (const auto& [name, from] : systems) {
      if (!from) continue;
      std::vector<RatePoint> now = points[name];
      std::erase_if(now, [&, &source = *from](const RatePoint& p) {
        return nearness(source, on, p.operation, p.dtype) != turn;
      });
      const std::vector<RatePoint> known = book.points();
      const auto exponent = measured_exponent(power[name], from->power_w.value_or(0));
      const Projection projection = project(
          now, *from, on, {.exponent = exponent.value_or(PowerExponent{}), .known = &known});
      for (const RatePoint& p : projection.points) book.add(p);
      for (const std::string& reason : projection.reasons) note(reason);
    }
  }
  for (const auto& [name, from] : systems) {
    if (from) continue;
    for (const RatePoint& p : points[name]) book.add(p);
    note(
        fmt::format("rates measured on {} are used for {} as they are: no published system is "
                    "known to be that device",
                    name, on.id));
  }
  return notes;
}

}  // namespace trainmeter
