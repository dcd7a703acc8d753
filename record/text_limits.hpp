// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What no file of ours comes near, so that a stranger's can't exhaust memory or the stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace trainmeter {

inline constexpr std::size_t kLongestText = std::size_t{16} << 20;  // a file, or a record's line
inline constexpr std::uint64_t kLongestRecord = std::uint64_t{2} << 30;  // all of its lines
inline constexpr int kDeepest = 64;                                      // objects and lists

// A whole file. BadInput where it is a folder (`expected` says what instead), can't be read, or is
// too long; no more of it than that is read.
std::string read_text(const std::filesystem::path& file, std::string_view expected);

[[noreturn]] void refuse_unreadable(const std::filesystem::path& file);  // by errno

// A stranger's text for a terminal: its control characters are '?', its line breaks and tabs
// spaces.
std::string visible(std::string_view text);

// The beginning of a stranger's text, for a message: what is not printable ASCII is '?'.
std::string shortened(std::string_view text, std::size_t most = 60);

// BadInput where `text` holds deeper objects and lists; what else is wrong the parser says.
void refuse_depth(std::string_view text, const std::string& where);

}  // namespace trainmeter
