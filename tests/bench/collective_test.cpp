// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// collective_bench under mpirun, and without it: one record whatever the number of ranks, and all
// ranks end together.
#include "record/record.hpp"
#include "record/statistics.hpp"

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

// Ranks that wait let the others run: there may be fewer cores than ranks.
std::string mpirun(int ranks) {
  const std::string as_root = ::geteuid() == 0 ? "--allow-run-as-root " : "";
  return "OMPI_MCA_mpi_yield_when_idle=1 mpirun " + as_root + "--oversubscribe -n " +
         std::to_string(ranks) + " ";
}

const std::string kBrief =
    "collective_bench --device=cpu --cache=hot --benchmark_min_time=0.02 "
    "--benchmark_min_warmup_time=0.01 ";

// Of a run that ended early: what was finished is in the record.
void expect_some_of(std::size_t cases, const std::string& file) {
  const Record record = read_record(file);
  EXPECT_GE(record.lines.size(), 1U);
  EXPECT_LT(record.lines.size(), cases);
}

class CollectiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "skipped: no mpirun";
    }
  }
  Folder folder_;
};

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

// The text, to the space, and that our own importer finds in it what the record holds.
TEST_F(CollectiveTest, NcclTestsTextIsReadBackAsTheSameRecord) {
  for (const std::string operation : {"allreduce", "allgather", "alltoallv", "broadcast"}) {
    const std::string ours = folder_ / (operation + ".jsonl");
    const std::string text = folder_ / (operation + ".txt");
    const std::string theirs = folder_ / (operation + "_imported.jsonl");
    const Said said = run(mpirun(2) +
                          "collective_bench --device=cpu --format=nccl-tests -b 64 -e 4K -f 8 -n 5 "
                          "-w 2 -c 1 -d float --operation=" +
                          operation + " --out=" + ours + " > " + text);
    ASSERT_EQ(said.code, 0) << said.err;
    const std::string printed = read_text(text);
    EXPECT_THAT(printed, HasSubstr("step: 8(factor) warmup iters: 2 iters: 5 agg iters: 1 "
                                   "validation: 1 graph: 0 unalign: 0\n#\n# Using devices\n"));
    EXPECT_THAT(printed,
                HasSubstr("#       size         count      type   redop    root     time   "
                          "algbw   busbw  #wrong     time   algbw   busbw  #wrong \n"));
    EXPECT_THAT(printed, HasSubstr("\n# Out of bounds values : 0 OK\n# Avg bus bandwidth    : "));
    ASSERT_EQ(run("trainmeter import " + text + " -o " + theirs).code, 0);
    const Record a = read_record(ours);
    const Record b = read_record(theirs);
    ASSERT_EQ(a.lines.size(), b.lines.size()) << printed;
    for (std::size_t i = 0; i < a.lines.size(); ++i) {
      const Measurement& x = a.lines[i].measurement;
      const Measurement& y = b.lines[i].measurement;
      EXPECT_EQ(x.name, y.name);
      EXPECT_EQ(x.operation, y.operation);
      EXPECT_EQ(x.dtype, y.dtype);
      EXPECT_EQ(x.backend, y.backend);
      EXPECT_EQ(x.shape, y.shape);
      EXPECT_EQ(x.bytes, y.bytes);
      EXPECT_EQ(x.ranks, y.ranks);
      EXPECT_EQ(x.usable(), y.usable());
      ASSERT_EQ(y.time_s.size(), 1U);
      ASSERT_EQ(x.time_s.size(), 5U);
      // Printed to a hundredth of a microsecond, or to four digits.
      const double us = mean(x.time_s) * 1e6;
      EXPECT_NEAR(us, y.time_s[0] * 1e6, 0.0051 + us * 1e-3);
    }
    const std::string hash = b.headers[0].device.details.at("original_sha256");
    EXPECT_EQ(read_text(theirs + ".originals/" + hash), printed);
  }
}

TEST_F(CollectiveTest, NcclTestsTextSaysWhatFailed) {
  const std::string common = "collective_bench --device=cpu --format=nccl-tests -b 1K -e 1K -n 3 ";
  Said said = run("NCCL_TESTS_MIN_BW=1000000 " + mpirun(2) + common);
  EXPECT_EQ(said.code, 1) << said.err;
  EXPECT_THAT(said.out, ::testing::ContainsRegex("Avg bus bandwidth    : [0-9.e+]+ FAILED\n"));
  said = run(mpirun(2) + common + "-c 0");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, ::testing::ContainsRegex("   N/A .*   N/A\n"));
  EXPECT_THAT(said.out, HasSubstr("validation: 0"));
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
  EXPECT_EQ(read_record(file).lines.size(), 1U + 8U);
  // Other ranks than before, who have fewer cores each: only where told, and nothing is finished.
  const std::string three = mpirun(3) + kBrief + "--bytes=4096 --resume --out=" + file;
  ASSERT_EQ(run(three + " --resume_anyway").code, 0);
  EXPECT_EQ(read_record(file).lines.size(), 9U + 2U);
}

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
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("shm: sums are in fp64, fp32, bf16 and fp16, not fp8"));
  EXPECT_THAT(said.err, HasSubstr("gloo: sums are in fp64, fp32, bf16 and fp16, not fp8"));
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 8U);
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_EQ(m.usable(), m.operation == "sendrecv" || m.dtype == "fp16") << m.name << m.failure;
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
  const Said said = ranks({kBrief + "--bytes=1024", kBrief + "--bytes=2048"}, 2);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("rank 1 has other arguments than rank 0"));
  EXPECT_THAT(said.err, HasSubstr("--bytes=2048"));
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
  EXPECT_THAT(said.err, HasSubstr("rank 1 (process "));
  EXPECT_THAT(said.err, HasSubstr("did not come within 5 s"));
  expect_some_of(4U, file);
  EXPECT_LE(segments(), before) << "something stays in /dev/shm";
}

}  // namespace
}  // namespace trainmeter
