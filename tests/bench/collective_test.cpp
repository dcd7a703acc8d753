// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// collective_bench under mpirun, and without it: one record whatever the number of ranks, and all
// ranks end together.
#include "record/record.hpp"

#include "collective_runs.hpp"
#include "subprocess.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

// Of a run that ended early: what was finished is in the record.
void expect_some_of(std::size_t cases, const std::string& file) {
  const Record record = read_record(file);
  EXPECT_GE(record.lines.size(), 1U);
  EXPECT_LT(record.lines.size(), cases);
}

TEST_F(CollectiveTest, OneRecordForAnyNumberOfRanks) {
  for (const int ranks : {2, 3}) {
    const std::string file = folder_ / (std::to_string(ranks) + ".jsonl");
    const Said said = run(mpirun(ranks) + kBrief + "--bytes=1024,1048576 --out=" + file);
    ASSERT_EQ(said.code, 0) << said.err;
    const Record record = read_record(file);
    EXPECT_EQ(record.headers.size(), 1U);
    ASSERT_EQ(record.lines.size(), 4U);
    for (const Line& line : record.lines) {
      EXPECT_TRUE(line.measurement.usable()) << line.measurement.failure;
      EXPECT_EQ(line.measurement.ranks, ranks);
      EXPECT_THAT(line.measurement.backend, AnyOf("shm", "mpi"));
      EXPECT_GE(line.measurement.time_s.size(), 10U);
    }
    EXPECT_EQ(said.out.find('\033'), std::string::npos) << "colour in a file";
    // Rank 0 alone prints.
    const std::size_t first = said.out.find("mpi/bytes:1048576");
    ASSERT_NE(first, std::string::npos) << said.out;
    EXPECT_EQ(said.out.find("mpi/bytes:1048576", first + 1), std::string::npos) << said.out;
  }
}

TEST_F(CollectiveTest, EveryOperationInBothPlacesWithItsSlowestRank) {
  const std::string file = folder_ / "r.jsonl";
  const Said said =
      run(mpirun(2) + kBrief + "--target=0 --bytes=65536 --place=out,in --out=" + file +
          " --operation=allreduce,allgather,reducescatter,broadcast,reduce,alltoall,"
          "alltoallv,sendrecv,dispatch,combine --tokens=64 --skew=0.5");
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("left out: alltoallv in place: shm can't"));
  EXPECT_THAT(said.out, HasSubstr("p99_s"));
  EXPECT_THAT(said.out, HasSubstr("slowest_rank"));
  const Record record = read_record(file);
  EXPECT_EQ(record.lines.size(), 2U * (7 * 2 + 1) - 1 + 2 * 2);  // reducescatter by MPI, once
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.name << ": " << m.failure;
    EXPECT_THAT(m.notes.at("slowest_rank"), AnyOf("0", "1"));
    const double share = std::stod(m.notes.at("slowest_rank_share"));
    EXPECT_GE(share, 0.5);
    EXPECT_LE(share, 1);
  }
}

TEST_F(CollectiveTest, ASizeThatIsTooLargeIsLeftOut) {
  const Said said = run(mpirun(2) + kBrief +
                        "--backend=shm --bytes=1024,100000000000000 "
                        "--operation=allreduce,dispatch --tokens=1000000000");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("allreduce/fp32/shm/bytes:1024"));
  for (const std::string what : {"allreduce/fp32/shm/bytes:100000000000000: needs ",
                                 "dispatch/fp8/rows:1000000000/cols:7168/experts:256/top_k:8: "}) {
    EXPECT_THAT(said.err, HasSubstr("left out: " + what));
  }
}

// --backend need not name the other of the two, as elsewhere --benchmark_filter need not.
TEST_F(CollectiveTest, VersusBringsItsBackend) {
  const std::string file = folder_ / "r.jsonl";
  const Said said =
      run(mpirun(2) + kBrief + "--bytes=1024 --backend=shm --versus=mpi --out=" + file);
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 2U);
  EXPECT_EQ(record.lines[0].measurement.backend, "shm");
  EXPECT_EQ(record.lines[1].measurement.backend, "mpi");
  EXPECT_EQ(record.lines[0].measurement.paired_with, record.lines[1].measurement.name);
}

TEST_F(CollectiveTest, GroupsWorkAtOnce) {
  const std::string file = folder_ / "r.jsonl";
  Said said = run(mpirun(4) + kBrief +
                  "--target=0 --split=2 --bytes=4096 --operation=alltoall,reduce --out=" + file);
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 4U);
  EXPECT_EQ(record.headers[0].device.details.at("split"), "2 groups of 2, by 2");
  for (const Line& line : record.lines) {
    EXPECT_TRUE(line.measurement.usable()) << line.measurement.failure;
    EXPECT_EQ(line.measurement.ranks, 2);
    EXPECT_EQ(line.measurement.shape.at("groups"), 2);
  }
  said = run(mpirun(4) + kBrief + "--split=3 --bytes=4096");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--split=3: groups of different sizes"));
  said = run(mpirun(2) + kBrief + "--split=3 --bytes=4096");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--split=3: a group of more than the 2 ranks that there are"));
  said = run(mpirun(2) + kBrief + "--split=rail --bytes=4096");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("groups of one rank"));
}

