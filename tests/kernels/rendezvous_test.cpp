// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks as threads over real sockets, guests that are no ranks, and somebody between them.
#include "kernels/rendezvous.hpp"

#include "kernels/collective.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <functional>
#include <poll.h>
#include <random>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

sockaddr_in address(int port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  return where;
}

int port_of(const Socket& socket) {
  sockaddr_in where{};
  socklen_t length = sizeof where;
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
  EXPECT_THAT(said, Each(HasSubstr("ranks 1, 3 of 4")));
}

TEST(Rendezvous, TheMissingAreNamedWithTheirHosts) {
  const int port = free_port();
  const std::vector<std::string> hosts = {"a", "b", "c"};
  std::string of_two;
  std::thread two([&] { of_two = who_is_missing(launch_of(2, 3, port), hosts, 0.5); });
  const std::string of_zero = who_is_missing(launch_of(0, 3, port), hosts, 0.5);
  two.join();
  EXPECT_THAT(of_zero, HasSubstr("rank 1 (host b) of 3"));
  EXPECT_EQ(of_two, of_zero);
  EXPECT_THAT(who_is_missing(launch_of(1, 3, port), hosts, 0.2),
              HasSubstr("no rank 0 (host a) at"));
}

TEST(Rendezvous, WithoutRankZeroTheOthersSaySo) {
  const auto said = meet({launch_of(1, 2, free_port())}, 0.3);
  EXPECT_THAT(said[0], HasSubstr("no rank 0 at 127.0.0.1:"));
  Launch six = launch_of(1, 2, free_port());
  six.host = "::1";
  EXPECT_THAT(meet({six}, 0.3)[0], HasSubstr("has no IPv4 address"));
}

TEST(Rendezvous, AnotherTokenRankOrCountIsRefused) {
  const int port = free_port();
  Launch other_token = launch_of(1, 3, port);
  other_token.token = "u";
  const auto said = meet({launch_of(0, 3, port), other_token, launch_of(2, 4, port)}, 1);
  EXPECT_THAT(said[0], AllOf(HasSubstr("ranks 1, 2 of 3"), HasSubstr("refused: 1"),
                             HasSubstr("another TRAINMETER_TOKEN: 1")));
  EXPECT_THAT(said[1], HasSubstr("TRAINMETER_TOKEN"));
  EXPECT_THAT(said[2], HasSubstr("rank 2 of 4, where rank 0 expects 3 ranks"));
}

TEST(Rendezvous, TheSameRankTwiceIsRefused) {
  const int port = free_port();
  const auto said = meet({launch_of(0, 3, port), launch_of(1, 3, port), launch_of(1, 3, port)}, 1);
  EXPECT_THAT(said[0], HasSubstr("rank 2 of 3"));
  EXPECT_THAT(said[1] + said[2], HasSubstr("rank 1 is there already"));
}

// More than are let in at the same time, and each would be waited for longer than the ranks wait.
TEST(Rendezvous, StrangersDoNotKeepRanksFromMeeting) {
  const int port = free_port();
  std::vector<std::string> said;
  std::thread rank_zero([&] { said = meet({launch_of(0, 2, port)}, 20); });
  std::mt19937 random(7);
  std::vector<Socket> open;
  for (std::size_t i = 0; i < 300; ++i) {
    open.push_back(guest(port));
    std::string garbage(i % 3 == 0 ? 0 : random() % 200, ' ');  // every third says nothing
    for (char& c : garbage) c = static_cast<char>(random());
    if (i % 7 == 0) garbage = std::string(kProtocol) + garbage;
    send_bytes(open.back(), garbage, steady_s() + 5);
    if (i % 5 == 0) open.pop_back();  // goes at once
  }
  EXPECT_THAT(meet({launch_of(1, 2, port)}, 20), Each(""));
  rank_zero.join();
  EXPECT_THAT(said, Each(""));
}

