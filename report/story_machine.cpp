// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The machine that a story is about, as a system: by the headers of its records, what was measured,
// and what is published of it.
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "report/story.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace trainmeter {

System measured_system(const std::vector<Record>& records, const RateBook& rates,
                       const Library& library, std::vector<std::string>& notes) {
  // Where no row is usable the headers say what it is.
  const auto on_gpu = [](const Record& record) {
    return std::ranges::all_of(record.headers,
                               [](const Header& h) { return h.device.kind == "gpu"; });
  };
  const bool gpus = !records.empty() && std::ranges::all_of(records, on_gpu);
  const std::string kind = gpus ? "gpu" : device_kind(records);
  System out;
  out.id = "this machine";
  out.kind = kind;
  std::optional<System> published;
  for (const Record& record : records) {
    for (const Header& header : record.headers) {
      if (header.device.kind != kind) continue;
      out.gpu = header.device.name;
      out.sms = std::max(out.sms, header.device.sms);  // a rank's share is not the machine
      if (header.device.memory_bytes > 0)              // an import doesn't know it
        out.memory_bytes = static_cast<double>(header.device.memory_bytes);
      out.gpus_per_node = std::max(out.gpus_per_node, header.device.count);
      // A name alone is no device: an import says neither SMs nor memory.
      if (!published && header.device.sms > 0) published = system_of_device(header.device, library);
    }
  }
  // On a CPU a process is a device: as many of them as a collective had ranks.
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      if (kind == "cpu" && is_collective(line.measurement.operation) &&
          !line.measurement.shape.contains(kCoSms))
        out.gpus_per_node = std::max(out.gpus_per_node, line.measurement.ranks);
    }
  }
  if (kind == "gpu" && published) {
    const std::int64_t here = out.gpus_per_node;
    out = *published;
    out.gpus_per_node = std::max(here, out.gpus_per_node);
    out.one_gpu_a_node_assumed = false;
    notes.push_back(fmt::format("peaks, links and price of {}: {} ({})", out.id,
                                out.source ? out.source->title : "",
                                out.source ? out.source->locator : ""));
    return out;
  }
  for (const std::string& id : library.ids("systems")) {
    const System known = library.system(id);
    if (kind == "cpu" && out.sms > 0 && known.kind == "cpu" && known.price_usd_per_gpu_hour &&
        known.sms > 0 && !out.price_usd_per_gpu_hour) {
      out.price_usd_per_gpu_hour = *known.price_usd_per_gpu_hour * static_cast<double>(out.sms) /
                                   static_cast<double>(known.sms);
      out.price_place = known.price_place;
      out.price_how = fmt::format("{} cores of {} as rented: {}", out.sms, known.gpu,
                                  known.source ? known.source->title : id);
      notes.push_back(fmt::format("price: {} an hour for {} (--price sets yours)",
                                  format_usd(*out.price_usd_per_gpu_hour), out.price_how));
    }
  }
  for (const std::string& dtype : dtype_names()) {
    if (const auto peak = rates.register_peak(dtype)) out.peak_flops[dtype] = peak->value;
  }
  if (kind == "cpu" && !out.peak_flops.empty())
    notes.emplace_back("peaks: a loop of multiply-adds on registers, measured here on every core");
  return out;
}

}  // namespace trainmeter
