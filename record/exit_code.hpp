// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The exit codes of every program here; only main() turns errors into them (docs/contributing.md).
#pragma once

namespace trainmeter {

inline constexpr int kFine = 0;
inline constexpr int kCheckFailed = 1;        // a wrong result, a regression, a bad node
inline constexpr int kBadInput = 2;           // bad usage or input, on every machine
inline constexpr int kUnavailable = 3;        // this machine lacks what was asked for
inline constexpr int kEnvironmentFailed = 4;  // disk full, dead rank

}  // namespace trainmeter
