// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A message is its length in four bytes, then its text. A rank's first one is its greeting; rank 0
// answers all greetings when all are there, or with the reason why not.
#include "kernels/rendezvous.hpp"

#include "kernels/collective.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <netdb.h>
#include <optional>
#include <poll.h>
#include <sstream>
#include <thread>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::uint32_t kMostBytes = 1 << 20;
constexpr std::uint32_t kMostGreeting = 4096;
constexpr double kGreetingS = 2;  // a connection that says nothing for so long is a stranger's
constexpr const char* kProtocol = "trainmeter-rendezvous-1";
constexpr const char* kWelcome = "welcome";

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Until it can be read or written; false at `end_s`.
bool ready(const Socket& socket, short events, double end_s) {
  pollfd one = {.fd = socket.descriptor(), .events = events, .revents = 0};
  const double left_s = std::max(0.0, end_s - now_s());
  return ::poll(&one, 1, static_cast<int>(left_s * 1000)) > 0;
}

bool receive_bytes(const Socket& socket, char* to, std::size_t bytes, double end_s) {
  while (bytes > 0) {
    if (!ready(socket, POLLIN, end_s)) return false;
    const ssize_t got = ::recv(socket.descriptor(), to, bytes, 0);
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

// Nothing where the other side closed, is silent until `end_s`, or doesn't speak this language.
std::optional<std::string> receive(const Socket& socket, std::uint32_t most, double end_s) {
  std::uint32_t length = 0;
  if (!receive_bytes(socket, reinterpret_cast<char*>(&length), sizeof length, end_s)) return {};
  length = ntohl(length);
  if (length > most) return {};
  std::string text(length, ' ');
  if (!receive_bytes(socket, text.data(), length, end_s)) return {};
  return text;
}

bool send(const Socket& socket, const std::string& text, double end_s) {
  const std::uint32_t length = htonl(static_cast<std::uint32_t>(text.size()));
  std::string message(reinterpret_cast<const char*>(&length), sizeof length);
  message += text;
  for (std::size_t sent = 0; sent < message.size();) {
    if (!ready(socket, POLLOUT, end_s)) return false;
    const ssize_t some =
        ::send(socket.descriptor(), message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
    if (some <= 0) return false;
    sent += static_cast<std::size_t>(some);
  }
  return true;
}

std::string pack(const std::vector<std::string>& texts) {
  std::string packed;
  for (const std::string& text : texts) packed += std::to_string(text.size()) + " " + text;
  return packed;
}

std::vector<std::string> unpack(const std::string& packed) {
  std::vector<std::string> texts;
  std::istringstream stream(packed);
  for (std::size_t length = 0; stream >> length;) {
    stream.get();
    std::string& text = texts.emplace_back(std::min(length, packed.size()), ' ');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  }
  return texts;
}

std::string place(const Launch& launch) {
  return launch.host + ":" + std::to_string(launch.port);
}

Socket listen_at(int port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(socket.descriptor(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(socket.descriptor(), SOMAXCONN) != 0) {
    throw Unavailable("rendezvous: port " + std::to_string(port) + ": " + std::strerror(errno) +
                      " (TRAINMETER_PORT chooses another)");
  }
  return socket;
}

std::optional<Socket> connect_to(const Launch& launch) {
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(launch.host.c_str(), std::to_string(launch.port).c_str(), &wanted, &found) !=
      0) {
    throw RankLost("rendezvous: host '" + launch.host + "' of rank 0 is not known");
  }
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int failed = ::connect(socket.descriptor(), found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  if (failed != 0) return std::nullopt;
  return socket;
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Socket::Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Rendezvous::Rendezvous(const Launch& launch, double timeout_s)
    : launch_(launch), timeout_s_(timeout_s) {
  launch_.rank == 0 ? welcome_all() : join();
}

void Rendezvous::welcome_all() {
  const double end_s = now_s() + timeout_s_;
  const Socket door = listen_at(launch_.port);
  peers_.resize(static_cast<std::size_t>(launch_.ranks));
  int missing = launch_.ranks - 1;
  int strangers = 0;
  int others = 0;
  while (missing > 0 && ready(door, POLLIN, end_s)) {
    Socket guest(::accept4(door.descriptor(), nullptr, nullptr, SOCK_CLOEXEC));
    std::istringstream words(
        receive(guest, kMostGreeting, std::min(end_s, now_s() + kGreetingS)).value_or(""));
    std::string protocol;
    std::string token;
    int rank = 0;
    int ranks = 0;
    std::getline(words, protocol);
    std::getline(words, token);
    words >> rank >> ranks;
    std::string refusal;
    if (!words || protocol != kProtocol) {
      ++strangers;
      continue;
    }
    if (token != launch_.token) {
      refusal = "another TRAINMETER_TOKEN than rank 0's";
    } else if (ranks != launch_.ranks || rank < 1 || rank >= launch_.ranks) {
      refusal = "rank " + std::to_string(rank) + " of " + std::to_string(ranks) +
                ", where rank 0 expects " + std::to_string(launch_.ranks) + " ranks";
    } else if (peers_[static_cast<std::size_t>(rank)].descriptor() >= 0) {
      refusal = "rank " + std::to_string(rank) + " is there already";
    }
    if (!refusal.empty()) {
      ++others;
      send(guest, refusal, end_s);
      continue;
    }
    peers_[static_cast<std::size_t>(rank)] = std::move(guest);
    --missing;
  }
  std::string answer = kWelcome;
  if (missing > 0) {
    answer = "rendezvous at " + place(launch_) + ": not there after " +
             std::to_string(static_cast<int>(timeout_s_)) + " s: rank";
    for (int rank = 1; rank < launch_.ranks; ++rank) {
      if (peers_[static_cast<std::size_t>(rank)].descriptor() < 0) {
        answer += " " + std::to_string(rank);
      }
    }
    answer += " of " + std::to_string(launch_.ranks);
    if (others > 0) {
      answer += "; refused: " + std::to_string(others) + " with another token, rank or count";
    }
    if (strangers > 0) answer += "; strangers: " + std::to_string(strangers);
  }
  for (const Socket& peer : peers_) {
    if (peer.descriptor() >= 0) send(peer, answer, now_s() + kGreetingS);
  }
  if (missing > 0) throw RankLost(answer);
}

void Rendezvous::join() {
  const double end_s = now_s() + timeout_s_;
  std::optional<Socket> found = connect_to(launch_);
  while (!found && now_s() < end_s) {  // rank 0 may start later
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    found = connect_to(launch_);
  }
  if (!found) {
    throw RankLost("rendezvous: no rank 0 at " + place(launch_) + " after " +
                   std::to_string(static_cast<int>(timeout_s_)) + " s");
  }
  std::ostringstream greeting;
  greeting << kProtocol << '\n'
           << launch_.token << '\n'
           << launch_.rank << ' ' << launch_.ranks << '\n';
  send(*found, greeting.str(), end_s);
  // Rank 0 answers when the last one has come, who may take all the time there is.
  const std::optional<std::string> answer =
      receive(*found, kMostGreeting, end_s + timeout_s_ + kGreetingS);
  if (!answer) {
    throw RankLost("rendezvous: what answers at " + place(launch_) + " is no rank 0, or is gone");
  }
  if (*answer != kWelcome) throw RankLost("rank 0 refused this process: " + *answer);
  peers_.push_back(std::move(*found));
}

std::vector<std::string> Rendezvous::gather(const std::string& mine) {
  const double end_s = now_s() + timeout_s_;
  if (launch_.rank != 0) {
    send(peers_.front(), mine, end_s);
    const auto all = receive(peers_.front(), kMostBytes, end_s);
    if (!all) throw RankLost("rank 0 closed its connection or is silent");
    return unpack(*all);
  }
  std::vector<std::string> texts = {mine};
  for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
    const auto text = receive(peers_[rank], kMostBytes, end_s);
    if (!text)
      throw RankLost("rank " + std::to_string(rank) + " closed its connection or is silent");
    texts.push_back(*text);
  }
  for (std::size_t rank = 1; rank < peers_.size(); ++rank) send(peers_[rank], pack(texts), end_s);
  return texts;
}

}  // namespace trainmeter