// All ranks of a large run come at once, and some are slow to answer.
TEST(Rendezvous, MoreRanksThanStrangersAreLetIn) {
  constexpr int kGuests = 300, kRanks = 400;
  const int port = free_port();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<std::string> said;
  std::thread rank_zero([&] { said = meet({launch_of(0, kRanks, port)}, 3); });
  std::vector<Socket> guests;
  for (int i = 0; i < kGuests; ++i) guests.push_back(guest(port));
  std::string first(kChallengeBytes, ' ');
  EXPECT_TRUE(receive_bytes(guests.back(), first.data(), first.size(), steady_s() + 2));
  EXPECT_TRUE(receive_bytes(guests.front(), first.data(), first.size(), steady_s() + 2));
  Greeting mine = {.rank = 1, .ranks = kRanks};
  const auto nonce_of_zero = nonce_in(first);
  if (nonce_of_zero) {
    send_bytes(guests.front(), greet("t", *nonce_of_zero, mine), steady_s() + 2);
  }
  rank_zero.join();
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(said[0], HasSubstr(": ranks 2, 3, 4, ")) << "the first guest was rank 1";
}

// What a signal handler would note.
TEST(Rendezvous, AnInterruptEndsThoseWhoWait) {
  const auto interrupted = [](const Launch& launch) {
    const double begin_s = steady_s();
    const Interrupt after = [begin_s] { return steady_s() < begin_s + 0.3 ? 0 : 2; };
    try {
      const Rendezvous rendezvous(launch, 60, {}, after);
    } catch (const Interrupted& error) {
      EXPECT_LT(steady_s() - begin_s, 10);
      EXPECT_THAT(error.what(), HasSubstr("signal 2"));
      return error.signal;
    }
    return 0;
  };
  const int port = free_port();
  EXPECT_EQ(interrupted(launch_of(0, 2, port)), 2);
  EXPECT_EQ(interrupted(launch_of(1, 2, port)), 2) << "no rank 0";
  // Rank 1 is there, rank 2 isn't: rank 0 alone gets the signal, and tells rank 1.
  std::vector<std::string> said;
  std::thread one([&] { said = meet({launch_of(1, 3, port)}, 60); });
  EXPECT_EQ(interrupted(launch_of(0, 3, port)), 2);
  one.join();
  EXPECT_THAT(said[0], HasSubstr("rank 0 was ended by signal 2"));
  // And rank 1 alone.
  std::thread zero([&] { meet({launch_of(0, 3, port)}, 2); });
  EXPECT_EQ(interrupted(launch_of(1, 3, port)), 2);
  zero.join();
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
  EXPECT_THROW(Rendezvous(launch_of(0, 2, port), 1), PortTaken);
  EXPECT_THAT(meet({launch_of(0, 2, port)}, 1)[0],
              AllOf(HasSubstr("Address already in use"), HasSubstr("TRAINMETER_PORT")));
}

// What went through somebody between a rank and rank 0, to each of them.
struct Overheard {
  std::string to_zero;
  std::string to_rank;
};

// Takes one connection on to port `zero`, until one side has gone; `change` may change what goes to
// rank 0.
Overheard between(const Socket& door, int zero, const std::function<void(std::string&)>& change) {
  pollfd waits = {.fd = door.descriptor(), .events = POLLIN, .revents = 0};
  ::poll(&waits, 1, 5000);
  const Socket rank(::accept(door.descriptor(), nullptr, nullptr));
  const Socket to_zero = guest(zero);
  Overheard all;
  for (;;) {
    std::array<pollfd, 2> both = {{{.fd = rank.descriptor(), .events = POLLIN, .revents = 0},
                                   {.fd = to_zero.descriptor(), .events = POLLIN, .revents = 0}}};
    if (::poll(both.data(), both.size(), 5000) <= 0) return all;
    for (std::size_t i = 0; i < both.size(); ++i) {
      if (both[i].revents == 0) continue;
      std::string some(4096, ' ');
      const ssize_t got = ::recv(both[i].fd, some.data(), some.size(), 0);
      if (got <= 0) return all;
      some.resize(static_cast<std::size_t>(got));
      (i == 0 ? all.to_zero : all.to_rank) += some;
      if (i == 0 && change) change(some);
      send_bytes(i == 0 ? to_zero : rank, some, steady_s() + 5);
    }
  }
}

