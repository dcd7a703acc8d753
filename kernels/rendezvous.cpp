// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rank 0 speaks to all guests at the same time and gives each a few seconds, so that strangers who
// say nothing keep nobody waiting; it answers when all ranks are there, or with the reason why not.
#include "kernels/rendezvous.hpp"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <poll.h>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kGreetingS = 5;  // a connection that says nothing for so long is a stranger's
constexpr std::size_t kMostGuests = 256;  // or twice the ranks; of more, the oldest goes
constexpr double kLookS = 0.2;            // between looks for a signal
constexpr double kConnectS = 5;           // a try to reach rank 0
constexpr const char* kWelcome = "welcome";

std::string place(const Launch& launch) {
  return launch.host + ":" + std::to_string(launch.port);
}

std::string seconds(double s) {
  return std::to_string(static_cast<int>(s)) + " s";
}

// " (host b)", "" where it isn't known.
std::string host_of(std::size_t rank, const std::vector<std::string>& hosts) {
  return rank < hosts.size() ? " (host " + hosts[rank] + ")" : "";
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.");
}

// Where rank 0 listens: at the address that its host's name has here. Debian gives a host's own
// name a loopback address, at which no other host's ranks can come; who holds the token may then
// come by any interface.
std::string door_address(const Launch& launch) {
  const std::string& name = launch.bind.empty() ? launch.host : launch.bind;
  const std::optional<std::string> address = ipv4_address(name);
  if (!address) {
    throw Unavailable("rendezvous: '" + name + "'" +
                      (launch.bind.empty() ? "" : " (TRAINMETER_BIND)") +
                      " is no address, host or interface with an IPv4 address here");
  }
  if (launch.token.empty() && !is_loopback(*address)) {
    throw Unavailable("rendezvous at " + *address +
                      ": anybody could take part; TRAINMETER_TOKEN must be the same secret on "
                      "every rank");
  }
  const bool own_name =
      is_loopback(*address) && !is_loopback(name) && name != "localhost" && name != "lo";
  if (own_name && launch.bind.empty() && !launch.token.empty()) return "0.0.0.0";
  return *address;
}

// Rank 0 has a connection for each rank. Systems start programs with 1,024 and allow more.
void make_room_for(std::size_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, connections);
  ::setrlimit(RLIMIT_NOFILE, &limit);  // a wish: who can't be let in is missing
}

// A connection that hasn't shown yet that it is a rank's.
struct Guest {
  Socket socket;
  std::string nonce;  // that it was challenged with
  std::string said;   // of its greeting, so far
  double end_s = 0;   // of its patience
};

// Rank 0's door and those who stand in it.
class Door {
 public:
  // All ranks may come at once, and strangers beside them.
  Door(const std::string& address, int port, std::size_t ranks)
      : listening_(listen_at(address, port)), most_(std::max(kMostGuests, 2 * ranks)) {}

  struct Arrival {
    Socket socket;
    Greeting greeting;
  };
  // Those who have shown that they hold the token, as soon as there are any; none at `end_s`.
  // A signal doesn't end it.
  std::vector<Arrival> wait(std::string_view token, double end_s);
  [[nodiscard]] int strangers() const { return strangers_; }

 private:
  void let_in();
  void drop(std::size_t guest) {
    guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(guest));
    ++strangers_;
  }

  Socket listening_;
  std::size_t most_;
  std::vector<Guest> guests_;  // the oldest first
  int strangers_ = 0;
};

