// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Who holds the same secret, without showing it: HMAC-SHA-256 (RFC 2104) by OpenSSL.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace trainmeter {

inline constexpr std::size_t kKeyedHashBytes = 32;

// Of the parts, each preceded by its length, so that no other parts give the same.
// std::runtime_error where the library refuses.
std::string keyed_hash(std::string_view key, std::initializer_list<std::string_view> parts);

// Without telling by its time where the first difference is.
bool same_hash(std::string_view one, std::string_view other);

// kKeyedHashBytes that nobody could know before, by the kernel.
std::string nonce();

}  // namespace trainmeter
