// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Whether a device is this program's alone, for --exclusive.
#pragma once

#include "kernels/telemetry.hpp"

namespace trainmeter {

// Unavailable with the reason where others have a context on the GPU, or where that can't be told.
void require_exclusive(TelemetrySource& gpu);

}  // namespace trainmeter
