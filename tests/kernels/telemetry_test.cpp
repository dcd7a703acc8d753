// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Counters between two readings, and a CPU's telemetry from a folder that looks like a machine's.
#include "kernels/telemetry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kLargest64 = std::numeric_limits<std::uint64_t>::max();

TEST(Counted, IsTheDifference) {
  EXPECT_EQ(counted({.value = 5}, {.value = 5}), 0U);
  EXPECT_EQ(counted({.value = 5}, {.value = 12}), 7U);
  EXPECT_EQ(counted({.value = 0}, {.value = kLargest64}), kLargest64);
}

TEST(Counted, GoesRoundWhereTheRangeIsKnown) {
  EXPECT_EQ(counted({.value = 98, .largest = 99}, {.value = 1, .largest = 99}), 3U);  // 99, 0, 1
  EXPECT_EQ(counted({.value = 99, .largest = 99}, {.value = 0, .largest = 99}), 1U);
  EXPECT_EQ(
      counted({.value = kLargest64, .largest = kLargest64}, {.value = 3, .largest = kLargest64}),
      4U);
}

TEST(Counted, AResetCannotBeTold) {
  EXPECT_EQ(counted({.value = 12}, {.value = 5}), std::nullopt);
  // 30 to 0 of 99 would be 70 on the way round: more than half.
  EXPECT_EQ(counted({.value = 30, .largest = 99}, {.value = 0, .largest = 99}), std::nullopt);
  EXPECT_EQ(counted({.value = 5, .largest = 99}, {.value = 6, .largest = 199}), std::nullopt);
  EXPECT_EQ(counted({.value = 150, .largest = 99}, {.value = 1, .largest = 99}), std::nullopt);
}

class CpuTelemetryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "trainmeter-cpu-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    cpu_.core_ids = {0, 2};
    cpu_.cores = 2;
    clock(0, "2000000\n");
    clock(2, "3000000\n");
    write("proc/self/cgroup", "0::/job\n");
    write("proc/self/stat", "42 (a) name) S 1 1 1 0 -1 0 7 7 7 7 30 12 9 9 20 0\n");
    write("proc/stat", "cpu  100 10 20 300 5 1 2 40 0 0\ncpu0 50 5 10 150 2 0 1 20 0 0\n");
    package(0, "100");
    package(1, "900");
    write(kPowercap + "intel-rapl:0:0/name", "core\n");  // part of package 0
    write(kPowercap + "intel-rapl:0:0/energy_uj", "55\n");
    write(kPowercap + "intel-rapl:2/name", "psys\n");
    write(kPowercap + "intel-rapl:2/energy_uj", "1000\n");
    write(kPowercap + "intel-rapl-mmio:0/name", "package-0\n");  // once more
    write(kPowercap + "intel-rapl-mmio:0/energy_uj", "100\n");
    write(kCgroup + "job/cpu.stat",
          "usage_usec 9\nnr_periods 5\nnr_throttled 1\nthrottled_usec 70\n");
    write(kCgroup + "cpu.stat", "usage_usec 99\nuser_usec 80\n");
    for (const char* core : {"cpu0", "cpu2"}) {
      write(kCpus + core + "/thermal_throttle/core_throttle_count", "3\n");
    }
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  void clock(int core, const std::string& khz) const {
    write(kCpus + "cpu" + std::to_string(core) + "/cpufreq/scaling_cur_freq", khz);
  }
  void package(int number, const std::string& uj) const {
    const std::string zone = kPowercap + "intel-rapl:" + std::to_string(number);
    write(zone + "/name", "package-" + std::to_string(number) + "\n");
    write(zone + "/max_energy_range_uj", "999\n");
    write(zone + "/energy_uj", uj + "\n");
  }
  [[nodiscard]] std::unique_ptr<TelemetrySource> telemetry() const {
    return cpu_telemetry(cpu_, root_);
  }

  const std::string kCpus = "sys/devices/system/cpu/";
  const std::string kPowercap = "sys/class/powercap/";
  const std::string kCgroup = "sys/fs/cgroup/";
  fs::path root_;
  CpuInfo cpu_;
};

TEST_F(CpuTelemetryTest, ReadsTheSensors) {
  const double before_s = steady_now_s();
  const auto source = telemetry();
  const TelemetrySample sample = source->read();
  EXPECT_GE(sample.at_s, before_s);
  EXPECT_DOUBLE_EQ(sample.sm_clock_hz.value_or(0), 2.5e9);
  EXPECT_FALSE(sample.power_w || sample.temperature_c);
  ASSERT_EQ(sample.energy_uj.size(), 2U);  // the packages, and nothing twice
  EXPECT_EQ(sample.energy_uj[0].value, 100U);
  EXPECT_EQ(sample.energy_uj[1].value, 900U);
  EXPECT_EQ(sample.energy_uj[1].largest, 999U);
  EXPECT_EQ(sample.quota_throttled_us.value_or(Counter{}).value, 70U);
  EXPECT_EQ(sample.thermal_events.value_or(Counter{}).value, 6U);
  EXPECT_THAT(source->unreadable(), IsEmpty());

  package(1, "20");  // 999, 0, ..., 20
  EXPECT_EQ(counted(sample.energy_uj[1], source->read().energy_uj[1]), 120U);
}