// Ranks 0 and 1 with somebody between them; what both said in the end.
std::vector<std::string> meet_through(Overheard& all,
                                      const std::function<void(std::string&)>& change = {}) {
  const int port = free_port();
  const Socket door = listen_at("127.0.0.1", 0);
  std::thread listener([&] { all = between(door, port, change); });
  Launch zero = launch_of(0, 2, port);
  Launch one = launch_of(1, 2, port_of(door));
  zero.token = one.token = "a secret that nobody knows";
  const auto said = meet({zero, one}, 1, [](Rendezvous& rendezvous, int rank) {
    rendezvous.gather("text of " + std::to_string(rank));
  });
  listener.join();
  return said;
}

TEST(Rendezvous, TheTokenIsNotSentAndWhatWasOverheardIsWorthNothing) {
  Overheard all;
  ASSERT_THAT(meet_through(all), Each(""));
  EXPECT_THAT(all.to_zero + all.to_rank,
              AllOf(HasSubstr("text of 1"), Not(HasSubstr("a secret that nobody knows"))));

  // The same bytes again, to another rank 0 with the same token.
  const int port = free_port();
  Launch zero = launch_of(0, 2, port);
  zero.token = "a secret that nobody knows";
  std::thread again([&] {
    const Socket replay = guest(port);
    send_bytes(replay, all.to_zero, steady_s() + 5);
    std::string answer(all.to_rank.size() + 1, ' ');
    EXPECT_FALSE(receive_bytes(replay, answer.data(), kChallengeBytes + 1, steady_s() + 5))
        << "more than a challenge";
  });
  EXPECT_THAT(meet({zero}, 0.5)[0], AllOf(HasSubstr("rank 1 of 2"), HasSubstr("TOKEN: 1")));
  again.join();

  // And rank 0's, to another rank.
  const Socket door = listen_at("127.0.0.1", port);
  std::thread server([&] {
    pollfd waits = {.fd = door.descriptor(), .events = POLLIN, .revents = 0};
    ::poll(&waits, 1, 5000);
    const Socket visitor(::accept(door.descriptor(), nullptr, nullptr));
    send_bytes(visitor, all.to_rank, steady_s() + 5);
    std::array<char, kGreetingBytes> greeting{};
    receive_bytes(visitor, greeting.data(), greeting.size(), steady_s() + 5);
  });
  Launch one = launch_of(1, 2, port);
  one.token = zero.token;
  EXPECT_THAT(meet({one}, 1)[0], HasSubstr("is no rank 0"));
  server.join();
}

TEST(Rendezvous, WhatIsChangedOnTheWayIsRefused) {
  Overheard all;
  const auto another_rank = [](std::string& bytes) {
    if (bytes.size() == kGreetingBytes) bytes[kKeyedHashBytes + 3] = 0;
  };
  EXPECT_THAT(meet_through(all, another_rank)[0], HasSubstr("TRAINMETER_TOKEN: 1"));
  const auto another_text = [](std::string& bytes) {
    if (bytes.ends_with("text of 1")) bytes.back() = '2';
  };
  EXPECT_THAT(meet_through(all, another_text)[0], HasSubstr("rank 1 closed its connection"));
}

TEST(Rendezvous, AMessageTwiceIsTakenOnce) {
  const std::string key = nonce();
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  Channel zero(Socket(ends[0]), key, Channel::End::rank_zero);
  const Socket other(ends[1]);
  std::array<int, 2> copy{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, copy.data()), 0);
  Channel rank(Socket(copy[0]), key, Channel::End::other);
  const Socket read(copy[1]);
  ASSERT_TRUE(rank.send("once", steady_s() + 5));
  std::string bytes(4 + kKeyedHashBytes + 4, ' ');
  ASSERT_TRUE(receive_bytes(read, bytes.data(), bytes.size(), steady_s() + 5));
  send_bytes(other, bytes + bytes, steady_s() + 5);
  EXPECT_EQ(zero.receive(steady_s() + 5), "once");
  EXPECT_EQ(zero.receive(steady_s() + 5), std::nullopt);
  send_bytes(other, std::string(4, '\xff'), steady_s() + 5);  // a length of 4 GiB, and no more
  EXPECT_EQ(zero.receive(steady_s() + 0.05), std::nullopt);
}

