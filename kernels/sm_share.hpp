// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The note of an operation that has another share of a GPU's multiprocessors than was asked for: of
// how many.
#pragma once

namespace trainmeter {

inline constexpr const char* kSmsNote = "green_context_sms";

}  // namespace trainmeter
