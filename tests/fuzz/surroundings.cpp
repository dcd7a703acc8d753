// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What launchers leave in the environment, and what comes over the rendezvous' connections.
#include "kernels/launch.hpp"
#include "kernels/rendezvous_channel.hpp"

#include "targets.hpp"
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace trainmeter::fuzz {
namespace {

const std::string kNonce(kKeyedHashBytes, 'n');

// A text that a stranger sends is no greeting. One from a rank that has the token is one, whatever
// numbers it says.
void check_greetings(std::string_view text) {
  if (check_greeting("token", kNonce, text)) throw Broken{"a stranger who is let in"};
  std::string bytes(text.substr(0, kGreetingBytes - kKeyedHashBytes));
  bytes.resize(kGreetingBytes - kKeyedHashBytes);
  bytes += keyed_hash("token", {"greeting", kNonce, bytes});
  if (!check_greeting("token", kNonce, bytes)) throw Broken{"a rank that isn't let in"};
  if (check_greeting("another", kNonce, bytes)) throw Broken{"a token that lets in where it isn't"};
}

// As if a stranger had sent it after another's greeting.
void check_channel(std::string_view text) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  Socket sender(ends[0]);
  Channel receiver(Socket(ends[1]), "key", Channel::End::other);
  constexpr double kAtOnceS = 1;
  if (!send_bytes(sender, text, steady_s() + kAtOnceS)) std::abort();
  ::shutdown(sender.descriptor(), SHUT_WR);
  if (receiver.receive(steady_s() + kAtOnceS)) throw Broken{"a message without its hash"};
}

}  // namespace

bool read_environment(std::string_view text) {
  for (const char* name : kLaunchVariables) ::unsetenv(name);
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    for (const char* known : kLaunchVariables) {
      if (name == known) ::setenv(known, line.c_str() + equals + 1, 1);
    }
  }
  const Launch launch = launched();
  if (launch.ranks < 1 || launch.rank < 0) throw Broken{"a rank that is none"};
  if (launch_mistake().empty() && launch.rank >= launch.ranks) throw Broken{"a rank beyond all"};
  if (launch.port < 1 || launch.port > 65535) throw Broken{"a port that is none"};
  if (node_name().empty()) throw Broken{"a node without a name"};
  return launch.by != Launch::By::itself;
}

bool read_rendezvous(std::string_view text) {
  check_greetings(text);
  check_channel(text);
  const bool is_challenge = nonce_in(text).has_value();
  return accepted<std::runtime_error>([&] {
           if (pack(unpack(text)) != text) throw Broken{"texts that change when they are packed"};
         }) ||
         is_challenge;
}

}  // namespace trainmeter::fuzz
