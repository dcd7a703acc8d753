// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our GEMMs beside those that others published of the very shape on a GPU with the same chip.
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"
#include "report/rates.hpp"
#include "workload/micro.hpp"
#include "workload/run.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trainmeter {

struct BesidePublished {
  RatePoint point;     // the fastest line of the case by this method
  std::string method;  // burst, sustained; "": neither was asked for
  MicroFigure figure;  // the highest that was published of the shape
  std::string system;  // that it was published of

  [[nodiscard]] double ratio() const { return point.value / *figure.flops_per_s; }
};

// Plain and grouped GEMMs in layout nt whose C is written in the type's own, of all the device, in
// the order of the records. `machine`: the measured device.
std::vector<BesidePublished> beside_published(const std::vector<Record>& records,
                                              const System& machine, const Library& library);

// Heading, table, and each backend's lowest and mean ratio; nothing where there is no such GEMM.
Document to_document(const std::vector<BesidePublished>& rows);
nlohmann::ordered_json to_json(const BesidePublished& row);

}  // namespace trainmeter
