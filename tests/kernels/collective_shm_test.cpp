// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks that meet at a segment of shared memory, and are lost on the way.
#include "kernels/collective_shm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

// Names of this process's segments.
std::vector<std::string> segments() {
  const std::string ours = "trainmeter-" + std::to_string(::getpid()) + "-";
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(ours)) found.push_back(name);
  }
  return found;
}

TEST(SharedSegment, HasNoNameLeftWhereARankIsLost) {
  for (const int last : {1, 2}) {
    int calls = 0;
    const Gather gather = [&](const std::string& mine) {
      if (++calls == last) throw RankLost("rank 1 closed its connection");
      EXPECT_EQ(segments().size(), 1U);
      return std::vector<std::string>{mine, ""};
    };
    EXPECT_THROW((void)make_shm_group(0, 2, false, gather), RankLost);
    EXPECT_TRUE(segments().empty()) << "lost in gathering " << last << ": " << segments().front();
  }
}

TEST(SharedSegment, ThatOneCannotAttachToIsNotShared) {
  int calls = 0;
  const Gather gather = [&](const std::string& mine) {
    return std::vector<std::string>{mine, ++calls == 1 ? "" : "shared memory: shm_open: none"};
  };
  try {
    (void)make_shm_group(0, 2, false, gather);
    FAIL() << "shared";
  } catch (const NotShared& error) {
    EXPECT_THAT(error.what(), HasSubstr("shm_open: none (rank 1)"));
  }
  EXPECT_TRUE(segments().empty());
  // Rank 0 has no room: that is another matter, and nobody's host is to blame.
  calls = 0;
  const Gather full = [&](const std::string& mine) {
    return std::vector<std::string>{++calls == 1 ? "" : "posix_fallocate: no room", mine};
  };
  try {
    (void)make_shm_group(1, 2, false, full);
    FAIL() << "made";
  } catch (const NotShared& error) {
    FAIL() << error.what();
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr("no room (rank 0)"));
  }
}

}  // namespace
}  // namespace trainmeter
