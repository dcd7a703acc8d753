// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What collective_bench refuses, in one line, and with which exit code.
#include "collective_runs.hpp"
#include "subprocess.hpp"
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CollectiveTest, MistakesAreSaidOnceAndEndEveryRank) {
  Said said = run(mpirun(2) + "collective_bench --device=cpu --devcie=x");
  EXPECT_EQ(said.code, 2) << said.err;
  const std::size_t first = said.err.find("unknown flag");
  ASSERT_NE(first, std::string::npos) << said.err;
  EXPECT_EQ(said.err.find("unknown flag", first + 1), std::string::npos) << said.err;
  // These are found by rank 0 alone, with the others waiting for it.
  said = run(mpirun(2) + kBrief + "--benchmark_filter=no_such_case");
  EXPECT_EQ(said.code, 2) << said.err;
  said = run(mpirun(2) + kBrief + "--operation=dispatch --nodes=3");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("dispatch: nodes: expected a divisor of the ranks"));
  said = run(mpirun(2) + kBrief + "--backend=nccl --bytes=1024");
  EXPECT_EQ(said.code, 3) << said.err;
  said = run(mpirun(2) + kBrief + "-g 2 --bytes=1024");
  EXPECT_EQ(said.code, 3) << said.err;
  said = run(mpirun(2) + kBrief + "--out=/proc/no/such.jsonl");
  EXPECT_EQ(said.code, 2) << said.err;
  said = run(mpirun(2) + kBrief + "--bytes=1024 --out=/dev/full");
  EXPECT_EQ(said.code, 4) << said.err;
  said = run(mpirun(2) + "collective_bench --device=gpu");
  EXPECT_EQ(said.code, 3) << said.err;  // no GPU, no NCCL, or one GPU for two ranks
  EXPECT_THAT(said.err, AnyOf(HasSubstr("rank 0 (host "), HasSubstr("built without CUDA"),
                              HasSubstr("NCCL: not found"), HasSubstr("more ranks than GPUs")));
}

// Rank 0, which waits in MPI, can't know of it.
TEST_F(CollectiveTest, ARankWithAMistakeOfItsOwnSaysIt) {
  const std::string other = " : -n 1 collective_bench --device=cpu --bites=1024";
  Said said = run(mpirun(1) + "collective_bench --device=cpu --bytes=1024" + other);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("collective_bench: rank 1: unknown flag '--bites'"));
  // Ranks of other programs never meet.
  said = run("OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 memory_bench --device=cpu --bites=8");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("memory_bench: rank 1: unknown flag '--bites'"));
}

// What no backend of theirs adds is said once, whatever the sizes; what is moved goes on.
TEST_F(CollectiveTest, ATypeThatIsNotAddedIsOneLine) {
  for (const std::string format : {"google", "nccl-tests"}) {
    const Said said = run(mpirun(2) + kBrief + "--backend=shm --dtype=fp8 --format=" + format);
    EXPECT_EQ(said.code, 3) << said.err;
    EXPECT_THAT(said.err, HasSubstr("nothing to measure: allreduce: shm: sums are in fp64, fp32, "
                                    "bf16 and fp16, not fp8\n"));
    EXPECT_EQ(said.out, "");
  }
  const Said said = run(mpirun(2) + kBrief +
                        "--backend=mpi --dtype=fp16 --operation=reduce,broadcast "
                        "--bytes=1024,2048");
  EXPECT_EQ(said.code, 0) << said.err;
  const std::string why = "left out: reduce: mpi: sums are in fp64, fp32 and bf16, not fp16\n";
  const std::size_t first = said.err.find(why);
  ASSERT_NE(first, std::string::npos) << said.err;
  EXPECT_EQ(said.err.find(why, first + 1), std::string::npos) << said.err;
}

// Before any of them is drawn, which would take hours.
TEST_F(CollectiveTest, TokensThatDontFitAreRefusedAtOnce) {
  const Said said = run(mpirun(2) + "timeout 60 " + kBrief +
                        "--operation=dispatch --models=deepseek-v3 --tokens=1000000000");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("dispatch/fp8/rows:1000000000/cols:7168/experts:256/top_k:8: "
                                  "needs 26.9 TiB, "));
}

// As nccl-tests has it: 10 bytes are two floats, and three are none.
TEST(CollectiveMistakes, NcclTestsSizesAreWholeElements) {
  Said said = run("collective_bench --device=cpu --benchmark_list_tests --backend=shm -b 10 -e 10");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("allreduce/fp32/shm/bytes:8"));
  said = run("collective_bench --device=cpu --benchmark_list_tests --backend=shm -b 3 -e 3");
  EXPECT_THAT(said.err, HasSubstr("3 bytes are too few"));
}