TEST(Rendezvous, PackedTextsThatAreCutOffAreRefused) {
  const std::vector<std::string> texts = {"", "one", std::string(1000, 'x')};
  const std::string packed = pack(texts);
  EXPECT_EQ(unpack(packed), texts);
  EXPECT_THROW(unpack(packed.substr(0, packed.size() - 1)), std::runtime_error);
  EXPECT_THROW(unpack("abc"), std::runtime_error);
  EXPECT_THROW(unpack("\xff\xff\xff\xffz"), std::runtime_error);
}

TEST(Rendezvous, PartsOfAHashedTextDoNotRunTogether) {
  EXPECT_NE(keyed_hash("k", {"ab", "c"}), keyed_hash("k", {"a", "bc"}));
  EXPECT_NE(keyed_hash("k", {"a"}), keyed_hash("l", {"a"}));
  EXPECT_TRUE(same_hash(keyed_hash("k", {"a"}), keyed_hash("k", {"a"})));
  EXPECT_FALSE(same_hash("a", "ab"));
  EXPECT_NE(nonce(), nonce());
}

TEST(Rendezvous, ListensWhereItWasAskedToAlone) {
  const auto listens_at = [](const std::string& address, int port) {
    return connect_to(address, port, steady_s() + 1).has_value();
  };
  for (const char* bind : {"", "127.0.0.1", "lo", "localhost"}) {
    const int port = free_port();
    Launch zero = launch_of(0, 2, port);
    zero.bind = bind;
    std::thread rank_zero([&] { meet({zero}, 0.4); });
    guest(port);  // until it is there
    EXPECT_FALSE(listens_at("127.0.0.2", port)) << bind;
    rank_zero.join();
  }
  Launch zero = launch_of(0, 2, free_port());
  zero.bind = "127.0.0.2";
  Launch one = launch_of(1, 2, zero.port);
  one.host = zero.bind;
  EXPECT_THAT(meet({zero, one}, 5), Each(""));
}

// As Debian has it in /etc/hosts. Without a token nobody from elsewhere is let in.
TEST(Rendezvous, AHostWhoseNameIsALoopbackAddressIsReachedFromOthers) {
  const std::string name = host_name();
  const auto address = ipv4_address(name);
  if (!address || !address->starts_with("127."))
    GTEST_SKIP() << "skipped: " << name << " has an address";
  for (const char* token : {"secret", ""}) {
    const int port = free_port();
    Launch zero = launch_of(0, 2, port);
    zero.host = name;
    zero.token = token;
    std::thread rank_zero([&] { meet({zero}, 0.4); });
    guest(port);  // until it is there
    EXPECT_EQ(connect_to("127.0.0.2", port, steady_s() + 1).has_value(), *token != '\0');
    rank_zero.join();
  }
}

TEST(Rendezvous, AnAddressThatIsNotOursOrAnOpenDoorIsRefused) {
  Launch zero = launch_of(0, 2, free_port());
  zero.bind = "192.0.2.1";  // for documentation: nobody's
  EXPECT_THAT(meet({zero}, 1)[0], AllOf(HasSubstr("192.0.2.1"), HasSubstr("TRAINMETER_BIND")));
  zero.bind = "no such interface";
  EXPECT_THAT(meet({zero}, 1)[0], HasSubstr("'no such interface' (TRAINMETER_BIND)"));
  zero.bind = "0.0.0.0";
  zero.token = "";
  EXPECT_THAT(meet({zero}, 1)[0], HasSubstr("TRAINMETER_TOKEN must be the same secret"));
  EXPECT_THROW(Rendezvous(zero, 1), Unavailable);
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