void Door::let_in() {
  Socket socket(::accept4(listening_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.descriptor() < 0) {
    if (errno != EMFILE && errno != ENFILE) return;  // it is gone already
    if (!guests_.empty()) return drop(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return;
  }
  if (guests_.size() >= most_) drop(0);
  guests_.push_back(
      {.socket = std::move(socket), .nonce = nonce(), .end_s = steady_s() + kGreetingS});
  // A new connection's buffer takes so little at once, or the guest is gone.
  if (!send_bytes(guests_.back().socket, challenge(guests_.back().nonce), steady_s())) {
    drop(guests_.size() - 1);
  }
}

std::vector<Door::Arrival> Door::wait(std::string_view token, double end_s) {
  std::vector<Arrival> arrived;
  while (arrived.empty()) {
    std::vector<pollfd> all = {{.fd = listening_.descriptor(), .events = POLLIN, .revents = 0}};
    double until_s = end_s;
    for (const Guest& guest : guests_) {
      all.push_back({.fd = guest.socket.descriptor(), .events = POLLIN, .revents = 0});
      until_s = std::min(until_s, guest.end_s);
    }
    const double left_s = std::max(0.0, until_s - steady_s());
    if (::poll(all.data(), all.size(), static_cast<int>(left_s * 1000) + 1) < 0) {
      if (errno != EINTR || steady_s() >= end_s) return arrived;
      continue;
    }
    for (std::size_t i = guests_.size(); i-- > 0;) {  // from the end: dropping moves those behind
      Guest& guest = guests_[i];
      if (all[i + 1].revents != 0) {
        std::array<char, kGreetingBytes> some{};
        const ssize_t got =
            ::recv(guest.socket.descriptor(), some.data(), kGreetingBytes - guest.said.size(), 0);
        guest.said.append(some.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (guest.said.size() == kGreetingBytes) {
          if (auto greeting = check_greeting(token, guest.nonce, guest.said)) {
            arrived.push_back({std::move(guest.socket), std::move(*greeting)});
            guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
          } else {
            drop(i);
          }
          continue;
        }
        if (got <= 0 && !(got < 0 && errno == EAGAIN)) {
          drop(i);
          continue;
        }
      }
      if (guest.end_s <= steady_s()) drop(i);
    }
    if (all[0].revents != 0) let_in();
    if (steady_s() >= end_s) break;
  }
  return arrived;
}

}  // namespace

Rendezvous::Rendezvous(const Launch& launch, double timeout_s, std::vector<std::string> hosts,
                       Interrupt interrupt)
    : launch_(launch),
      timeout_s_(timeout_s),
      hosts_(std::move(hosts)),
      interrupt_(std::move(interrupt)) {
  launch_.rank == 0 ? welcome_all() : join();
}

void Rendezvous::end_where_interrupted() const {
  if (const int number = signal(); number != 0) throw Interrupted(number);
}

void Rendezvous::welcome_all() {
  const double end_s = steady_s() + timeout_s_;
  const std::string address = door_address(launch_);
  const auto ranks = static_cast<std::size_t>(launch_.ranks);
  make_room_for(ranks + 2 * std::max(kMostGuests, ranks));  // and for the program's own files
  Door door(address, launch_.port, ranks);
  peers_.resize(ranks);
  std::size_t missing = ranks - 1;
  int others = 0;
  while (missing > 0 && signal() == 0) {
    const double look_s = std::min(end_s, steady_s() + kLookS);
    auto arrived = door.wait(launch_.token, look_s);
    if (arrived.empty() && steady_s() >= end_s) break;
    for (auto& [socket, greeting] : arrived) {
      const std::size_t rank = greeting.rank;
      Channel peer(std::move(socket), std::move(greeting.key), Channel::End::rank_zero);
      std::string refusal;
      if (greeting.ranks != ranks || rank < 1 || rank >= ranks) {
        refusal = "rank 0 refused this process: rank " + std::to_string(rank) + " of " +
                  std::to_string(greeting.ranks) + ", where rank 0 expects " +
                  std::to_string(ranks) + " ranks";
      } else if (peers_[rank].open()) {
        refusal = "rank 0 refused this process: rank " + std::to_string(rank) + " is there already";
      }
      if (!refusal.empty()) {
        ++others;
        peer.send(refusal, steady_s() + kGreetingS);
        continue;
      }
      peers_[rank] = std::move(peer);
      --missing;
    }
  }
  std::string answer = kWelcome;
  const int number = missing > 0 ? signal() : 0;
  if (number != 0) {
    answer = "rendezvous: rank 0 was ended by signal " + std::to_string(number);
  } else if (missing > 0) {
    answer = "rendezvous at " + place(launch_) + " (listening at " + address +
             "; TRAINMETER_BIND chooses): not there after " + seconds(timeout_s_) + ": " +
             (missing > 1 ? "ranks" : "rank");
    const char* before = " ";
    for (std::size_t rank = 1; rank < ranks; ++rank) {
      if (peers_[rank].open()) continue;
      answer += before + std::to_string(rank) + host_of(rank, hosts_);
      before = ", ";
    }
    answer += " of " + std::to_string(ranks);
    if (others > 0) {
      answer += "; refused: " + std::to_string(others) + " with another rank or count";
    }
    if (door.strangers() > 0) {
      answer += "; strangers, or ranks with another TRAINMETER_TOKEN: " +
                std::to_string(door.strangers());
    }
  }
  for (Channel& peer : peers_) {
    if (peer.open()) peer.send(answer, steady_s() + kGreetingS);
  }
  if (number != 0) throw Interrupted(number);
  if (missing > 0) throw RankLost(answer);
}

void Rendezvous::join() {
  const double end_s = steady_s() + timeout_s_;
  const std::optional<std::string> address = ipv4_address(launch_.host);
  if (!address) {
    throw RankLost("rendezvous: host '" + launch_.host +
                   "' of rank 0 is not known, or has no IPv4 address");
  }
  const auto knock = [&] {
    return connect_to(*address, launch_.port, std::min(end_s, steady_s() + kConnectS));
  };
  std::optional<Socket> found = knock();
  while (!found && steady_s() < end_s) {  // rank 0 may start later
    end_where_interrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    found = knock();
  }
  if (!found) {
    throw RankLost("rendezvous: no rank 0" + host_of(0, hosts_) + " at " + place(launch_) +
                   " after " + seconds(timeout_s_));
  }
  const std::string stranger = "rendezvous: what answers at " + place(launch_) +
                               " is no rank 0, or has another TRAINMETER_TOKEN, or is gone";
  std::string first(kChallengeBytes, '\0');
  if (!receive_bytes(*found, first.data(), first.size(), steady_s() + kGreetingS)) {
    throw RankLost(stranger);
  }
  const std::optional<std::string> nonce_of_zero = nonce_in(first);
  if (!nonce_of_zero) throw RankLost(stranger);
  Greeting mine = {.rank = static_cast<std::size_t>(launch_.rank),
                   .ranks = static_cast<std::size_t>(launch_.ranks)};
  if (!send_bytes(*found, greet(launch_.token, *nonce_of_zero, mine), end_s)) {
    throw RankLost(stranger);
  }
  Channel zero(std::move(*found), std::move(mine.key), Channel::End::other);
  // Rank 0 answers when the last one has come, who may take all the time there is.
  const double last_s = end_s + timeout_s_ + kGreetingS;
  while (!zero.readable(std::min(last_s, steady_s() + kLookS)) && steady_s() < last_s) {
    end_where_interrupted();
  }
  const std::optional<std::string> answer = zero.receive(last_s);
  if (!answer) throw RankLost(stranger);
  if (*answer != kWelcome) throw RankLost(*answer);
  peers_.push_back(std::move(zero));
}

std::string who_is_missing(const Launch& launch, const std::vector<std::string>& hosts,
                           double timeout_s) {
  try {
    const Rendezvous all(launch, timeout_s, hosts);
    return "";
  } catch (const std::runtime_error& error) {  // RankLost, Unavailable
    return error.what();
  }
}

void Rendezvous::lost(std::size_t rank) const {
  throw RankLost("rank " + std::to_string(rank) + host_of(rank, hosts_) +
                 " closed its connection or is silent");
}

std::vector<std::string> Rendezvous::gather(const std::string& mine) {
  const double end_s = steady_s() + timeout_s_;
  if (launch_.rank != 0) {
    peers_.front().send(mine, end_s);
    const auto all = peers_.front().receive(end_s);
    if (!all) lost(0);
    return unpack(*all);
  }
  std::vector<std::string> texts = {mine};
  for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
    const auto text = peers_[rank].receive(end_s);
    if (!text) lost(rank);
    texts.push_back(*text);
  }
  for (std::size_t rank = 1; rank < peers_.size(); ++rank) peers_[rank].send(pack(texts), end_s);
  return texts;
}

}  // namespace trainmeter
