// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// "Measured on X, projected to Y": rates of one device carried to another, each step with its
// reason. docs/extrapolation.md explains the rules.
#pragma once

#include "record/record.hpp"
#include "report/power_curve.hpp"
#include "report/rates.hpp"
#include "workload/run.hpp"
#include "workload/system.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// The share of its rate that a device keeps when a cap of `held_w` becomes `cap_w` and its power
// wasn't measured: the ratio of the caps to kPowerExponent; 1 where the cap doesn't fall.
double power_share(double cap_w, double held_w);

struct TransferOptions {
  Nearness farthest = Nearness::other_architecture;  // leave out what would come from farther away
  bool power = true;                                 // false: the cap is left to who uses the rates
  bool gemm_shapes = true;  // false: GEMMs that memory bounds carry over as the others do
  PowerExponent exponent;   // measured on the device, or from physics
  const std::vector<RatePoint>* known = nullptr;  // leave out what these know from nearer by
};

struct Projection {
  std::vector<RatePoint> points;
  // One line for each rule used, and for each kind of rate that was left out: "measured on h200,
  // projected to h800: memory kernels x 0.70 (...)".
  std::vector<std::string> reasons;
};

// `points` measured on `from`, as they would be on `to`. Points of `to` itself stay as they are.
// The spread of a projected point is never below that of its source.
Projection project(const std::vector<RatePoint>& points, const System& from, const System& to,
                   const TransferOptions& options = {});

// How near a rate of this dtype measured on `from` is to one of `to`.
Nearness nearness(const System& from, const System& to, const std::string& operation,
                  const std::string& dtype);

// hopper, ampere, blackwell, ...; empty where the name of the GPU doesn't tell.
std::string architecture(const System& system);

// The published system that a measured GPU is, by its name, form, SMs and memory.
std::optional<System> system_of_device(const Device& device, const Library& library);

// Of the device that records are about: gpu where one was measured, else cpu.
std::string device_kind(const std::vector<Record>& records);
// What was measured on devices of this kind (gpu or cpu), record by record.
std::vector<Record> of_kind(std::vector<Record> records, const std::string& kind);

// Their lines of `on`'s own chip, and of devices that no published system is known to be: a ratio
// of what kernels lose to each other isn't carried to another chip.
std::vector<Record> of_chip(std::vector<Record> records, const System& on, const Library& library);

// Of several lines of a case, that which is its rate (report/rate_lines.hpp), or, where the most
// that was measured is asked for, all.
enum class OfACase { rate, all };

// Adds what `records` measured to `book`, as rates of `on`: its own as they are, those of other
// published systems projected, the nearest first; those of devices that no published system
// describes as they are. A CPU's rates are never a GPU's, nor the other way round: they are left
// out, and where nothing else was measured that is BadInput. Returns the reasons and warnings.
std::vector<std::string> add_projected(RateBook& book, const std::vector<Record>& records,
                                       const System& on, const Library& library,
                                       OfACase which = OfACase::rate);

}  // namespace trainmeter
