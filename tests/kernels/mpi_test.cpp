// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The MPI world: run alone, and by mpirun on several ranks. Every rank runs every test, so a rank
// that fails makes mpirun fail.
#include "kernels/collective.hpp"
#include "kernels/launch.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

std::int64_t flipped_byte = -1;  // of the result that MPI_Allreduce gives; -1: none

}  // namespace

// MPI lets a program stand between itself and the library: this one can spoil a result.
int MPI_Allreduce(const void* send, void* receive, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm) {
  const int status = PMPI_Allreduce(send, receive, count, type, op, comm);
  // Upper byte of an element: its sign changes. Agreements between ranks are single elements.
  if (flipped_byte >= 0 && count > 1) static_cast<unsigned char*>(receive)[flipped_byte] ^= 0x80U;
  return status;
}

namespace trainmeter {
namespace {

World& world() {
  static const std::unique_ptr<World> made = make_mpi_world();
  return *made;
}

TEST(Mpi, SeesTheRanksThatWereStarted) {
  const char* expected = std::getenv("TRAINMETER_EXPECTED_RANKS");
  const int ranks = expected == nullptr ? 1 : std::atoi(expected);
  EXPECT_EQ(world().ranks(), ranks);
  EXPECT_EQ(launched().ranks, ranks);
  EXPECT_GE(world().rank(), 0);
  EXPECT_LT(world().rank(), ranks);
  EXPECT_EQ(world().how(),
            ranks == 1 ? "MPI, 1 process" : "MPI, " + std::to_string(ranks) + " processes");
}

TEST(Mpi, RanksAgree) {
  const int ranks = world().ranks();
  const int rank = world().rank();
  world().barrier();
  EXPECT_EQ(world().decide(1000 + rank), 1000);
  EXPECT_EQ(world().slowest(1.5 * rank), 1.5 * (ranks - 1));
  EXPECT_TRUE(world().all(true));
  EXPECT_FALSE(world().all(rank != ranks - 1));
  EXPECT_FALSE(world().all(false));
}

TEST(Mpi, AllReduceIsRight) {
  for (const DType type : {DType::fp32, DType::fp64, DType::bf16}) {
    for (const std::int64_t bytes : {std::int64_t{8}, std::int64_t{24}, std::int64_t{4096},
                                     std::int64_t{6'000'000}}) {  // in one piece and in several
      const auto operation =
          world().collective("mpi", {.dtype = type, .bytes = bytes}, {.seed = 3});
      const Check check = operation->verify();
      EXPECT_TRUE(check.ok) << to_string(type) << ", " << bytes << ": " << check.error;
    }
  }
}

TEST(Mpi, EveryCollectiveIsRightByEveryBackend) {
  using enum CollectiveKind;
  const int ranks = world().group().ranks();
  for (const std::string& backend : world().backends()) {
    for (const DType type : {DType::fp32, DType::bf16}) {
      for (const CollectiveKind what :
           {all_gather, reduce_scatter, broadcast, reduce, all_to_all, send_recv}) {
        for (const bool in_place : {false, true}) {
          if (in_place && what == reduce_scatter && backend == "mpi") continue;
          const std::int64_t bytes = even_bytes(what, type, 1'200'000, ranks);
          const auto operation =
              world().collective(backend, {type, bytes, what, in_place, {}}, {.seed = 5});
          const Check check = operation->verify();
          EXPECT_TRUE(check.ok) << backend << " " << to_string(what) << ": " << check.wrong;
        }
      }
    }
    const auto counts = distance_weighted(DType::fp8, 100'000, ranks);
    EXPECT_TRUE(
        world().collective(backend, {DType::fp8, 0, all_to_all_v, false, counts}, {})->verify().ok)
        << backend;
  }
}

TEST(Mpi, AWrongElementOnOneRankIsFoundByAll) {
  const int last = world().ranks() - 1;
  for (const DType type : {DType::fp32, DType::fp64, DType::bf16}) {
    const auto operation =
        world().collective("mpi", {.dtype = type, .bytes = 6'000'000}, {.seed = 4});
    for (const std::int64_t byte : {std::int64_t{7}, std::int64_t{5'999'999}}) {
      flipped_byte = world().rank() == last ? byte : -1;
      const Check check = operation->verify();
      flipped_byte = -1;
      EXPECT_FALSE(check.ok) << to_string(type) << " at " << byte;
    }
    EXPECT_TRUE(operation->verify().ok);
  }
}

TEST(Mpi, EveryRankMakesAsManySets) {
  const auto operation =
      world().collective("mpi", {.dtype = DType::fp32, .bytes = 1024}, {.rotate_bytes = 10'000});
  EXPECT_EQ(operation->sets(), 5);
  for (int set = 0; set < operation->sets(); ++set) operation->run(set);
  EXPECT_TRUE(operation->verify().ok);
}

// As many as a last-level cache of hundreds of MB asks for: 2^18, far more than Linux grants
// mappings.
TEST(Mpi, SmallPayloadsByTheHundredThousandFit) {
  const auto operation = world().collective("mpi", {.dtype = DType::fp32, .bytes = 1024},
                                            {.rotate_bytes = std::int64_t{512} << 20});
  EXPECT_GT(operation->sets(), 65'530);
  operation->run(operation->sets() - 1);
  EXPECT_TRUE(operation->verify().ok);
}

TEST(Mpi, RefusesClearlyOnEveryRank) {
  World& here = world();
  EXPECT_THROW(here.collective("mpi", {.dtype = DType::int8, .bytes = 64}, {}), Unavailable);
  EXPECT_THROW(here.collective("mpi", {.dtype = DType::fp32, .bytes = 0}, {}),
               std::invalid_argument);
  EXPECT_THROW(here.collective("mpi", {.dtype = DType::fp32, .bytes = 6}, {}),
               std::invalid_argument);
  EXPECT_THROW(here.collective("mpi", {.dtype = DType::fp32, .bytes = std::int64_t{1} << 40}, {}),
               Unavailable);
  here.barrier();  // the ranks are still together
}

TEST(Mpi, WorldsShareOneStart) {
  const auto second = make_mpi_world();
  EXPECT_EQ(second->ranks(), world().ranks());
}

}  // namespace
}  // namespace trainmeter

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
