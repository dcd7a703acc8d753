// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// FIPS 180-4's algorithm; its constants are the first bits of the fractional parts of roots of
// primes, and are computed as that.
#include "record/sha256.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace trainmeter {
namespace {

constexpr std::size_t kBlock = 64, kRounds = 64;

// 32 bits behind the point of the square (or cube) root of each of the first primes. A long
// double's 64 bits are enough: the whole part of the largest root takes five.
template <std::size_t N>
std::array<std::uint32_t, N> roots(bool cube) {
  std::array<std::uint32_t, N> out{};
  std::size_t found = 0;
  for (int candidate = 2; found < N; ++candidate) {
    bool prime = true;
    for (int d = 2; d * d <= candidate; ++d) prime = prime && candidate % d != 0;
    if (!prime) continue;
    const auto x = static_cast<long double>(candidate);
    const long double root = cube ? std::cbrt(x) : std::sqrt(x);
    out[found++] = static_cast<std::uint32_t>((root - std::floor(root)) * 0x1p32L);
  }
  return out;
}

class Sha256 {
 public:
  void block(const unsigned char* bytes) {
    static const std::array<std::uint32_t, kRounds> kRoots = roots<kRounds>(true);
    std::array<std::uint32_t, kRounds> w{};
    for (std::size_t i = 0; i < 16; ++i) {
      for (std::size_t j = 0; j < 4; ++j) w[i] = w[i] << 8 | bytes[4 * i + j];
    }
    for (std::size_t i = 16; i < kRounds; ++i) {
      const std::uint32_t a = w[i - 15];
      const std::uint32_t b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    std::array<std::uint32_t, 8> s = state;
    for (std::size_t i = 0; i < kRounds; ++i) {
      const std::uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
      const std::uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
      const std::uint32_t one = s[7] + choice + kRoots[i] + w[i] +
                                (std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25));
      const std::uint32_t two =
          majority + (std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22));
      s = {one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]};
    }
    for (std::size_t i = 0; i < s.size(); ++i) state[i] += s[i];
  }

  std::array<std::uint32_t, 8> state = roots<8>(false);
};

}  // namespace

std::string sha256(std::string_view text) {
  Sha256 hash;
  std::string padded(text);
  padded += static_cast<char>(0x80);
  while (padded.size() % kBlock != kBlock - 8) padded += '\0';
  const std::uint64_t bits = std::uint64_t{text.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift & 0xff);
  for (std::size_t at = 0; at < padded.size(); at += kBlock) {
    hash.block(reinterpret_cast<const unsigned char*>(padded.data()) + at);
  }
  std::string out;
  for (const std::uint32_t word : hash.state) {
    for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[word >> shift & 0xf];
  }
  return out;
}

}  // namespace trainmeter