TEST_F(CpuTelemetryTest, ReadsAtMostFourCores) {
  cpu_.core_ids.clear();
  for (int core = 0; core < 64; ++core) {
    cpu_.core_ids.push_back(core);
    if (core % 16 == 0) clock(core, std::to_string(1'000'000 + core * 1000));
  }
  EXPECT_DOUBLE_EQ(telemetry()->read().sm_clock_hz.value_or(0), 1.024e9);
}

TEST_F(CpuTelemetryTest, ReadsTheState) {
  write(kCgroup + "job/cpu.max", "150000 100000\n");
  const DeviceState state = telemetry()->state();
  EXPECT_EQ(state.quota_cpus, 1.5);
  ASSERT_TRUE(state.cpu_times);
  EXPECT_EQ(state.cpu_times->all.value, 478U);
  EXPECT_EQ(state.cpu_times->busy.value, 133U);  // without idle 300, iowait 5 and steal 40
  EXPECT_EQ(state.cpu_times->stolen.value, 40U);
  EXPECT_EQ(state.cpu_times->own.value, 42U);
  EXPECT_FALSE(state.pcie_width || state.ecc_corrected || state.mig);
}

TEST_F(CpuTelemetryTest, EachGroupCountsItsOwnQuota) {
  write("proc/self/cgroup", "3:cpu,cpuacct:/a/b\n1:name=systemd:/a\n");
  write(kCgroup + "cpu,cpuacct/a/b/cpu.stat",
        "nr_periods 9\nnr_throttled 2\nthrottled_time 5000\n");
  write(kCgroup + "cpu,cpuacct/a/cpu.stat", "nr_periods 9\nnr_throttled 2\nthrottled_time 2000\n");
  EXPECT_EQ(telemetry()->read().quota_throttled_us.value_or(Counter{}).value, 7U);
}

TEST_F(CpuTelemetryTest, ASensorThatDisappearsIsNamedAndTheOthersGoOn) {
  const auto source = telemetry();
  EXPECT_TRUE(source->read().sm_clock_hz);
  fs::remove_all(root_ / kCpus / "cpu2");
  fs::remove_all(root_ / kPowercap / "intel-rapl:1");
  const TelemetrySample sample = source->read();
  EXPECT_FALSE(sample.sm_clock_hz || sample.thermal_events);
  EXPECT_THAT(sample.energy_uj, IsEmpty());  // one package alone would be another quantity
  EXPECT_TRUE(sample.quota_throttled_us);
  EXPECT_THAT(source->unreadable().at("sm_clock"),
              AllOf(HasSubstr("cpu2/cpufreq"), HasSubstr("No such file")));
  EXPECT_THAT(source->unreadable().at("energy"), HasSubstr("intel-rapl:1/energy_uj"));
}

TEST_F(CpuTelemetryTest, PermissionDeniedIsAReason) {
  const auto source = cpu_telemetry(cpu_, root_, [](const fs::path& file) {
    if (file.filename() == "energy_uj") return FileText{.error = EACCES};
    return read_file(file);
  });
  EXPECT_THAT(source->read().energy_uj, IsEmpty());
  EXPECT_TRUE(source->read().sm_clock_hz);
  EXPECT_EQ(source->unreadable().size(), 1U);
  EXPECT_EQ(source->unreadable().at("energy"),
            (root_ / kPowercap / "intel-rapl:0/energy_uj").string() + ": Permission denied");
}

TEST_F(CpuTelemetryTest, NonsenseIsNoReading) {
  clock(2, "<unknown>\n");
  write("proc/stat", "cpu  100 10\n");
  const auto source = telemetry();
  EXPECT_FALSE(source->read().sm_clock_hz);
  EXPECT_FALSE(source->state().cpu_times);
  EXPECT_THAT(source->unreadable().at("sm_clock"), HasSubstr("not a number"));
  EXPECT_THAT(source->unreadable().at("cpu_times"), HasSubstr("stat"));
}

TEST_F(CpuTelemetryTest, AnEmptyMachineIsQuiet) {
  const auto source = cpu_telemetry(cpu_, root_ / "nothing");
  const TelemetrySample sample = source->read();
  EXPECT_FALSE(sample.sm_clock_hz || sample.quota_throttled_us || sample.thermal_events);
  EXPECT_THAT(sample.energy_uj, IsEmpty());
  EXPECT_FALSE(source->state().cpu_times || source->state().quota_cpus);
  EXPECT_EQ(source->unreadable().size(), 5U);
}

TEST(CpuTelemetry, ThisMachinesTimesRunForward) {
  const auto source = cpu_telemetry(cpu_info());
  const DeviceState before = source->state();
  for (const std::clock_t begin = std::clock(); std::clock() < begin + CLOCKS_PER_SEC / 20;) {
  }
  const DeviceState after = source->state();
  ASSERT_TRUE(before.cpu_times && after.cpu_times);
  EXPECT_GT(counted(before.cpu_times->own, after.cpu_times->own).value_or(0), 0U);
  EXPECT_GT(counted(before.cpu_times->all, after.cpu_times->all).value_or(0), 0U);
}

TEST(ReadFile, SaysWhyNot) {
  EXPECT_EQ(read_file("/no/such/file").error, ENOENT);
  EXPECT_EQ(read_file("/").error, EISDIR);
  EXPECT_THAT(read_file("/proc/self/stat").text, HasSubstr("("));
}

}  // namespace
}  // namespace trainmeter
