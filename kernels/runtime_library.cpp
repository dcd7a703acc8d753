// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// By dlopen, which all of a process share.
#include "kernels/runtime_library.hpp"

#include <dlfcn.h>

namespace trainmeter {

RuntimeLibrary open_library(const std::string& what, const std::string& name,
                            const std::string& folder, const char* version_function) {
  RuntimeLibrary out;
  out.handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (out.handle == nullptr) {
    out.why_not = what + ": " + name + " isn't found (" + said_by_loader() + ")";
    if (folder.empty()) return out;
    out.handle = ::dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (out.handle == nullptr) return out;
    out.why_not.clear();
  }
  const auto version = reinterpret_cast<std::size_t (*)()>(::dlsym(out.handle, version_function));
  if (version != nullptr) out.version = version();
  return out;
}

bool is_loaded(const std::string& name) {
  void* const handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) ::dlclose(handle);  // what RTLD_NOLOAD has counted
  return handle != nullptr;
}

std::string said_by_loader() {
  const char* const said = ::dlerror();
  return said == nullptr ? "no reason given" : said;
}

std::string library_version(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

}  // namespace trainmeter