// Found before any rank waits for another.
TEST(CollectiveMistakes, OfOneProcess) {
  Said said = run("collective_bench --device=cpu --benchmark_list_tests --bytes=1022");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--bytes: 1022: expected a multiple of 4 (fp32)"));
  said = run("collective_bench --device=cpu --bytes=1024");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("one process has nobody to exchange with"));
  said = run("WORLD_SIZE=1 RANK=0 collective_bench --device=cpu --bytes=1024");
  EXPECT_EQ(said.code, 2) << said.err;
}

TEST(CollectiveMistakes, AFlagThatWouldDoNothingIsRefused) {
  const std::string experts = "expected together with --operation=dispatch or combine";
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"--skew=1", "--nodes, --group_limit and --skew: " + experts},
      {"--nodes=2", "--nodes, --group_limit and --skew: " + experts},
      {"--tokens=64", "--models and --tokens: " + experts},
      {"--models=deepseek-v3", "--models and --tokens: " + experts},
      {"--backend=mpi --versus=mpi", "--backend and --versus: mpi: expected two backends"},
      {"--format=nccl-tests --versus=mpi", "--versus: expected without --format=nccl-tests"},
      {"--operation=dispatch --bytes=1024", "expected with another operation than dispatch"},
      {"--system=nope", "--system: 'nope': no such file, and no such id in systems"}};
  for (const auto& [flags, message] : wrong) {
    const Said said = run("collective_bench --device=cpu --benchmark_list_tests " + flags);
    EXPECT_EQ(said.code, 2) << flags << ": " << said.err;
    EXPECT_THAT(said.err, HasSubstr(message));
    EXPECT_EQ(said.err.find('\n'), said.err.size() - 1) << said.err;
  }
  EXPECT_EQ(run("collective_bench --device=cpu --benchmark_list_tests --system=h100").code, 0);
}

// The record has hundredths.
TEST(CollectiveMistakes, ASkewThatARecordCannotHoldIsRefused) {
  const std::string list =
      "collective_bench --device=cpu --benchmark_list_tests --operation=dispatch --tokens=16 ";
  for (const std::string skew : {"0.004", "1.231", "100.01", "1e18", "1e300"}) {
    const Said said = run(list + "--skew=" + skew);
    EXPECT_EQ(said.code, 2) << skew << ": " << said.out;
    EXPECT_EQ(said.err,
              "collective_bench: --skew: '" + skew + "': expected 0 to 100, in steps of 0.01\n");
  }
  for (const auto& [skew, recorded] : std::vector<std::pair<std::string, std::string>>{
           {"0.01", "/skew_pct:1/"}, {"0.29", "/skew_pct:29/"}, {"1.10", "/skew_pct:110/"}}) {
    EXPECT_THAT(run(list + "--skew=" + skew).out, HasSubstr(recorded)) << skew;
  }
  EXPECT_THAT(run(list + "--skew=0").out, Not(HasSubstr("skew_pct")));
}

TEST(VirtualRanks, AreOfAGpuAndNoLinks) {
  Said said = run("collective_bench --virtual_ranks=9");
  EXPECT_EQ(said.code, 2) << said.err;
  said = run("collective_bench --virtual_ranks=1");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--virtual_ranks: '1': expected 2 to 8"));
  said = run("collective_bench --virtual_ranks=4 --device=cpu");
  EXPECT_EQ(said.code, 2) << said.err;
  said = run("collective_bench --virtual_ranks=4 --format=nccl-tests");
  EXPECT_EQ(said.code, 2) << said.err;
  said = run("collective_bench --virtual_ranks=4 --split=2");
  EXPECT_EQ(said.code, 2) << said.err;
}

// A port that somebody else has is the moment's fault, as a missing rank is to those who wait for
// this one; another port would do.
TEST(CollectiveMistakes, APortInUseIsTheEnvironments) {
  const int door = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof where;
  ASSERT_EQ(::bind(door, reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  ASSERT_EQ(::listen(door, 1), 0);
  ASSERT_EQ(::getsockname(door, reinterpret_cast<sockaddr*>(&where), &length), 0);
  const Said said = run("WORLD_SIZE=2 RANK=0 TRAINMETER_TIMEOUT=5 TRAINMETER_PORT=" +
                        std::to_string(ntohs(where.sin_port)) + " " + kBrief);
  ::close(door);
  EXPECT_EQ(said.code, 4) << said.err;
  EXPECT_THAT(said.err, HasSubstr("Address already in use (TRAINMETER_PORT chooses another)"));
  EXPECT_EQ(said.err.find('\n'), said.err.size() - 1) << said.err;
}

}  // namespace
}  // namespace trainmeter
