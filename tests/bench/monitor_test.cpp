// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The watching thread and what it sums up, over recorded readings and over this machine's.
#include "bench/monitor.hpp"

#include "bench/exclusive.hpp"

#include "fakes.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <unistd.h>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// Readings half a second apart, from 10 s on.
std::vector<TelemetrySample> samples(std::size_t count) {
  std::vector<TelemetrySample> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i].at_s = 10 + 0.5 * static_cast<double>(i);
  return out;
}

Watched watched(std::vector<TelemetrySample> seen) {
  Watched out;
  out.samples = std::move(seen);
  return out;
}

Watched with_energy(const std::vector<std::uint64_t>& joules, std::uint64_t largest_j = 0) {
  auto seen = samples(joules.size());
  for (std::size_t i = 0; i < joules.size(); ++i) {
    seen[i].energy_uj = {{.value = joules[i] * 1'000'000, .largest = largest_j * 1'000'000}};
  }
  return watched(seen);
}

Watched with_power(const std::vector<double>& watts) {
  auto seen = samples(watts.size());
  for (std::size_t i = 0; i < watts.size(); ++i) seen[i].power_w = watts[i];
  return watched(seen);
}

MATCHER_P3(Held, reason, begin_s, end_s, "") {
  return arg.reason == reason && arg.begin_s == begin_s && arg.end_s == end_s;
}

TEST(NoteSampling, MarksThrottledSamplesAndCountsTheRunsEnergy) {
  // 200 W from 10 to 12 s, throttled at 11 s; two rounds of two samples each, in half of that time.
  Watched seen = with_power({200, 200, 200, 200, 200});
  seen.samples[2].throttle_reasons = {"sw_power_cap"};
  Measurement row;
  row.time_s = {0.25, 0.25, 0.25, 0.25};
  note_sampling(seen, {{0, 2, 10, 10.9}, {2, 4, 11.1, 12}}, row);
  ASSERT_EQ(row.marks.size(), 1U);
  EXPECT_EQ(row.marks[0].first, 2);
  EXPECT_EQ(row.marks[0].last, 3);
  EXPECT_EQ(row.marks[0].why, "throttled: sw_power_cap");
  ASSERT_TRUE(row.energy_j);
  EXPECT_NEAR(*row.energy_j, 200 * 1.0, 1e-9);
  EXPECT_EQ(row.notes.at("energy_from"), "power");
  Measurement nothing;
  note_sampling(seen, {}, nothing);
  EXPECT_THAT(nothing.marks, IsEmpty());
  EXPECT_FALSE(nothing.energy_j);
}

// A counter that moves by 100 J at every reading, 200 W; 1 GHz until 15.5 s, then 2 GHz.
Watched stepping(std::size_t readings) {
  auto seen = samples(readings);
  for (std::size_t i = 0; i < readings; ++i) {
    seen[i].energy_uj = {{.value = 100'000'000 * i}};
    seen[i].sm_clock_hz = i < 12 ? 1e9 : 2e9;
  }
  return watched(seen);
}

TEST(NoteSampling, StretchesAreAsLongAsTheCounterNeeds) {
  const Watched seen = stepping(44);  // until 31.5 s
  std::vector<Round> rounds;          // a second each, two samples in it of 0.2 s
  for (int i = 0; i < 13; ++i) rounds.push_back({2 * i, 2 * i + 2, 10.5 + i, 11.5 + i});
  Measurement row;
  row.time_s.assign(26, 0.2);
  note_sampling(seen, rounds, row);
  EXPECT_EQ(row.energy_steps, 26);
  ASSERT_EQ(row.stretches.size(), 2U);  // ten steps are five rounds; the last three are none
  EXPECT_EQ(row.stretches[0].first, 0);
  EXPECT_EQ(row.stretches[0].last, 9);
  EXPECT_EQ(row.stretches[1].last, 19);
  EXPECT_NEAR(row.stretches[0].energy_j.value_or(0), 200 * 10 * 0.2, 1e-9);
  EXPECT_NEAR(row.stretches[0].sm_clock_hz.value_or(0), 1e9, 1);
  EXPECT_GT(row.stretches[1].sm_clock_hz.value_or(0), 1e9);
}

TEST(NoteSampling, AShortMeasurementHasNoStretch) {
  const std::vector<Round> one = {{0, 2, 10.5, 11.5}};
  Measurement row;
  row.time_s = {0.2, 0.2};
  note_sampling(stepping(10), one, row);
  EXPECT_EQ(row.energy_steps, 2);
  EXPECT_THAT(row.stretches, IsEmpty());
}