TEST_F(CollectiveTest, RanksFollowRankZerosChoiceAndOrder) {
  const std::string file = folder_ / "r.jsonl";
  const std::string command = mpirun(2) + kBrief + "--bytes=1024,4096 --resume --out=" + file;
  ASSERT_EQ(run(command + " --benchmark_filter=mpi/.*4096").code, 0);
  const Said said =
      run(command + " --benchmark_enable_random_interleaving --benchmark_repetitions=2");
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(read_record(file).lines.size(), 8U);  // one of them was there
  // Other ranks than before, who have fewer cores each: only where told, and nothing is finished.
  const std::string three = mpirun(3) + kBrief + "--bytes=4096 --resume --out=" + file;
  ASSERT_EQ(run(three + " --resume_anyway").code, 0);
  EXPECT_EQ(read_record(file).lines.size(), 8U + 2U);
}

// DeepSeek-V3 sends an fp8 token of 7168 values with 56 scales of 4 bytes.
TEST_F(CollectiveTest, DispatchInFp8SendsItsScales) {
  const std::string file = folder_ / "r.jsonl";
  const Said said = run(mpirun(2) + kBrief +
                        "--target=0 --backend=shm --operation=dispatch,combine "
                        "--dtype=fp8,bf16 --tokens=64 --out=" +
                        file);
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 4U);
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.name << ": " << m.failure;
    const bool fp8 = m.dtype == "fp8";
    EXPECT_EQ(m.scaling, fp8 ? "block128" : "none") << m.name;
    EXPECT_EQ(m.name.ends_with("/scaling:block128"), fp8) << m.name;
    const double token = fp8 ? 7168 + 4 * 56 : 2 * 7168;
    const double tokens = m.bytes / token;
    EXPECT_EQ(tokens, std::floor(tokens)) << m.name << ": " << m.bytes;
    EXPECT_GT(tokens, 32) << m.name;
    EXPECT_LE(tokens, 64) << m.name;
  }
}

TEST(VirtualRanks, HaveRowsThatSayWhatTheyAre) {
  Folder folder;
  const std::string file = folder / "r.jsonl";
  const Said said =
      run("collective_bench --virtual_ranks=4 --bytes=1024,1000000 --dtype=bf16 --place=out,in "
          "--operation=allreduce,allgather --benchmark_min_time=0.01 --out=" +
          file);
  if (said.code == 3) {
    EXPECT_THAT(said.err, AnyOf(HasSubstr("no CUDA device"), HasSubstr("built without CUDA")));
    GTEST_SKIP() << "skipped: " << said.err;
  }
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("left out: allgather: peer can't"));
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 4U);
  EXPECT_EQ(record.headers.front().device.count, 1);
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.failure;
    EXPECT_EQ(m.backend, "peer");
    EXPECT_EQ(m.ranks, 4);
    EXPECT_EQ(m.shape.at("virtual_ranks"), 4);
    EXPECT_THAT(m.notes.at("virtual_ranks"), HasSubstr("not of links"));
  }
}

TEST_F(CollectiveTest, AnInterruptEndsEveryRankAndKeepsFinishedWork) {
  const std::string file = folder_ / "r.jsonl";
  const Said said = run_and_signal(
      mpirun(2) +
          "collective_bench --device=cpu --cache=hot --bytes=1048576,2097152,4194304,8388608 " +
          "--benchmark_min_time=1.5 --out=" + file,
      "TERM", file);
  EXPECT_NE(said.code, 0) << said.err;
  expect_some_of(8U, file);
}

// Rank 1 is stopped as soon as one case is in the record: the others wait for it in MPI, which
// would wait for ever.
TEST_F(CollectiveTest, ARankThatHangsInMpiIsNamedAndFinishedWorkKept) {
  const std::string file = folder_ / "r.jsonl";
  const std::string stopped =
      "sh -c '[ $OMPI_COMM_WORLD_RANK != 1 ] || (for i in $(seq 600); do [ \"$(cat " + file +
      " 2>/dev/null | wc -l)\" -ge 2 ] && break; sleep 0.05; done; kill -STOP $$) & exec "
      "collective_bench --device=cpu --backend=mpi --cache=hot --bytes=1024,4096,16384,65536 "
      "--benchmark_min_time=1.5 --out=" +
      file + "'";
  const Said said = run("TRAINMETER_TIMEOUT=2 " + mpirun(3) + stopped);
  EXPECT_EQ(said.code, 4) << said.err;
  EXPECT_THAT(said.err, HasSubstr("MPI didn't come back within 2 s"));
  EXPECT_THAT(said.err, HasSubstr(": rank 1 (host "));
  expect_some_of(4U, file);
}

