// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How two ends show each other that they hold the same token, which stays where it is, and what
// they say afterwards. A connection starts so:
//
//   rank 0    challenge: kProtocol, a nonce
//   rank      greeting: a nonce, its rank, the count of ranks, and a keyed hash of all these and
//             the challenge's nonce by the token
//   both      messages: length, keyed hash, text. The key comes from the token and both nonces; the
//             hash covers the text, who says it, and how many messages that side sent before.
//
// So a greeting that was overheard is worth nothing on another connection, rank 0's first message
// shows that it holds the token too, and nobody between can change, repeat or reorder messages. He
// can read them: nothing is encrypted.
#pragma once

#include "kernels/keyed_hash.hpp"
#include "kernels/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

inline constexpr std::string_view kProtocol = "trainmeter rendezvous 2\n";
inline constexpr std::size_t kChallengeBytes = kProtocol.size() + kKeyedHashBytes;
inline constexpr std::size_t kGreetingBytes = kKeyedHashBytes + 2 * 4 + kKeyedHashBytes;

struct Greeting {
  std::size_t rank = 0;
  std::size_t ranks = 0;
  std::string key;  // of the connection's messages
};

std::string challenge(const std::string& nonce_of_zero);
// Rank 0's nonce, nothing where it's no challenge.
std::optional<std::string> nonce_in(std::string_view challenge);
// Its bytes; `said.key` is set.
std::string greet(std::string_view token, std::string_view nonce_of_zero, Greeting& said);
// Nothing where the bytes don't come from one who holds the token and answers this nonce.
std::optional<Greeting> check_greeting(std::string_view token, std::string_view nonce_of_zero,
                                       std::string_view bytes);

// One end of a connection after the greeting.
class Channel {
 public:
  enum class End { rank_zero, other };
  Channel() = default;
  Channel(Socket socket, std::string key, End end)
      : socket_(std::move(socket)), key_(std::move(key)), end_(end) {}
  [[nodiscard]] bool open() const { return socket_.descriptor() >= 0; }

  bool send(const std::string& text, double end_s);
  [[nodiscard]] bool readable(double end_s) const { return trainmeter::readable(socket_, end_s); }
  // Nothing where the other side closed, is silent until `end_s`, or sent what it can't have meant.
  std::optional<std::string> receive(double end_s);

 private:
  [[nodiscard]] std::string hash(End by, std::uint32_t before, std::string_view text) const;

  Socket socket_;
  std::string key_;
  End end_ = End::other;
  std::uint32_t sent_ = 0;
  std::uint32_t received_ = 0;
};

// Several texts as one, and back; what isn't such a text gives std::runtime_error.
std::string pack(const std::vector<std::string>& texts);
std::vector<std::string> unpack(std::string_view packed);

}  // namespace trainmeter
