// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NUMA nodes, of made-up machines and of this one.
#include "kernels/numa.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;

TEST(Numa, ReadsListsOfCores) {
  EXPECT_THAT(cores_in("0-3,8,10-11"), ElementsAre(0, 1, 2, 3, 8, 10, 11));
  EXPECT_THAT(cores_in("5"), ElementsAre(5));
  EXPECT_TRUE(cores_in("").empty());
  for (const char* list : {"", "5", "0-255", "0-3,8,10-11", "1,3,5"})
    EXPECT_EQ(list_of_cores(cores_in(list)), list);
}

class NumaNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("numa_test-" + std::to_string(::getpid()));
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void node(int id, const std::string& cores) {
    const auto folder = root_ / ("node" + std::to_string(id));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "cpulist") << cores << '\n';
  }

  std::filesystem::path root_;
};

TEST_F(NumaNodes, HoldTheCoresThatThisProcessUses) {
  std::ofstream(root_ / "online") << "0-2\n";
  node(0, "0-3");
  node(1, "4-7");
  node(2, "");  // memory without cores
  CpuInfo cpu;
  cpu.core_ids = {1, 3, 4, 6};
  const auto nodes = numa_nodes(cpu, root_);
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[0].id, 0);
  EXPECT_THAT(nodes[0].core_ids, ElementsAre(1, 3));
  EXPECT_EQ(nodes[1].id, 1);
  EXPECT_THAT(nodes[1].core_ids, ElementsAre(4, 6));
}

TEST_F(NumaNodes, AreOneWhereTheSystemTellsOfNone) {
  CpuInfo cpu;
  cpu.core_ids = {0, 1};
  const auto nodes = numa_nodes(cpu, root_);
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_THAT(nodes[0].core_ids, ElementsAre(0, 1));
}

TEST(Numa, EveryCoreOfThisMachineHasOneNode) {
  const CpuInfo cpu = cpu_info();
  std::vector<int> cores;
  for (const NumaNode& node : numa_nodes(cpu)) {
    cores.insert(cores.end(), node.core_ids.begin(), node.core_ids.end());
  }
  EXPECT_THAT(cores, ::testing::UnorderedElementsAreArray(cpu.core_ids));
}

TEST(Numa, RunsOnTheNodesCores) {
  for (const NumaNode& node : numa_nodes(cpu_info())) {
    int core = -1;
    run_on(node, [&] { core = sched_getcpu(); });
    EXPECT_NE(std::ranges::find(node.core_ids, core), node.core_ids.end()) << core;
    EXPECT_THROW(run_on(node, [] { throw std::runtime_error("in a thread"); }), std::runtime_error);
  }
}

}  // namespace
}  // namespace trainmeter
