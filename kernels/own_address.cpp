// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// By the system's own routes: a datagram socket that is connected has an address at each end, and
// sends nothing.
#include "kernels/collective_gloo.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <netdb.h>
#include <sstream>
#include <unistd.h>

namespace trainmeter {
namespace {

std::string text_of(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  return ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) == nullptr ? ""
                                                                                      : text.data();
}

// "FROM TO", or "" where there is no way.
std::string way_to(const std::string& host, int port) {
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0) return "";
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in from{};
  sockaddr_in to{};
  socklen_t length = sizeof from;
  const bool there = ::connect(socket, found->ai_addr, found->ai_addrlen) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&from), &length) == 0 &&
                     ::getpeername(socket, reinterpret_cast<sockaddr*>(&to), &length) == 0;
  if (socket >= 0) ::close(socket);
  ::freeaddrinfo(found);
  return there ? text_of(from) + " " + text_of(to) : "";
}

}  // namespace

std::string own_address(const Launch& launch, const std::vector<std::string>& hosts,
                        const Gather& gather) {
  const std::vector<std::string> ways = gather(way_to(launch.host, launch.port));
  const auto me = static_cast<std::size_t>(launch.rank);
  std::string mine;
  std::istringstream(ways[me]) >> mine;
  if (!mine.starts_with("127.")) return mine;
  for (std::size_t other = 0; other < ways.size(); ++other) {
    // Of one name, but not here: other machines may be called so.
    if (hosts[other] == hosts[me] && (ways[other].empty() || ways[other].starts_with("127.")))
      continue;
    std::string from;
    std::string to;
    std::istringstream(ways[other]) >> from >> to;
    return to;
  }
  return mine;
}

}  // namespace trainmeter
