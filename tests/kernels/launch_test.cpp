// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What launchers leave in the environment, and how ranks of one host divide its cores.
#include "kernels/launch.hpp"

#include "kernels/collective_gloo.hpp"
#include "kernels/numa.hpp"
#include "kernels/rank_cores.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

class LaunchTest : public ::testing::Test {
 protected:
  LaunchTest() {
    for (const char* name : kLaunchVariables) unsetenv(name);
  }
  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }
};

TEST_F(LaunchTest, AloneItIsRankZeroOfOne) {
  set("SLURM_NTASKS", "16");  // a batch script is one process
  const Launch launch = launched();
  EXPECT_EQ(launch.by, Launch::By::itself);
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.ranks, 1);
}

TEST_F(LaunchTest, ANodeIsCalledAsSlurmCallsIt) {
  const std::string host = node_name();
  EXPECT_NE(host, "");
  set("SLURMD_NODENAME", "gpu-007");
  EXPECT_EQ(node_name(), "gpu-007");
}

TEST_F(LaunchTest, MpiComesBeforeSlurmAndSlurmBeforeTorchrun) {
  set("WORLD_SIZE", "3");
  set("RANK", "2");
  EXPECT_EQ(launched().by, Launch::By::torchrun);
  EXPECT_EQ(launched().ranks, 3);
  EXPECT_EQ(launched().rank, 2);
  set("SLURM_STEP_NUM_TASKS", "16");
  set("SLURM_PROCID", "5");
  EXPECT_EQ(launched().by, Launch::By::slurm);
  EXPECT_EQ(launched().ranks, 16);
  EXPECT_EQ(launched().rank, 5);
  set("PMIX_RANK", "5");  // srun --mpi=pmix
  EXPECT_EQ(launched().by, Launch::By::mpi);
  EXPECT_EQ(launched().ranks, 16);
  set("OMPI_COMM_WORLD_SIZE", "4");
  set("OMPI_COMM_WORLD_RANK", "1");
  EXPECT_EQ(launched().ranks, 4);
  EXPECT_EQ(launched().rank, 1);
}

// As in `srun --pty bash`, a step of one task, on sites whose srun speaks PMI or not.
TEST_F(LaunchTest, AWorldOfOneLeavesSeveralToTorchrun) {
  for (const std::vector<const char*>& one :
       {std::vector<const char*>{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
        {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "PMIX_RANK"},
        {"PMI_SIZE", "PMI_RANK"},
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}}) {
    for (const char* name : kLaunchVariables) unsetenv(name);
    set(one[0], "1");
    set(one[1], "0");
    if (one.size() > 2) set(one[2], "0");
    const Launch::By alone = launched().by;
    EXPECT_NE(alone, Launch::By::torchrun);
    set("WORLD_SIZE", "8");
    EXPECT_EQ(launched().by, alone) << "a script's own, no rank's";
    EXPECT_EQ(launched().ranks, 1);
    set("RANK", "3");
    EXPECT_EQ(launched().by, Launch::By::torchrun) << one[0];
    EXPECT_EQ(launched().ranks, 8);
    EXPECT_EQ(launched().rank, 3);
    set("WORLD_SIZE", "1");
    set("RANK", "0");
    EXPECT_EQ(launched().by, alone);
  }
}

// srun --ntasks-per-node=1 torchrun --nnodes=2 --nproc-per-node=2: the launcher's two are no ranks.
TEST_F(LaunchTest, TorchrunInsideALauncherOfSeveralNodesHasTheRanks) {
  for (const std::vector<const char*>& one :
       {std::vector<const char*>{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
        {"PMI_SIZE", "PMI_RANK"},
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}}) {
    for (const char* name : kLaunchVariables) unsetenv(name);
    set(one[0], "2");
    set(one[1], "1");
    const Launch::By alone = launched().by;
    set("WORLD_SIZE", "4");
    set("RANK", "3");
    EXPECT_EQ(launched().by, Launch::By::torchrun) << one[0];
    EXPECT_EQ(launched().ranks, 4);
    EXPECT_EQ(launched().rank, 3);
    EXPECT_EQ(launch_mistake(), "");
    set("RANK", "4");
    EXPECT_EQ(launched().by, alone) << "no rank of four";
    // As scripts copy them from the launcher's own.
    set("WORLD_SIZE", "2");
    set("RANK", "1");
    EXPECT_EQ(launched().by, alone);
    set("TORCHELASTIC_RUN_ID", "none");
    EXPECT_EQ(launched().by, Launch::By::torchrun) << "one rank a node";
    EXPECT_EQ(launched().ranks, 2);
  }
}