TEST(NoteSampling, WithoutACounterAStretchHasItsClockAlone) {
  Watched seen = stepping(44);
  for (TelemetrySample& s : seen.samples) s.energy_uj.clear();
  std::vector<Round> rounds;
  for (int i = 0; i < 6; ++i) rounds.push_back({2 * i, 2 * i + 2, 10.5 + i, 11.5 + i});
  Measurement row;
  row.time_s.assign(12, 0.2);
  note_sampling(seen, rounds, row);
  ASSERT_EQ(row.stretches.size(), 1U);
  EXPECT_FALSE(row.stretches[0].energy_j);
  EXPECT_NEAR(row.stretches[0].sm_clock_hz.value_or(0), 1e9, 1);
}

TEST(NoteSampling, OthersOnTheGpuAreNoted) {
  Watched seen = stepping(4);
  Measurement row;
  row.time_s = {0.2};
  seen.before.other_processes = 0;
  note_sampling(seen, {{0, 1, 10, 11}}, row);
  EXPECT_FALSE(row.notes.contains("other_processes"));
  seen.after.other_processes = 2;  // came meanwhile
  note_sampling(seen, {{0, 1, 10, 11}}, row);
  EXPECT_EQ(row.notes.at("other_processes"), "2");
}

TEST(Exclusive, StartsOnAGpuOfItsOwnAlone) {
  const auto refusal = [](std::optional<int> others) -> std::string {
    DeviceState state;
    state.other_processes = others;
    RecordedTelemetry gpu(samples(1), {state});
    try {
      require_exclusive(gpu);
    } catch (const Unavailable& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(0), "");
  EXPECT_THAT(refusal(3), HasSubstr("processes of others on the GPU: 3"));
  EXPECT_THAT(refusal(std::nullopt), HasSubstr("doesn't tell"));
}

TEST(Summary, OfNothingSaysNothing) {
  const TelemetrySummary summary = summarise(Watched{});
  EXPECT_EQ(summary.readings, 0);
  EXPECT_FALSE(summary.readings_per_s || summary.energy_j || summary.monitor_core_share);
  EXPECT_FALSE(summary.others_busy_share || summary.ecc_corrected);
  EXPECT_EQ(summary.energy_from, "none");
  EXPECT_THAT(summary.throttled, IsEmpty());
  EXPECT_THAT(summary.incomplete, IsEmpty());
}

TEST(Summary, CountsReadings) {
  const TelemetrySummary summary = summarise(watched(samples(5)));
  EXPECT_DOUBLE_EQ(summary.begin_s, 10);
  EXPECT_DOUBLE_EQ(summary.end_s, 12);
  EXPECT_EQ(summary.readings, 5);
  EXPECT_DOUBLE_EQ(summary.readings_per_s.value_or(0), 2.5);
  EXPECT_EQ(summarise(watched(samples(5)), 10.4, 11.5).readings, 3);
}

TEST(Summary, EnergyIsCounted) {
  const Watched seen = with_energy({100, 200, 200, 500});
  const TelemetrySummary all = summarise(seen);
  EXPECT_DOUBLE_EQ(all.energy_j.value_or(0), 400);
  EXPECT_EQ(all.energy_from, "counter");
  EXPECT_EQ(all.energy_steps, 2);
  const TelemetrySummary part = summarise(seen, 10.25, 11.25);  // 50 + 0 + 150
  EXPECT_DOUBLE_EQ(part.energy_j.value_or(0), 200);
  EXPECT_EQ(part.energy_steps, 1);
}

TEST(Summary, EnergyBeyondTheReadingsIsUnknown) {
  const Watched seen = with_energy({100, 200, 300});
  EXPECT_FALSE(summarise(seen, 9.9, 11).energy_j);
  EXPECT_FALSE(summarise(seen, 10, 11.1).energy_j);
  EXPECT_FALSE(summarise(seen, 11, 10).energy_j);
}

TEST(Summary, ACounterGoesRound) {
  const Watched seen = with_energy({900, 980, 60, 200}, 999);
  EXPECT_DOUBLE_EQ(summarise(seen).energy_j.value_or(0), 80 + 79.000001 + 140);
}

TEST(Summary, AResetCounterIsLeftForPower) {
  Watched seen = with_energy({900, 950, 10, 20});
  EXPECT_FALSE(summarise(seen).energy_j);
  for (auto& sample : seen.samples) sample.power_w = 100;
  const TelemetrySummary summary = summarise(seen);
  EXPECT_DOUBLE_EQ(summary.energy_j.value_or(0), 150);
  EXPECT_EQ(summary.energy_from, "power");
}

TEST(Summary, PowerIsIntegratedByTrapezoids) {
  const Watched seen = with_power({100, 300, 200});  // 100 J, then 125 J
  EXPECT_DOUBLE_EQ(summarise(seen).energy_j.value_or(0), 225);
  EXPECT_DOUBLE_EQ(summarise(seen, 10.25, 11).energy_j.value_or(0), 175);
  EXPECT_EQ(summarise(seen).energy_from, "power");
}

TEST(Summary, PackagesAddUp) {
  auto seen = samples(2);
  seen[0].energy_uj = {{.value = 10, .largest = 99}, {.value = 95, .largest = 99}};
  seen[1].energy_uj = {{.value = 30, .largest = 99}, {.value = 4, .largest = 99}};
  EXPECT_DOUBLE_EQ(summarise(watched(seen)).energy_j.value_or(0), 29e-6);
  seen[1].energy_uj.pop_back();
  EXPECT_FALSE(summarise(watched(seen)).energy_j);
}

TEST(Summary, ASensorThatDisappearsIsNamedAndItsEnergyUnknown) {
  Watched seen = with_power({100, 100, 100, 100});
  seen.samples[2].power_w.reset();
  EXPECT_DOUBLE_EQ(summarise(seen).energy_j.value_or(0), 150);  // a gap is bridged
  EXPECT_THAT(summarise(seen).incomplete, ElementsAre(Pair("power", "3 of 4 readings")));
  seen.samples[3].power_w.reset();
  EXPECT_FALSE(summarise(seen).energy_j);
  EXPECT_DOUBLE_EQ(summarise(seen, 10, 10.5).energy_j.value_or(0), 50);  // until then
  EXPECT_THAT(summarise(seen).incomplete, ElementsAre(Pair("power", "2 of 4 readings")));
}

TEST(Summary, AStoppedClockGivesNoRates) {
  Watched seen = with_power({100, 100, 100});
  for (auto& sample : seen.samples) {
    sample.at_s = 10;
    sample.throttle_reasons = {"sw_power_cap"};
  }
  const TelemetrySummary summary = summarise(seen);
  EXPECT_EQ(summary.readings, 3);
  EXPECT_FALSE(summary.readings_per_s || summary.energy_j);
  EXPECT_THAT(summary.throttled, ElementsAre(Held("sw_power_cap", 10, 10)));
}

TEST(Summary, ThrottlingHasItsTimes) {
  auto seen = samples(6);
  seen[1].throttle_reasons = {"sw_power_cap"};
  seen[2].throttle_reasons = {"sw_power_cap", "hw_slowdown"};
  seen[5].throttle_reasons = {"sw_power_cap"};
  EXPECT_THAT(summarise(watched(seen)).throttled,
              ElementsAre(Held("sw_power_cap", 10.5, 11.5), Held("hw_slowdown", 11.0, 11.5),
                          Held("sw_power_cap", 12.5, 12.5)));
  EXPECT_THAT(summarise(watched(seen), 10.75, 11.25).throttled,
              ElementsAre(Held("sw_power_cap", 10.75, 11.25), Held("hw_slowdown", 11.0, 11.25)));
}

TEST(Summary, WhatIsCountedHeldBetweenTheReadings) {
  auto seen = samples(4);
  const std::vector<std::uint64_t> us = {5, 5, 9, 9};
  const std::vector<std::uint64_t> events = {1, 2, 3, 3};
  for (std::size_t i = 0; i < seen.size(); ++i) {
    seen[i].quota_throttled_us = Counter{.value = us[i]};
    seen[i].thermal_events = Counter{.value = events[i]};
  }
  EXPECT_THAT(summarise(watched(seen)).throttled,
              ElementsAre(Held("core_thermal", 10, 11), Held("cgroup_quota", 10.5, 11)));
}

TEST(Summary, LoadIsThatOfOthers) {
  Watched seen;
  const auto times = [](std::uint64_t all, std::uint64_t busy, std::uint64_t stolen,
                        std::uint64_t own) {
    return CpuTimes{.all = {.value = all},
                    .busy = {.value = busy},
                    .stolen = {.value = stolen},
                    .own = {.value = own}};
  };
  seen.before.cpu_times = times(1000, 500, 10, 100);
  seen.after.cpu_times = times(1200, 650, 20, 200);
  EXPECT_DOUBLE_EQ(summarise(seen).others_busy_share.value_or(-1), 0.25);
  EXPECT_DOUBLE_EQ(summarise(seen).stolen_share.value_or(-1), 0.05);
  seen.after.cpu_times = times(1200, 599, 20, 200);  // ticks round: never below nothing
  EXPECT_DOUBLE_EQ(summarise(seen).others_busy_share.value_or(-1), 0);
  seen.after.cpu_times = seen.before.cpu_times;  // no tick has passed
  EXPECT_FALSE(summarise(seen).others_busy_share);
}

TEST(Summary, ErrorsAreNewOnes) {
  Watched seen;
  seen.before.ecc_corrected = Counter{.value = 40};
  seen.after.ecc_corrected = Counter{.value = 42};
  seen.before.ecc_uncorrected = Counter{.value = 1};
  seen.after.ecc_uncorrected = Counter{.value = 0};  // the driver was reloaded
  seen.before.nvlink_errors = Counter{.value = 3};   // and then it couldn't be read
  const TelemetrySummary summary = summarise(seen);
  EXPECT_EQ(summary.ecc_corrected, 2U);
  EXPECT_EQ(summary.ecc_uncorrected, std::nullopt);
  EXPECT_EQ(summary.nvlink_errors, std::nullopt);
}

TEST(Monitor, KeepsWhatTheDeviceTells) {
  auto seen = samples(2);
  for (auto& sample : seen) {
    sample.sm_clock_hz = 1.5e9;
    sample.temperature_c = 40;
    sample.throttle_reasons = {"sw_power_cap"};
  }
  DeviceState before;
  before.other_processes = 0;
  DeviceState after;
  after.other_processes = 1;
  RecordedTelemetry source(seen, {before, after}, {{"power", "Insufficient Permissions"}});
  Monitor monitor(source, 1e-3);
  ::usleep(20'000);
  const Watched result = monitor.stop();
  ASSERT_GE(result.samples.size(), 2U);
  EXPECT_DOUBLE_EQ(result.samples[1].at_s, 10.5);
  EXPECT_EQ(result.before.other_processes, 0);
  EXPECT_EQ(result.after.other_processes, 1);
  EXPECT_THAT(result.unreadable, ElementsAre(Pair("power", "Insufficient Permissions")));
  Measurement row;
  note_telemetry(result, row);
  EXPECT_EQ(row.sm_clock_hz.size(), result.samples.size());
  EXPECT_TRUE(row.power_w.empty());
  EXPECT_THAT(row.throttle_reasons, ElementsAre("sw_power_cap"));
}

// Each reading takes `cost_s` of the thread's time.
class BusyTelemetry final : public TelemetrySource {
 public:
  explicit BusyTelemetry(double cost_s) : cost_s_(cost_s) {}
  TelemetrySample read() override {
    TelemetrySample out;
    out.at_s = steady_now_s();
    while (steady_now_s() < out.at_s + cost_s_) {
    }
    ++reads;
    return out;
  }
  DeviceState state() override { return {}; }

  std::atomic<int> reads = 0;

 private:
  double cost_s_;
};

TEST(Monitor, ReadsAtTheEndToo) {
  BusyTelemetry source(0);
  Monitor monitor(source, 3600);
  while (source.reads == 0) ::usleep(100);
  EXPECT_EQ(monitor.stop().samples.size(), 2U);
}

TEST(Monitor, CanBeDroppedUnasked) {
  RecordedTelemetry source(samples(1));
  const Monitor monitor(source, 3600);
}

TEST(Monitor, ReadsMoreRarelyWhereThatIsCostly) {
  BusyTelemetry source(2e-3);  // 20 times a second this would be 4 % of a core
  Monitor monitor(source, 1e-3);
  ::usleep(300'000);
  const Watched seen = monitor.stop();
  EXPECT_GE(seen.samples.size(), 2U);
  EXPECT_LE(static_cast<double>(seen.samples.size()), seen.seconds / 0.1 + 2);
}

TEST(Monitor, CostsLittle) {
  const auto source = cpu_telemetry(cpu_info());
  Monitor monitor(*source, 0.05);
  ::usleep(1'000'000);
  const TelemetrySummary summary = summarise(monitor.stop());
  EXPECT_GE(summary.readings, 2);
  EXPECT_LT(summary.monitor_core_share.value_or(1), 0.005);
  RecordProperty("monitor_core_share", std::to_string(summary.monitor_core_share.value_or(1)));
  RecordProperty("readings_per_s", std::to_string(summary.readings_per_s.value_or(0)));
  ASSERT_TRUE(summary.others_busy_share);
  EXPECT_GE(*summary.others_busy_share, 0);
  EXPECT_LE(*summary.others_busy_share, 1);
}

}  // namespace
}  // namespace trainmeter
