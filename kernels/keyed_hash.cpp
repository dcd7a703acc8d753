// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/keyed_hash.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <system_error>

namespace trainmeter {

std::string keyed_hash(std::string_view key, std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      text += static_cast<char>(static_cast<std::uint64_t>(part.size()) >> shift & 0xff);
    }
    text += part;
  }
  std::string hash(kKeyedHashBytes, '\0');
  unsigned int length = 0;
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(),
             reinterpret_cast<unsigned char*>(hash.data()), &length) == nullptr ||
      length != kKeyedHashBytes) {
    throw std::runtime_error("HMAC-SHA-256: the library refuses");
  }
  return hash;
}

bool same_hash(std::string_view one, std::string_view other) {
  return one.size() == other.size() && ::CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

std::string nonce() {
  std::string bytes(kKeyedHashBytes, '\0');
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  return bytes;
}

}  // namespace trainmeter