TEST_F(LaunchTest, WhatIsNoNumberIsNotSet) {
  for (const char* nonsense : {"", "four", "4x", "-2", "0", "99999999999", "1e3", " 4"}) {
    set("WORLD_SIZE", nonsense);
    EXPECT_EQ(launched().ranks, 1) << nonsense;
  }
}

TEST_F(LaunchTest, WhereTheyMeet) {
  set("WORLD_SIZE", "2");
  EXPECT_EQ(launched().host, "127.0.0.1");
  set("MASTER_ADDR", "node3");
  set("MASTER_PORT", "1234");
  set("TORCHELASTIC_RUN_ID", "run7");
  EXPECT_EQ(launched().host, "node3");
  EXPECT_EQ(launched().port, 1235);
  EXPECT_EQ(launched().token, "run7");
  set("TRAINMETER_PORT", "70000");
  EXPECT_EQ(launched().port, 1235);
  set("TRAINMETER_PORT", "4000");
  set("TRAINMETER_TOKEN", "secret");
  set("TRAINMETER_BIND", "ib0");
  EXPECT_EQ(launched().port, 4000);
  EXPECT_EQ(launched().token, "secret");
  EXPECT_EQ(launched().bind, "ib0");
}

TEST_F(LaunchTest, WhatCannotBeMeantIsSaid) {
  EXPECT_EQ(launch_mistake(), "");
  for (const char* wrong : {"abc", "70000", "0", "-1", "1.5", "29501 "}) {
    set("TRAINMETER_PORT", wrong);
    EXPECT_EQ(launch_mistake(), "TRAINMETER_PORT: expected a port, 1 to 65535") << wrong;
  }
  for (const char* right : {"", "1", "65535"}) {
    set("TRAINMETER_PORT", right);
    EXPECT_EQ(launch_mistake(), "");
  }
  set("WORLD_SIZE", "2");
  set("RANK", "1");
  EXPECT_EQ(launch_mistake(), "");
  set("RANK", "2");
  EXPECT_EQ(launch_mistake().substr(0, 16), "rank 2 of 2 rank");
  for (const char* wrong : {"x", "-1", "1x"}) {
    set("RANK", wrong);
    EXPECT_EQ(launch_mistake().substr(0, 6), "RANK: ") << wrong;
  }
  unsetenv("RANK");
  EXPECT_EQ(launch_mistake().substr(0, 6), "RANK: ");
  set("WORLD_SIZE", "1");
  EXPECT_EQ(launch_mistake(), "");
  for (const char* wrong : {"x", "0", "-2", "2x"}) {
    set("WORLD_SIZE", wrong);
    EXPECT_EQ(launch_mistake().substr(0, 12), "WORLD_SIZE: ") << wrong;
  }
  set("OMPI_COMM_WORLD_SIZE", "2");  // its launcher's own come first
  EXPECT_EQ(launch_mistake(), "");
  unsetenv("TRAINMETER_PORT");
  for (const char* wrong : {"29500x", "-1", "70000", "65535"}) {
    set("MASTER_PORT", wrong);
    EXPECT_EQ(launch_mistake().substr(0, 13), "MASTER_PORT: ") << wrong;
  }
  set("TRAINMETER_PORT", "4000");
  EXPECT_EQ(launch_mistake(), "");
}

