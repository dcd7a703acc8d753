// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The name of a file by its content, as sha256sum prints it.
#pragma once

#include <string>
#include <string_view>

namespace trainmeter {

// 64 hexadecimal digits. Source: FIPS 180-4, 6.2.
std::string sha256(std::string_view text);

}  // namespace trainmeter