// Ranks of one host by torchrun's variables.
class LocalTest : public ::testing::Test {
 protected:
  // One command a rank. The exit code is that of the last rank that failed, else 0.
  [[nodiscard]] Said ranks(const std::vector<std::string>& commands, int ranks,
                           const std::string& extra = "") const {
    std::string line = extra + " export WORLD_SIZE=" + std::to_string(ranks) +
                       " TRAINMETER_PORT=" + std::to_string(port()) +
                       " TRAINMETER_TIMEOUT=5; worst=0; children=;";
    for (std::size_t rank = 0; rank < commands.size(); ++rank) {
      line += " (export RANK=" + std::to_string(rank) + "; exec " + commands[rank] +
              ") & children=\"$children $!\";";
    }
    return run(line + " for child in $children; do wait $child || worst=$?; done; exit $worst");
  }
  // Tests may run side by side.
  static int port() { return 20'000 + ::getpid() % 20'000; }

  static std::size_t segments() {
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      if (entry.path().filename().string().starts_with("trainmeter-")) ++found;
    }
    return found;
  }
  Folder folder_;
};

TEST_F(LocalTest, RanksMeetWithoutMpi) {
  const std::string file = folder_ / "r.jsonl";
  const std::string command = kBrief + "--bytes=1024,1048576 --dtype=fp32,bf16,fp16 --out=" + file;
  const Said said = ranks({command, command, command}, 3);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("TCP rendezvous by torchrun's variables, 3 processes"));
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 6U);
  EXPECT_EQ(record.headers[0].device.details.at("ranks_by"),
            "TCP rendezvous by torchrun's variables, 3 processes");
  EXPECT_THAT(record.headers[0].device.details.at("expected"), HasSubstr("nothing: CPUs"));
  EXPECT_THAT(said.out, HasSubstr("wire_B/s"));
  for (const Line& line : record.lines) {
    EXPECT_TRUE(line.measurement.usable()) << line.measurement.failure;
    EXPECT_EQ(line.measurement.backend, "shm");
    EXPECT_EQ(line.measurement.ranks, 3);
  }
}

// On one host gloo is there where it is named, and pairs with our own on the same payloads.
TEST_F(LocalTest, GlooWorksBesideSharedMemory) {
  const std::string file = folder_ / "r.jsonl";
  const std::string command = kBrief +
                              "--target=0 --backend=shm,gloo --operation=allreduce,sendrecv "
                              "--bytes=4096 --dtype=fp16,fp8 --out=" +
                              file;
  const Said said = ranks({command, command, command}, 3);
  if (said.err.find("--backend=gloo: here there is shm alone") != std::string::npos) {
    GTEST_SKIP() << "skipped: built without gloo";
  }
  EXPECT_EQ(said.code, 0) << said.err;
  const std::string left_out = ": sums are in fp64, fp32, bf16 and fp16, not fp8";
  EXPECT_THAT(said.err, HasSubstr("left out: allreduce: shm" + left_out));
  EXPECT_THAT(said.err, HasSubstr("left out: allreduce: gloo" + left_out));
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 6U);
  for (const Line& line : record.lines) {
    EXPECT_TRUE(line.measurement.usable()) << line.measurement.name << line.measurement.failure;
  }
}

TEST_F(LocalTest, RanksOfTwoNodesNameThemForAccept) {
  const std::string file = folder_ / "r.jsonl";
  const std::string command = kBrief + "--bytes=1024 --out=" + file;
  const Said said =
      ranks({"env SLURMD_NODENAME=n2 " + command, "env SLURMD_NODENAME=n1 " + command}, 2);
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(file);
  EXPECT_EQ(record.headers[0].host, "n2");
  ASSERT_EQ(record.lines.size(), 1U);
  EXPECT_EQ(record.lines[0].measurement.notes.at("hosts"), "n1 n2");
}

TEST_F(LocalTest, AMissingRankEndsTheOthers) {
  const Said said = ranks({kBrief, kBrief}, 3, "export TRAINMETER_TOKEN=x;");
  EXPECT_EQ(said.code, 4) << said.err;
  EXPECT_THAT(said.err, HasSubstr("rank 2 of 3"));
}

