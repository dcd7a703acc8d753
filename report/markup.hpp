// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Text inside HTML and XML.
#pragma once

#include <string>
#include <string_view>

namespace trainmeter {

// Never markup, in an element or in a quoted attribute. Control characters that XML 1.0 can't write
// become spaces.
std::string escaped_markup(std::string_view text);

}  // namespace trainmeter
