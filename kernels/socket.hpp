// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// TCP over IPv4 with an end to every wait. `end_s`: a moment of steady_s().
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace trainmeter {

double steady_s();

// An open socket.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;  // owns it
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// Until there is something to receive, or the other side closed; false at `end_s`.
bool readable(const Socket& socket, double end_s);
// All bytes, or false where the other side closed or `end_s` came first.
bool receive_bytes(const Socket& socket, char* to, std::size_t bytes, double end_s);
bool send_bytes(const Socket& socket, std::string_view bytes, double end_s);

// A number in a message: four bytes, the largest first.
std::string network_bytes(std::size_t number);
std::size_t from_network_bytes(const char* bytes);

// "10.0.0.1" for an address, a host's name or an interface's ("ib0"; its first address). Nothing
// where there is none.
std::optional<std::string> ipv4_address(const std::string& name);

// Somebody else listens there: a matter of the moment, which the environment answers for (exit code
// 4, as the ranks have that wait for this one).
class PortTaken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// PortTaken; Unavailable where the address isn't this machine's. Accepting never waits.
Socket listen_at(const std::string& address, int port);
// One that nobody listens at now; of any address.
int free_port();
// Nothing where nobody listens.
std::optional<Socket> connect_to(const std::string& address, int port, double end_s);

}  // namespace trainmeter
