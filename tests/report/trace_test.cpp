// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A trace as a declared input: its file, and a bill that comes to it.
#include "report/trace.hpp"

#include "report/candidates.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

nlohmann::json trace_json() {
  return nlohmann::json::parse(
      slurp(published_library().root() / "traces" / "deepseek-v3-h800.json"));
}

}  // namespace

TEST(Trace, ARefusalNamesFileAndKey) {
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, nlohmann::json>>{
           {"layers", 0}, {"gemm_s", -1}, {"attention_s", "1"}, {"layer_kind", "head"}}) {
    nlohmann::json json = trace_json();
    json[key] = value;
    const auto file = write_text(json.dump(), "trace.json");
    EXPECT_THAT(refusal([&] { (void)read_trace(file); }),
                HasSubstr(std::string("trace.json: ") + key));
  }
  nlohmann::json json = trace_json();
  json.erase("source");
  const auto file = write_text(json.dump(), "trace.json");
  EXPECT_THAT(refusal([&] { (void)read_trace(file); }), HasSubstr("source"));
}

TEST(Trace, ItsLayersTakeWhatItSays) {
  const Library library = published_library();
  const trainmeter::Run run = library.run("deepseek-v3-step");
  RateBook book;
  book.add_published(library, *run.system);
  const FactorTable table = read_factors(library.root() / "factors.json");
  const Bill bill = candidates(run, *run.system, book, table.medians()).front().bill;
  Trace trace = read_trace(library.root() / "traces" / "deepseek-v3-h800.json");
  EXPECT_EQ(trace.run, run.id);
  EXPECT_EQ(trace.kind, LayerKind::moe);
  for (const double slower : {1.0, 3.0}) {
    trace.gemm_s *= slower;
    const WorkSeconds layer =
        layer_work_s(with_trace(bill, trace, table.medians()), trace.kind, table.medians());
    EXPECT_NEAR((layer[Work::gemm] + layer[Work::gemm_high] + layer[Work::grouped]) * trace.layers,
                trace.gemm_s, 1e-9);
    EXPECT_NEAR(layer[Work::attention] * trace.layers, trace.attention_s, 1e-9);
    EXPECT_NEAR((layer[Work::traffic] + layer[Work::expert_traffic]) * trace.layers, trace.memory_s,
                1e-9);
  }
}
