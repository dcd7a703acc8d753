// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What no file of ours comes near, so that a stranger's can't exhaust memory or the stack.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace trainmeter {

inline constexpr std::size_t kLongestText = std::size_t{16} << 20;  // a file, or a record's line
inline constexpr int kDeepest = 64;                                 // objects and lists

// BadInput where `text` holds deeper objects and lists; what else is wrong the parser says.
void refuse_depth(std::string_view text, const std::string& where);

}  // namespace trainmeter
