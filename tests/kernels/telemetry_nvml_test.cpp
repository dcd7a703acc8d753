// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A GPU's telemetry through a library with NVML's interface, loaded as the driver's is.
#include "kernels/telemetry.hpp"

#include "fake_nvml.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>
#include <numeric>
#include <unistd.h>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr int kNoPermission = 4;
constexpr int kGpuIsLost = 15;

class NvmlTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    library_ = ::dlopen(GetParam(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << ::dlerror();
    gpu_ = reinterpret_cast<FakeGpu* (*)()>(::dlsym(library_, "fake_gpu"))();
    *gpu_ = FakeGpu{};
    gpu_->compute = {static_cast<unsigned>(::getpid())};
  }
  void TearDown() override { (void)::dlclose(library_); }

  [[nodiscard]] std::unique_ptr<TelemetrySource> telemetry() const {
    return gpu_telemetry("GPU-fake", GetParam());
  }

  void* library_ = nullptr;
  FakeGpu* gpu_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Drivers, NvmlTest, ::testing::Values(FAKE_NVML_NEW, FAKE_NVML_OLD),
                         [](const auto& driver) { return driver.index == 0 ? "New" : "Old"; });

TEST_P(NvmlTest, ReadsTheSensors) {
  const double before_s = steady_now_s();
  const auto source = telemetry();
  const TelemetrySample sample = source->read();
  EXPECT_GE(sample.at_s, before_s);
  EXPECT_LE(sample.at_s, steady_now_s());
  EXPECT_DOUBLE_EQ(sample.sm_clock_hz.value_or(0), 1.98e9);
  EXPECT_DOUBLE_EQ(sample.power_w.value_or(0), 700);
  EXPECT_DOUBLE_EQ(sample.temperature_c.value_or(0), 65);
  EXPECT_THAT(sample.throttle_reasons, ElementsAre("sw_power_cap"));
  ASSERT_EQ(sample.energy_uj.size(), 1U);
  EXPECT_EQ(sample.energy_uj[0].value, 5'000'000'000U);
  EXPECT_EQ(sample.energy_uj[0].largest, 0U);
  EXPECT_THAT(source->unreadable(), IsEmpty());
}

TEST_P(NvmlTest, ReadsTheState) {
  const bool old_driver = GetParam() == std::string(FAKE_NVML_OLD);
  gpu_->compute.push_back(1);
  gpu_->graphics = {1, 2};  // one process may have both kinds of context
  gpu_->mig = 1;
  const auto source = telemetry();
  const DeviceState state = source->state();
  EXPECT_EQ(state.ecc_corrected.value_or(Counter{}).value, 7U);
  EXPECT_EQ(state.ecc_uncorrected.value_or(Counter{}).value, 1U);
  EXPECT_EQ(state.pcie_width, 8);
  EXPECT_EQ(state.pcie_width_max, 16);
  EXPECT_EQ(state.pcie_generation, 4);
  EXPECT_EQ(state.pcie_generation_max, 5);
  EXPECT_EQ(state.nvlink_links, 2);
  EXPECT_EQ(state.nvlink_errors.value_or(Counter{}).value, 6U);
  EXPECT_EQ(state.power_limit_w, old_driver ? 400 : 600);
  EXPECT_EQ(state.power_limit_default_w, 700);
  EXPECT_EQ(state.other_processes, 2);
  EXPECT_FALSE(state.cpu_times);
  if (old_driver) {
    EXPECT_FALSE(state.mig);
    EXPECT_THAT(source->unreadable(),
                ElementsAre(Pair("mig", "this driver's NVML has no such entry")));
  } else {
    EXPECT_EQ(state.mig, true);
    EXPECT_THAT(source->unreadable(), IsEmpty());
  }
}

TEST_P(NvmlTest, ManyProcessesNeedALongerList) {
  gpu_->compute.resize(200);
  std::iota(gpu_->compute.begin(), gpu_->compute.end(), 10'000'000U);
  gpu_->compute.push_back(static_cast<unsigned>(::getpid()));
  EXPECT_EQ(telemetry()->state().other_processes, 200);
}

TEST_P(NvmlTest, AListWithoutThisProcessTellsNothing) {
  gpu_->compute = {1};
  const auto source = telemetry();
  EXPECT_FALSE(source->state().other_processes);
  EXPECT_THAT(source->unreadable().at("processes"), HasSubstr("doesn't list this process"));
}

TEST_P(NvmlTest, ASensorThatDisappearsIsNamedAndTheOthersGoOn) {
  const auto source = telemetry();
  EXPECT_TRUE(source->read().power_w);
  gpu_->power_fails = kGpuIsLost;
  const TelemetrySample sample = source->read();
  EXPECT_FALSE(sample.power_w);
  EXPECT_TRUE(sample.sm_clock_hz);
  gpu_->power_fails = kNoPermission;  // the first reason stays
  EXPECT_FALSE(source->read().power_w);
  EXPECT_THAT(source->unreadable(), ElementsAre(Pair("power", "GPU is lost")));
}

TEST_P(NvmlTest, PermissionDeniedIsAReason) {
  gpu_->energy_fails = kNoPermission;
  gpu_->ecc_fails = kNoPermission;
  gpu_->processes_fail = kNoPermission;
  const auto source = telemetry();
  EXPECT_THAT(source->read().energy_uj, IsEmpty());
  const DeviceState state = source->state();
  EXPECT_FALSE(state.ecc_corrected || state.ecc_uncorrected || state.other_processes);
  for (const char* sensor : {"energy", "ecc_errors", "processes"}) {
    EXPECT_EQ(source->unreadable().at(sensor), "Insufficient Permissions") << sensor;
  }
}

TEST_P(NvmlTest, EndsItsSession) {
  auto source = telemetry();
  EXPECT_EQ(gpu_->sessions, 1);
  source.reset();
  EXPECT_EQ(gpu_->sessions, 0);
  gpu_->init_fails = 9;
  source = telemetry();
  EXPECT_FALSE(source->read().sm_clock_hz);
  EXPECT_THAT(source->unreadable(), ElementsAre(Pair("nvml", "Driver Not Loaded")));
  source.reset();
  EXPECT_EQ(gpu_->sessions, 0);
}

TEST_P(NvmlTest, AnUnknownGpuIsEmptyAndNamed) {
  const auto source = gpu_telemetry("GPU-other", GetParam());
  EXPECT_FALSE(source->read().sm_clock_hz || source->state().pcie_width);
  EXPECT_THAT(source->unreadable(), ElementsAre(Pair("nvml", "Not Found")));
}

TEST(Nvml, WithoutTheLibraryNothingIsRead) {
  for (const char* library : {"/no/such/libnvidia-ml.so.1", "libdl.so.2"}) {
    const auto source = gpu_telemetry("GPU-fake", library);
    const TelemetrySample sample = source->read();
    EXPECT_GT(sample.at_s, 0);
    EXPECT_FALSE(sample.sm_clock_hz || sample.power_w || sample.temperature_c);
    EXPECT_TRUE(sample.throttle_reasons.empty());
    EXPECT_FALSE(source->state().pcie_width);
    EXPECT_THAT(source->unreadable(), ElementsAre(Pair("nvml", HasSubstr(library))));
  }
}

TEST(Nvml, ReasonsAreWords) {
  EXPECT_THAT(throttle_reasons(0x4 | 0x40), ElementsAre("sw_power_cap", "hw_thermal_slowdown"));
  EXPECT_TRUE(throttle_reasons(0x1).empty());  // idle is no slow-down
}

}  // namespace
}  // namespace trainmeter
