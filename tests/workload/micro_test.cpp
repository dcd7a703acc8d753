// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a file of micro figures is refused for.
#include "workload/micro.hpp"

#include "../refusal.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

using namespace trainmeter;
using nlohmann::json;
using testing::HasSubstr;

namespace {

json figure(const std::string& operation, const std::string& rate, double value) {
  json out = json::parse(R"({"id": "f", "dtype": "bf16", "backend": "x", "source":
    {"title": "t", "locator": "l", "url": "u", "read_on": "2026-11-24"}})");
  out["operation"] = operation;
  if (!rate.empty()) out[rate] = value;
  return out;
}

std::string refused(const std::vector<json>& figures) {
  const json whole = {{"id", "m"}, {"system", "h100"}, {"title", "t"}, {"figures", figures}};
  return refusal([&] { (void)read_micro(StrictObject(whole, "m.json")); });
}

}  // namespace

TEST(MicroFile, ExactlyOneRate) {
  EXPECT_THAT(refused({figure("gemm", "", 0)}),
              HasSubstr("figures[0].flops_per_s: expected exactly one"));
  json one = figure("gemm", "flops_per_s", 1e12);
  EXPECT_EQ(refused({one}), "nothing was refused");
  json two = one;
  two["bytes_per_s"] = 1e12;
  EXPECT_THAT(refused({two}), HasSubstr("figures[0].flops_per_s: expected exactly one"));
  one.erase("source");
  EXPECT_THAT(refused({one}), HasSubstr("figures[0].source: missing"));
}

TEST(MicroFile, TheRateIsOfItsOperation) {
  EXPECT_EQ(refused({figure("copy", "bytes_per_s", 3e12)}), "nothing was refused");
  EXPECT_EQ(refused({figure("allreduce", "bus_bytes_per_s", 3e11)}), "nothing was refused");
  EXPECT_THAT(refused({figure("allreduce", "flops_per_s", 3e11)}),
              HasSubstr("figures[0].flops_per_s: expected bus_bytes_per_s, the rate of allreduce"));
  EXPECT_THAT(refused({figure("gemm", "bytes_per_s", 3e12)}),
              HasSubstr("figures[0].bytes_per_s: expected flops_per_s, the rate of gemm"));
}

TEST(MicroFile, ARateThatOnlyAWrongUnitExplainsIsRefused) {
  EXPECT_THAT(refused({figure("gemm", "flops_per_s", 800)}),  // TFLOP/s
              HasSubstr("figures[0].flops_per_s: expected FLOP/s of one GPU, 1e+09 to 1e+17"));
  EXPECT_THAT(refused({figure("read", "bytes_per_s", 3000)}),  // GB/s
              HasSubstr("figures[0].bytes_per_s: expected bytes/s of one GPU, 1e+09 to 1e+14"));
  EXPECT_THAT(refused({figure("alltoall", "bus_bytes_per_s", 158)}),
              HasSubstr("figures[0].bus_bytes_per_s: expected bytes/s, one way, per GPU"));
  EXPECT_THAT(refused({figure("gemm", "flops_per_s", 1e300)}), HasSubstr("found 1e+300"));
}

TEST(MicroFile, AnIdStandsOnce) {
  const json one = figure("gemm", "flops_per_s", 1e12);
  EXPECT_EQ(refused({one, one}),
            "m.json: figures[1].id: expected one that no figure before it has, found \"f\"");
}
