// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Finds the casts of a GEMM's operands in its record.
#include "report/with_casts.hpp"

#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/samples.hpp"
#include "report/rates.hpp"
#include "report/story.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace trainmeter {
namespace {

struct Casts {
  std::vector<std::string> what;
  double seconds = 0;
};

struct Row {
  RatePoint gemm;
  std::string problem;
  double seconds = 0, flops = 0;
  Casts casts;

  [[nodiscard]] double rate_with() const { return flops / (seconds + casts.seconds); }
};

std::int64_t size(const Measurement& m, const char* key) {
  const auto found = m.shape.find(key);
  return found == m.shape.end() ? 1 : found->second;
}

bool counts(const Record& record, const Line& line) {
  const Measurement& m = line.measurement;
  const Header& header = record.header_of(line);
  return m.usable() && m.beside == "none" && !m.shape.contains(kCoSms) &&
         m.sms == header.device.sms && header.discipline.data == "normal" &&
         header.discipline.cache != "hot";
}

class Finder {
 public:
  Finder(const Record& record, const Line& gemm) : record_(record), gemm_(gemm) {}

  // Nothing unless the cast of each activation was measured.
  [[nodiscard]] std::optional<Casts> casts() const {
    const Measurement& m = gemm_.measurement;
    const bool grouped = m.operation == "grouped_gemm";
    Casts out;
    if (m.shape.contains("accumulate")) {
      for (const char* width : {"m", "n"}) {
        if (!add(out, {"cast_fp8_transpose", "recast_fp8"}, size(m, "k"), size(m, width)))
          return std::nullopt;
      }
      return out;
    }
    const std::int64_t rows = size(m, "m") * (grouped ? 1 : size(m, "groups"));
    if (!add(out, {"cast_fp8", "cast_fp8_transpose"}, rows, size(m, "k"))) return std::nullopt;
    add(out, {"cast_fp8_block"}, size(m, "n"), size(m, "k"), size(m, "groups"));
    return out;
  }

 private:
  // The first of these kernels that was measured at this size, `times` over.
  bool add(Casts& to, std::initializer_list<std::string_view> kernels, std::int64_t rows,
           std::int64_t cols, std::int64_t times = 1) const {
    for (const std::string_view kernel : kernels) {
      std::optional<double> least;
      for (const Line& line : record_.lines) {
        const Measurement& m = line.measurement;
        if (m.operation != kernel || size(m, "rows") != rows || size(m, "cols") != cols ||
            !same_device(line) || !counts(record_, line))
          continue;
        const double seconds = median_time(m).median;
        least = std::min(least.value_or(seconds), seconds);
      }
      if (!least) continue;
      to.what.push_back(fmt::format("{} {} x {}", kernel, rows, cols));
      if (times > 1) to.what.back() += fmt::format(", {} times", times);
      to.seconds += static_cast<double>(times) * *least;
      return true;
    }
    return false;
  }

  [[nodiscard]] bool same_device(const Line& line) const {
    return record_.header_of(line).device.name == record_.header_of(gemm_).device.name;
  }

  const Record& record_;
  const Line& gemm_;
};

std::vector<Row> rows_of(const std::vector<Record>& records) {
  std::vector<Row> out;
  for (const Record& record : records) {
    const auto first = static_cast<std::ptrdiff_t>(out.size());
    for (const Line& line : record.lines) {
      const Measurement& m = line.measurement;
      if (m.dtype != "fp8" || m.scaling != "block128" || !m.operation.ends_with("gemm") ||
          !counts(record, line))
        continue;
      std::optional<Casts> casts = Finder(record, line).casts();
      if (!casts) continue;
      const RatePoint point = point_of(record, line);
      Row row = {point, shown_gemm(point), median_time(m).median, m.flops, std::move(*casts)};
      const auto same = std::find_if(out.begin() + first, out.end(), [&](const Row& other) {
        return other.gemm.operation == point.operation && other.problem == row.problem;
      });
      if (same == out.end()) {
        out.push_back(std::move(row));
      } else if (row.seconds < same->seconds) {
        *same = std::move(row);
      }
    }
  }
  return out;
}

}  // namespace

Document with_casts(const std::vector<Record>& records) {
  const std::vector<Row> rows = rows_of(records);
  if (rows.empty()) return {};
  Document out;
  out.emplace_back(Heading{2, "fp8 GEMMs with and without their casts"});
  Table table{{"operation", "problem", "backend", ">its rate", "casts", ">their time",
               ">of the GEMM's", ">rate with them"},
              {}};
  for (const Row& row : rows) {
    table.rows.push_back(
        {row.gemm.operation, row.problem, row.gemm.backend, format_flops(row.gemm.value),
         fmt::format("{}", fmt::join(row.casts.what, "; ")), format_seconds(row.casts.seconds),
         fmt::format("{:.1f} %", 100 * row.casts.seconds / row.seconds),
         format_flops(row.rate_with())});
  }
  out.emplace_back(std::move(table));
  out.emplace_back(Paragraph{
      "Times of each alone, added. A transposing cast also serves the weight gradient, and several "
      "GEMMs may read what is cast once; a weight is cast once a step, not once a micro-batch."});
  return out;
}

nlohmann::ordered_json with_casts_json(const std::vector<Record>& records) {
  auto out = nlohmann::ordered_json::array();
  for (const Row& row : rows_of(records)) {
    out.push_back({{"gemm", row.gemm.name},
                   {"rate", row.gemm.value},
                   {"casts", row.casts.what},
                   {"casts_s", row.casts.seconds},
                   {"rate_with", row.rate_with()},
                   {"origin", row.gemm.origin}});
  }
  return out;
}

}  // namespace trainmeter
