// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/socket.hpp"

#include "kernels/operation.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

// Until it can be read or written; false at `end_s`. A signal doesn't end it.
bool ready(const Socket& socket, short events, double end_s) {
  for (;;) {
    pollfd one = {.fd = socket.descriptor(), .events = events, .revents = 0};
    const double left_s = std::max(0.0, end_s - steady_s());
    const int found = ::poll(&one, 1, static_cast<int>(left_s * 1000));
    if (found >= 0 || errno != EINTR) return found > 0;
  }
}

sockaddr_in socket_address(const std::string& address, int port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &where.sin_addr);
  return where;
}

std::string text_of(const sockaddr* address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text.data(),
              text.size());
  return text.data();
}

}  // namespace

double steady_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Socket::Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool readable(const Socket& socket, double end_s) {
  return ready(socket, POLLIN, end_s);
}

bool receive_bytes(const Socket& socket, char* to, std::size_t bytes, double end_s) {
  while (bytes > 0) {
    if (!ready(socket, POLLIN, end_s)) return false;
    const ssize_t got = ::recv(socket.descriptor(), to, bytes, 0);
    if (got < 0 && errno == EAGAIN) continue;
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool send_bytes(const Socket& socket, std::string_view bytes, double end_s) {
  while (!bytes.empty()) {
    if (!ready(socket, POLLOUT, end_s)) return false;
    const ssize_t sent = ::send(socket.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string network_bytes(std::size_t number) {
  const std::uint32_t swapped = htonl(static_cast<std::uint32_t>(number));
  return {reinterpret_cast<const char*>(&swapped), sizeof swapped};
}

std::size_t from_network_bytes(const char* bytes) {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes, sizeof number);
  return ntohl(number);
}

std::optional<std::string> ipv4_address(const std::string& name) {
  std::optional<std::string> address;
  if (ifaddrs* all = nullptr; ::getifaddrs(&all) == 0) {
    for (const ifaddrs* one = all; one != nullptr && !address; one = one->ifa_next) {
      if (one->ifa_name == name && one->ifa_addr != nullptr &&
          one->ifa_addr->sa_family == AF_INET) {
        address = text_of(one->ifa_addr);
      }
    }
    ::freeifaddrs(all);
  }
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  if (addrinfo* found = nullptr;
      !address && ::getaddrinfo(name.c_str(), nullptr, &wanted, &found) == 0) {
    address = text_of(found->ai_addr);
    ::freeaddrinfo(found);
  }
  return address;
}

Socket listen_at(const std::string& address, int port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  ::setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in where = socket_address(address, port);
  if (::bind(socket.descriptor(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 ||
      ::listen(socket.descriptor(), SOMAXCONN) != 0) {
    const int error = errno;
    const std::string why = "rendezvous: can't listen at " + address + ", port " +
                            std::to_string(port) + ": " + std::strerror(error);
    if (error == EADDRINUSE) throw PortTaken(why + " (TRAINMETER_PORT chooses another)");
    throw Unavailable(why + " (TRAINMETER_BIND chooses an address or interface)");
  }
  return socket;
}

int free_port() {
  const Socket socket = listen_at("0.0.0.0", 0);
  sockaddr_in where{};
  socklen_t length = sizeof where;
  ::getsockname(socket.descriptor(), reinterpret_cast<sockaddr*>(&where), &length);
  return ntohs(where.sin_port);
}

std::optional<Socket> connect_to(const std::string& address, int port, double end_s) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in where = socket_address(address, port);
  if (::connect(socket.descriptor(), reinterpret_cast<const sockaddr*>(&where), sizeof where) ==
      0) {
    return socket;
  }
  int error = errno;
  socklen_t length = sizeof error;
  if (error != EINPROGRESS || !ready(socket, POLLOUT, end_s) ||
      ::getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
    return std::nullopt;
  }
  return socket;
}

}  // namespace trainmeter
