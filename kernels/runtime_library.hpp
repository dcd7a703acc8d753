// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NVIDIA's libraries that are loaded at run time: a program starts where they aren't, too, and says
// why it can't measure them.
#pragma once

#include <cstddef>
#include <string>

namespace trainmeter {

struct RuntimeLibrary {
  void* handle = nullptr;   // dlopen's; never closed
  std::size_t version = 0;  // as NVIDIA counts: 91900 is 9.19.0, 130002 is 13.0.2
  std::string why_not;      // "cudnn: libcudnn.so.9 isn't found (...)"; empty where it can be used
};

// Found as the loader finds libraries, or else in `folder`, unless that is empty.
// `version_function` of it takes nothing and returns a size_t.
RuntimeLibrary open_library(const std::string& what, const std::string& name,
                            const std::string& folder, const char* version_function);
bool is_loaded(const std::string& name);           // by whatever; loads nothing
std::string said_by_loader();                      // of the last failure
std::string library_version(std::size_t version);  // 9.19.0

}  // namespace trainmeter