TEST_F(LaunchTest, SlurmNamesTheFirstHost) {
  set("SLURM_STEP_NUM_TASKS", "2");
  set("SLURM_STEP_NODELIST", "node[07-12,20],login");
  set("SLURM_JOB_ID", "55");
  set("SLURM_STEP_ID", "0");
  EXPECT_EQ(launched().host, "node07");
  EXPECT_EQ(launched().token, "55.0");
  EXPECT_EQ(first_host("alone"), "alone");
  EXPECT_EQ(first_host("a1,b2"), "a1");
  EXPECT_EQ(first_host("n[3,5]"), "n3");
  EXPECT_EQ(first_host("n[3]"), "n3");
  EXPECT_EQ(first_host("rack[1-2]node[01-04]"), "rack1node01");
  EXPECT_EQ(first_host("tux[1-2]-ib,other"), "tux1-ib");
  EXPECT_EQ(first_host("n[3,5"), "n3");  // cut off
  EXPECT_EQ(first_host("n["), "n");
}

using Cores = std::vector<int>;

TEST(RankCores, EqualMasksAreDividedOthersKept) {
  const std::vector<Cores> all = {{0, 1, 2, 3}, {0, 1, 2, 3}};
  EXPECT_EQ(own_share(all, 0), (Cores{0, 1}));
  EXPECT_EQ(own_share(all, 1), (Cores{2, 3}));
  const std::vector<Cores> bound = {{0}, {1}, {2, 3}};
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(own_share(bound, rank), bound[static_cast<std::size_t>(rank)]);
  }
  const std::vector<Cores> mixed = {{0, 1}, {2, 3}, {0, 1}};
  EXPECT_EQ(own_share(mixed, 1), (Cores{2, 3}));
  EXPECT_EQ(own_share(mixed, 2), (Cores{1}));
}

TEST(RankCores, EachRankHasOneAndTheyGoRound) {
  const std::vector<Cores> crowded(5, Cores{4, 9});
  EXPECT_EQ(own_share(crowded, 0), (Cores{4}));
  EXPECT_EQ(own_share(crowded, 1), (Cores{9}));
  EXPECT_EQ(own_share(crowded, 4), (Cores{4}));
  for (int ranks = 1; ranks <= 7; ++ranks) {
    const std::vector<Cores> seven(static_cast<std::size_t>(ranks), Cores{0, 1, 2, 3, 4, 5, 6});
    Cores together;
    for (int rank = 0; rank < ranks; ++rank) {
      const Cores share = own_share(seven, rank);
      EXPECT_FALSE(share.empty());
      together.insert(together.end(), share.begin(), share.end());
    }
    EXPECT_EQ(together, seven[0]) << "each core once, in order";
  }
}

// Ranks of large nodes say in a few bytes where they may run: a message holds all ranks' texts.
TEST(RankCores, AreToldAsRanges) {
  std::string said;
  const RanksOnHost here = take_own_cores(0, [&](const std::string& mine) {
    said = mine;
    return std::vector<std::string>{mine, "elsewhere 0-255"};
  });
  EXPECT_EQ(here.ranks, 1);
  EXPECT_EQ(here.hosts, (std::vector<std::string>{host_name(), "elsewhere"}));
  EXPECT_FALSE(here.crowded);
  const std::string list = said.substr(said.find(' ') + 1);
  EXPECT_EQ(list_of_cores(cores_in(list)), list);
  EXPECT_FALSE(cores_in(list).empty());
}

// A name such as 127.0.1.1, as Debian's /etc/hosts has it on the host itself, is no way for others.
TEST(OwnAddress, OfRankZerosHostIsWhatOtherHostsReachItBy) {
  const Launch launch{.rank = 1, .ranks = 3, .host = "127.0.0.1"};
  const auto of = [&](const std::vector<std::string>& hosts, const std::string& third) {
    return own_address(launch, hosts, [&](const std::string& mine) {
      return std::vector<std::string>{mine, mine, third};
    });
  };
  EXPECT_EQ(of({"a", "a", "b"}, "10.0.0.2 10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(of({"a", "a", "a"}, "127.0.0.1 127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(of({"a", "a", "a"}, "10.0.0.2 10.0.0.1"), "10.0.0.1") << "two machines of one name";
  const Launch nowhere{.rank = 0, .ranks = 1, .host = "no.such.host.invalid"};
  EXPECT_EQ(own_address(nowhere, {"a"},
                        [](const std::string& mine) { return std::vector<std::string>{mine}; }),
            "");
}

}  // namespace
}  // namespace trainmeter
