// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks as threads over real sockets, and guests that are no ranks.
#include "kernels/rendezvous.hpp"

#include "kernels/collective.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

sockaddr_in address(int port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  return where;
}

// One that nobody uses now.
int free_port() {
  const Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in where = address(0);
  socklen_t length = sizeof where;
  ::bind(socket.descriptor(), reinterpret_cast<sockaddr*>(&where), length);
  ::getsockname(socket.descriptor(), reinterpret_cast<sockaddr*>(&where), &length);
  return ntohs(where.sin_port);
}

Socket guest(int port) {
  const sockaddr_in where = address(port);
  for (int i = 0; i < 200; ++i) {
    Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(socket.descriptor(), reinterpret_cast<const sockaddr*>(&where), sizeof where) ==
        0) {
      return socket;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Socket();
}

Launch launch_of(int rank, int ranks, int port) {
  return {.by = Launch::By::torchrun, .rank = rank, .ranks = ranks, .port = port, .token = "t"};
}

// What each of these said when it couldn't go on, "" where it could.
std::vector<std::string> meet(const std::vector<Launch>& launches, double timeout_s,
                              const std::function<void(Rendezvous&, int)>& then = {}) {
  std::vector<std::string> said(launches.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < launches.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        Rendezvous rendezvous(launches[i], timeout_s);
        if (then) then(rendezvous, launches[i].rank);
      } catch (const std::exception& error) {
        said[i] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return said;
}

TEST(Rendezvous, TextsGoRound) {
  const int port = free_port();
  const std::vector<Launch> three = {launch_of(0, 3, port), launch_of(1, 3, port),
                                     launch_of(2, 3, port)};
  const auto said = meet(three, 20, [](Rendezvous& rendezvous, int rank) {
    const std::vector<std::string> awkward = {"", "12 3\n4", std::string(100'000, 'x')};
    if (rendezvous.gather(awkward[static_cast<std::size_t>(rank)]) != awkward) {
      throw std::runtime_error("first");
    }
    if (rendezvous.gather("same") != std::vector<std::string>(3, "same")) {
      throw std::runtime_error("second");
    }
  });
  EXPECT_THAT(said, Each(""));
}

TEST(Rendezvous, TheMissingAreNamedToAll) {
  const int port = free_port();
  const auto said = meet({launch_of(0, 4, port), launch_of(2, 4, port)}, 0.5);
  EXPECT_THAT(said, Each(HasSubstr("rank 1 3 of 4")));
}

TEST(Rendezvous, WithoutRankZeroTheOthersSaySo) {
  const auto said = meet({launch_of(1, 2, free_port())}, 0.3);
  EXPECT_THAT(said[0], HasSubstr("no rank 0 at 127.0.0.1:"));
}

TEST(Rendezvous, AnotherTokenRankOrCountIsRefused) {
  const int port = free_port();
  Launch other_token = launch_of(1, 3, port);
  other_token.token = "u";
  const auto said = meet({launch_of(0, 3, port), other_token, launch_of(2, 4, port)}, 1);
  EXPECT_THAT(said[0], AllOf(HasSubstr("rank 1 2 of 3"), HasSubstr("refused: 2")));
  EXPECT_THAT(said[1], HasSubstr("TRAINMETER_TOKEN"));
  EXPECT_THAT(said[2], HasSubstr("rank 2 of 4, where rank 0 expects 3 ranks"));
}

TEST(Rendezvous, TheSameRankTwiceIsRefused) {
  const int port = free_port();
  const auto said = meet({launch_of(0, 3, port), launch_of(1, 3, port), launch_of(1, 3, port)}, 1);
  EXPECT_THAT(said[0], HasSubstr("rank 2 of 3"));
  EXPECT_THAT(said[1] + said[2], HasSubstr("rank 1 is there already"));
}

TEST(Rendezvous, StrangersDoNotKeepRanksFromMeeting) {
  const int port = free_port();
  std::vector<Socket> open;
  std::thread strangers([&] {
    open.push_back(guest(port));  // says nothing
    open.push_back(guest(port));
    const std::string garbage = "GET / HTTP/1.1\r\n\r\n";
    EXPECT_EQ(::send(open.back().descriptor(), garbage.data(), garbage.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(garbage.size()));
    guest(port);  // goes at once
  });
  std::vector<std::string> said;
  std::thread rank_zero([&] { said = meet({launch_of(0, 2, port)}, 20); });
  strangers.join();
  EXPECT_THAT(meet({launch_of(1, 2, port)}, 20), Each(""));
  rank_zero.join();
  EXPECT_THAT(said, Each(""));
}

TEST(Rendezvous, AServerThatIsNoRankZeroIsNamed) {
  const int port = free_port();
  const Socket door(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in where = address(port);
  ASSERT_EQ(::bind(door.descriptor(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  ASSERT_EQ(::listen(door.descriptor(), 1), 0);
  std::thread server([&] {
    const Socket visitor(::accept(door.descriptor(), nullptr, nullptr));
    ::send(visitor.descriptor(), "SSH-2.0-x\r\n", 11, MSG_NOSIGNAL);
  });
  EXPECT_THAT(meet({launch_of(1, 2, port)}, 5)[0], HasSubstr("is no rank 0"));
  server.join();
}

TEST(Rendezvous, APortInUseIsSaid) {
  const int port = free_port();
  const Socket door(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in where = address(port);
  where.sin_addr.s_addr = htonl(INADDR_ANY);
  ASSERT_EQ(::bind(door.descriptor(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  ASSERT_EQ(::listen(door.descriptor(), 1), 0);
  EXPECT_THROW(Rendezvous(launch_of(0, 2, port), 1), Unavailable);
  EXPECT_THAT(meet({launch_of(0, 2, port)}, 1)[0],
              AllOf(HasSubstr("Address already in use"), HasSubstr("TRAINMETER_PORT")));
}

TEST(Rendezvous, ARankThatLeavesIsNamed) {
  const int port = free_port();
  const auto said =
      meet({launch_of(0, 2, port), launch_of(1, 2, port)}, 5, [](Rendezvous& rendezvous, int rank) {
        if (rank == 0) rendezvous.gather("here");
      });
  EXPECT_THAT(said[0], HasSubstr("rank 1 closed its connection"));
}

}  // namespace
}  // namespace trainmeter
