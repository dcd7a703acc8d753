// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How ranks come together for NCCL, with ranks as threads and, in NCCL's place, functions of this
// file: they connect ranks that bring the same id, and show what a real one shows when they don't.
#include "kernels/nccl_communicator.hpp"

#include "kernels/rank_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

// What stands in for NCCL.
struct Fake {
  std::mutex mutex;
  std::map<std::string, int> came;  // by id
  int ids = 0, aborted = 0;
  ncclResult_t init = ncclInProgress;  // what the next ones answer
  ncclResult_t of_id = ncclSuccess;
};

Fake& fake() {
  static Fake one;
  return one;
}

}  // namespace

struct ncclComm {
  std::string id;
  int ranks = 0;
  std::atomic<int> error = ncclSuccess;
};

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard lock(fake().mutex);
  std::memset(id->internal, 0, sizeof id->internal);
  id->internal[0] = static_cast<char>(0x80 + ++fake().ids);  // an id is no text
  id->internal[127] = static_cast<char>(0xff);
  return fake().of_id;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int /*rank*/,
                                    ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidArgument;
  const std::lock_guard lock(fake().mutex);
  *comm = new ncclComm{.id = {id.internal, sizeof id.internal}, .ranks = ranks, .error = {}};
  ++fake().came[(*comm)->id];
  return fake().init;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  const std::lock_guard lock(fake().mutex);
  const bool all = fake().came[comm->id] == comm->ranks;
  *state = comm->error != ncclSuccess ? static_cast<ncclResult_t>(comm->error.load())
                                      : (all ? ncclSuccess : ncclInProgress);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const std::lock_guard lock(fake().mutex);
  ++fake().aborted;
  delete comm;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited" : "another error";
}

}  // extern "C"

namespace trainmeter {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

// Texts go round between threads.
class Together {
 public:
  explicit Together(int ranks) : texts_(static_cast<std::size_t>(ranks)), all_(ranks) {}
  Gather of(int rank) {
    return [this, rank](const std::string& mine) {
      texts_[static_cast<std::size_t>(rank)] = mine;
      all_.arrive_and_wait();
      std::vector<std::string> all = texts_;
      all_.arrive_and_wait();
      return all;
    };
  }

 private:
  std::vector<std::string> texts_;
  std::barrier<> all_;
};

class NcclCommunicatorTest : public ::testing::Test {
 protected:
  NcclCommunicatorTest() {
    fake().came.clear();
    fake().aborted = 0;
    fake().init = ncclInProgress;
    fake().of_id = ncclSuccess;
  }

  // What each rank said when it couldn't go on, "" where it could.
  static std::vector<std::string> connect(
      int ranks, const Split& split, const std::function<void(int rank, NcclCommunicator&)>& then) {
    Together together(ranks);
    const std::vector<std::string> hosts(static_cast<std::size_t>(ranks), "h");
    std::vector<std::string> said(hosts.size());
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          NcclCommunicator made(group_of(split, hosts, rank), together.of(rank), 0.3);
          then(rank, made);
        } catch (const std::exception& error) {
          said[static_cast<std::size_t>(rank)] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return said;
  }
};

TEST_F(NcclCommunicatorTest, EachGroupConnectsByAnIdOfItsFirstMember) {
  std::vector<std::string> ids(4);
  const auto said =
      connect(4, {.by = Split::By::count, .size = 2}, [&](int rank, NcclCommunicator& made) {
        ids[static_cast<std::size_t>(rank)] = made.get()->id;
        EXPECT_EQ(made.get()->ranks, 2);
        EXPECT_EQ(made.failure(), "");
        made.settle();
      });
  EXPECT_THAT(said, Each(""));
  EXPECT_EQ(ids[0], ids[1]);
  EXPECT_EQ(ids[2], ids[3]);
  EXPECT_NE(ids[0], ids[2]);
  EXPECT_EQ(fake().aborted, 4) << "each is given back, once";
}

// It took part in everything before, so that only NCCL waits for it.
TEST_F(NcclCommunicatorTest, ARankThatDoesNotComeEndsTheOthersInTime) {
  const auto begin = std::chrono::steady_clock::now();
  Together together(2);
  std::string said;
  std::thread rank_zero([&] {
    try {
      const NcclCommunicator made({.members = {0, 1}, .me = 0, .groups = 1}, together.of(0), 0.3);
    } catch (const RankLost& lost) {
      said = lost.what();
    }
  });
  const Gather texts = together.of(1);
  texts("");
  texts("");
  rank_zero.join();
  EXPECT_THAT(said, HasSubstr("didn't come together within"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(fake().aborted, 1);
}

TEST_F(NcclCommunicatorTest, WhatNcclRefusesIsSaid) {
  fake().init = ncclSystemError;
  EXPECT_THAT(connect(2, {}, [](int, NcclCommunicator&) {}),
              Each(HasSubstr("NCCL: another error (ncclCommInitRankConfig)")));
  EXPECT_EQ(fake().aborted, 2);
  fake().of_id = ncclSystemError;
  EXPECT_THAT(connect(2, {}, [](int, NcclCommunicator&) {}),
              Each(HasSubstr("NCCL: another error (ncclGetUniqueId) (rank 0)")));
}

TEST_F(NcclCommunicatorTest, AnErrorLaterIsSeenByTheWatchWhichAborts) {
  const auto said = connect(2, {}, [](int, NcclCommunicator& made) {
    const RankWatch watch({.finished = [] { return false; },
                           .failed = [&] { return made.failure(); },
                           .abort = [&] { made.abort(); }},
                          1000);
    made.get()->error = ncclRemoteError;
    for (;;) {
      watch.require();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  EXPECT_THAT(said, Each(HasSubstr("NCCL: remote process exited")));
  EXPECT_EQ(fake().aborted, 2);
}

TEST_F(NcclCommunicatorTest, WorkThatNeverEndsIsAborted) {
  const auto said = connect(2, {}, [](int, NcclCommunicator& made) {
    std::atomic<bool> ended = false;  // what a kernel does once its communicator is aborted
    const RankWatch watch({.finished = [&] { return ended.load(); },
                           .failed = [&] { return made.failure(); },
                           .abort =
                               [&] {
                                 made.abort();
                                 ended = true;
                               }},
                          0.2);
    while (!ended) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_THROW(made.settle(), RankLost);
    watch.require();
  });
  EXPECT_THAT(said, Each(HasSubstr("a rank hangs or is gone")));
}

}  // namespace
}  // namespace trainmeter