TEST_F(LocalTest, OtherArgumentsAreNamed) {
  Said said = ranks({kBrief + "--bytes=1024", kBrief + "--bytes=2048"}, 2);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("rank 1 has other arguments than rank 0"));
  EXPECT_THAT(said.err, HasSubstr("--bytes=2048"));
  const std::string command = kBrief + "--bytes=1048576";
  said =
      ranks({command, "env TRAINMETER_ALLREDUCE_PLAN=two_shot,4096,ahead,streaming " + command}, 2);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("rank 1 has other TRAINMETER_ALLREDUCE_PLAN than rank 0: "
                                  "'two_shot,4096,ahead,streaming', expected ''"));
}

// What is wrong with one rank alone is said, whichever it is, and nobody waits for it.
TEST_F(LocalTest, ARankThatFailsAloneSaysWhy) {
  const std::string command = kBrief + "--operation=dispatch --tokens=64";
  Said said = ranks({command, "env TRAINMETER_DATA=/nonexistent " + command}, 2);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, ::testing::ContainsRegex("collective_bench: rank 1 \\(host [^ ]+\\): .*"
                                                 "/nonexistent"));
  // Before they meet.
  said = run("WORLD_SIZE=2 RANK=1 TRAINMETER_TIMEOUT=abc " + kBrief);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_EQ(said.err,
            "collective_bench: rank 1: TRAINMETER_TIMEOUT: 'abc': expected seconds, above 0, at "
            "most 1000000\n");
  said = ranks({kBrief + "--bytes=1024", kBrief + "--bites=1024"}, 2);
  EXPECT_THAT(said.err, HasSubstr("collective_bench: rank 1: unknown flag '--bites'"));
}

// While the ranks still meet.
TEST_F(LocalTest, ASignalEndsARankThatWaitsForOthers) {
  // As soon as the program catches SIGTERM.
  const std::string told =
      "& for i in $(seq 600); do grep -q '^SigCgt:.*[4-7c-f]...$' /proc/$!/status && break; sleep "
      "0.05; done; kill -TERM $!; wait $!";
  for (const char* const rank : {"0", "1"}) {
    const Said said = run("export WORLD_SIZE=2 TRAINMETER_PORT=" + std::to_string(port()) +
                          " RANK=" + rank + "; " + kBrief + told);
    EXPECT_EQ(said.code, 143) << said.err;
    EXPECT_EQ(said.err, *rank == '0' ? "collective_bench: interrupted by signal 15 before all "
                                       "ranks were there\n"
                                     : "");
  }
}

// Rank 1 is killed as soon as one case is in the record; rank 0 keeps that and names who is gone.
TEST_F(LocalTest, AKilledRankIsNamedAndFinishedWorkKept) {
  const std::size_t before = segments();
  const std::string file = folder_ / "r.jsonl";
  const std::string command =
      "collective_bench --device=cpu --cache=hot --bytes=1024,4096,16384,65536 "
      "--benchmark_min_time=1.5 --out=" +
      file;
  const std::string killed =
      "sh -c '" + command + " & for i in $(seq 600); do [ \"$(cat " + file +
      " 2>/dev/null | wc -l)\" -ge 2 ] && break; sleep 0.05; done; kill -9 $!; wait'";
  const Said said = ranks({command, killed}, 2);
  EXPECT_EQ(said.code, 4) << said.err;
  EXPECT_THAT(said.err, ::testing::ContainsRegex("rank 1 \\(host [^ ,]+, process [0-9]+\\)"));
  EXPECT_THAT(said.err, HasSubstr("did not come within 5 s"));
  expect_some_of(4U, file);
  EXPECT_LE(segments(), before) << "something stays in /dev/shm";
}

// SIGTERM reaches rank 1 alone, as soon as one case is in the record: all end by it.
TEST_F(LocalTest, ASignalToAnyRankEndsAllAndIsTheExitCode) {
  const std::string file = folder_ / "r.jsonl";
  const std::string command =
      "collective_bench --device=cpu --cache=hot --bytes=1024,4096,16384,65536 "
      "--benchmark_min_time=1.5 --out=" +
      file;
  const auto told = [&](const std::string& last) {
    return "sh -c '" + command + " & for i in $(seq 600); do [ \"$(cat " + file +
           " 2>/dev/null | wc -l)\" -ge 2 ] && break; sleep 0.05; done; kill -TERM $!; " + last +
           "'";
  };
  // `ranks` tells one code: rank 1's, and then rank 0's.
  for (const char* const last : {"wait $!", "wait $!; true"}) {
    const Said said = ranks({command, told(last)}, 2);
    EXPECT_EQ(said.code, 143) << said.err;
    EXPECT_THAT(said.err, HasSubstr(", interrupted; record: "));
    expect_some_of(4U, file);
    std::filesystem::remove(file);
  }
}

}  // namespace
}  // namespace trainmeter
