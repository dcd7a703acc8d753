// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NVIDIA's cuDNN, loaded at run time: a program starts where it isn't, too, and says why it can't
// measure it.
#pragma once

#include <cstddef>
#include <string>

namespace trainmeter {

struct CudnnLibrary {
  void* handle = nullptr;   // dlopen's
  std::size_t version = 0;  // 91900 is 9.19.0
  std::string why_not;      // "cudnn: libcudnn.so.9 isn't found"; empty where it can be used
};

// Loaded by the first call, and never unloaded.
const CudnnLibrary& cudnn_library();
// Where something has asked for it before and it was found; else nullptr. Loads nothing.
const CudnnLibrary* loaded_cudnn_library();

std::string cudnn_version_text(std::size_t version);  // 9.19.0

}  // namespace trainmeter
