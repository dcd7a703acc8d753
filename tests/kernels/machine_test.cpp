// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the machine says of itself, and what control groups leave of it.
#include "kernels/machine.hpp"

#include "kernels/cgroup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <string>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

class Cgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "trainmeter-cgroup-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    mount_ = pattern;
  }
  void TearDown() override { fs::remove_all(mount_); }

  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((mount_ / file).parent_path());
    std::ofstream(mount_ / file) << text;
  }

  fs::path mount_;
};

TEST_F(Cgroup, NoLimitsAreNoLimits) {
  write("job/memory.max", "max\n");
  write("job/cpu.max", "max 100000\n");
  const CgroupLimits limits = cgroup_limits(mount_, "0::/job\n");
  EXPECT_TRUE(std::isinf(limits.cpus));
  EXPECT_EQ(limits.memory_bytes, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(limits.memory_free_bytes, std::numeric_limits<std::int64_t>::max());
}

TEST_F(Cgroup, TakesTheTightestOnTheWayToTheRoot) {
  write("user/job/memory.max", "8000\n");
  write("user/job/memory.current", "5000\n");
  write("user/job/memory.stat", "anon 1000\ninactive_file 3000\nactive_file 1000\n");
  write("user/memory.max", "10000\n");
  write("user/memory.current", "9500\n");
  write("user/job/cpu.max", "max 100000\n");
  write("user/cpu.max", "250000 100000\n");
  const CgroupLimits limits = cgroup_limits(mount_, "0::/user/job\n");
  EXPECT_DOUBLE_EQ(limits.cpus, 2.5);
  EXPECT_EQ(limits.memory_bytes, 8000);
  EXPECT_EQ(limits.memory_free_bytes, 500);  // 8000 - (5000 - 3000) = 6000, but the user's is 500
}

TEST_F(Cgroup, ReadsVersionOne) {
  write("memory/job/memory.limit_in_bytes", "4096\n");
  write("memory/job/memory.usage_in_bytes", "1096\n");
  write("memory/job/memory.stat", "total_inactive_file 96\n");
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n");
  write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  const CgroupLimits limits =
      cgroup_limits(mount_, "5:memory:/job\n3:cpu,cpuacct:/job\n2:cpuset:/job\n0::/\n");
  EXPECT_DOUBLE_EQ(limits.cpus, 3);
  EXPECT_EQ(limits.memory_bytes, 4096);
  EXPECT_EQ(limits.memory_free_bytes, 3096);
}

TEST_F(Cgroup, InAContainerTheRootSpeaks) {
  write("memory.max", "7777\n");
  write("memory.current", "777\n");
  EXPECT_EQ(cgroup_limits(mount_, "0::/../../kubepods/pod1\n").memory_free_bytes, 7000);
  EXPECT_TRUE(std::isinf(cgroup_limits(mount_, "nonsense\n\n:::\n").cpus));
}

TEST(CpuInfo, IsPlausible) {
  const CpuInfo cpu = cpu_info();
  EXPECT_FALSE(cpu.name.empty());
  ASSERT_GE(cpu.cores, 1);
  EXPECT_EQ(static_cast<std::size_t>(cpu.cores), cpu.core_ids.size());
  EXPECT_GT(cpu.memory_bytes, 64 << 20);
  EXPECT_GT(cpu.memory_available_bytes, 0);
  EXPECT_LE(cpu.memory_available_bytes, cpu.memory_bytes);
  EXPECT_GE(cpu.last_level_cache_bytes, 0);
}

TEST(CpuInfo, PinnedThreadsLeaveTheAnswerAsItWas) {
  const CpuInfo before = cpu_info();
  pin_threads(before);
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  EXPECT_EQ(CPU_COUNT(&mask), 1);
  EXPECT_TRUE(CPU_ISSET(before.core_ids[0], &mask));
  EXPECT_EQ(cpu_info().core_ids, before.core_ids);
  unpin_thread();
  ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  EXPECT_GE(CPU_COUNT(&mask), before.cores);
}

TEST(Libraries, NameThemselves) {
  const auto versions = library_versions();
  ASSERT_TRUE(versions.contains("compiler"));
  ASSERT_TRUE(versions.contains("OpenBLAS"));
  EXPECT_THAT(versions.at("OpenBLAS"), ::testing::MatchesRegex("[0-9]+\\.[0-9]+.*"));
}

}  // namespace
}  // namespace trainmeter
