// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NVIDIA's cuDNN, loaded at run time.
#pragma once

#include "kernels/runtime_library.hpp"

namespace trainmeter {

// Loaded by the first call, and never unloaded.
const RuntimeLibrary& cudnn_library();
// Where something has asked for it before and it was found; else nullptr. Loads nothing.
const RuntimeLibrary* loaded_cudnn_library();

}  // namespace trainmeter
