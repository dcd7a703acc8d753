// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/rendezvous_channel.hpp"

#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::size_t kMostBytes = 16 << 20;  // of a message: some hundred from each of many ranks
constexpr std::size_t kNumberBytes = 4;

}  // namespace

std::string challenge(const std::string& nonce_of_zero) {
  return std::string(kProtocol) + nonce_of_zero;
}

std::optional<std::string> nonce_in(std::string_view challenge) {
  if (challenge.size() != kChallengeBytes || !challenge.starts_with(kProtocol)) return std::nullopt;
  return std::string(challenge.substr(kProtocol.size()));
}

std::string greet(std::string_view token, std::string_view nonce_of_zero, Greeting& said) {
  const std::string shown = nonce() + network_bytes(said.rank) + network_bytes(said.ranks);
  said.key = keyed_hash(token, {"messages", nonce_of_zero, shown});
  return shown + keyed_hash(token, {"greeting", nonce_of_zero, shown});
}

std::optional<Greeting> check_greeting(std::string_view token, std::string_view nonce_of_zero,
                                       std::string_view bytes) {
  if (bytes.size() != kGreetingBytes) return std::nullopt;
  const std::string_view shown = bytes.substr(0, kGreetingBytes - kKeyedHashBytes);
  if (!same_hash(bytes.substr(shown.size()),
                 keyed_hash(token, {"greeting", nonce_of_zero, shown}))) {
    return std::nullopt;
  }
  const char* const numbers = shown.data() + kKeyedHashBytes;
  return Greeting{.rank = from_network_bytes(numbers),
                  .ranks = from_network_bytes(numbers + kNumberBytes),
                  .key = keyed_hash(token, {"messages", nonce_of_zero, shown})};
}

std::string Channel::hash(End by, std::uint32_t before, std::string_view text) const {
  return keyed_hash(key_, {by == End::rank_zero ? "0" : "1", network_bytes(before), text});
}

bool Channel::send(const std::string& text, double end_s) {
  if (text.size() > kMostBytes) {
    throw std::length_error("rendezvous: a message of " + std::to_string(text.size()) + " bytes");
  }
  return send_bytes(socket_, network_bytes(text.size()) + hash(end_, sent_++, text) + text, end_s);
}

std::optional<std::string> Channel::receive(double end_s) {
  std::string head(kNumberBytes + kKeyedHashBytes, '\0');
  if (!receive_bytes(socket_, head.data(), head.size(), end_s)) return std::nullopt;
  const std::size_t length = from_network_bytes(head.data());
  if (length > kMostBytes) return std::nullopt;
  std::string text(length, '\0');
  if (!receive_bytes(socket_, text.data(), length, end_s)) return std::nullopt;
  const End other = end_ == End::rank_zero ? End::other : End::rank_zero;
  if (!same_hash(head.substr(kNumberBytes), hash(other, received_++, text))) return std::nullopt;
  return text;
}

std::string pack(const std::vector<std::string>& texts) {
  std::string packed;
  for (const std::string& text : texts) packed += network_bytes(text.size()) + text;
  return packed;
}

std::vector<std::string> unpack(std::string_view packed) {
  std::vector<std::string> texts;
  while (!packed.empty()) {
    const std::size_t length =
        packed.size() < kNumberBytes ? kMostBytes : from_network_bytes(packed.data());
    if (packed.size() < kNumberBytes + length) {
      throw std::runtime_error("rendezvous: a message that was cut off");
    }
    texts.emplace_back(packed.substr(kNumberBytes, length));
    packed.remove_prefix(kNumberBytes + length);
  }
  return texts;
}

}  // namespace trainmeter
