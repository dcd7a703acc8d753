// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// libcublasLt.so of the toolkit's major version, found as the loader finds libraries.
#include "kernels/cublaslt_library_cuda.hpp"

#include "kernels/operation.hpp"

#include <dlfcn.h>

namespace trainmeter {
namespace {

std::atomic<bool> found = false;

std::string said_by_loader() {
  const char* said = ::dlerror();
  return said == nullptr ? "no reason given" : said;
}

CublasLtLibrary load() {
  const std::string name = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  CublasLtLibrary out;
  out.handle = ::dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (out.handle == nullptr) {
    out.why_not = "cuBLASLt: " + name + " isn't found (" + said_by_loader() + ")";
    return out;
  }
  const auto version =
      reinterpret_cast<decltype(&::cublasLtGetVersion)>(::dlsym(out.handle, "cublasLtGetVersion"));
  if (version != nullptr) out.version = version();
  return out;
}

}  // namespace

const CublasLtLibrary& cublaslt_library() {
  static const CublasLtLibrary kLibrary = [] {
    CublasLtLibrary library = load();
    found = library.handle != nullptr;
    return library;
  }();
  return kLibrary;
}

const CublasLtLibrary* loaded_cublaslt_library() {
  return found ? &cublaslt_library() : nullptr;
}

std::string cublaslt_version_text(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

void* cublaslt::looked_up(const char* name) {
  const CublasLtLibrary& library = cublaslt_library();
  if (library.handle == nullptr) throw Unavailable(library.why_not);
  if (void* const function = ::dlsym(library.handle, name); function != nullptr) return function;
  throw Unavailable("cuBLASLt: " + cublaslt_version_text(library.version) + " lacks " + name +
                    " (" + said_by_loader() + ")");
}

}  // namespace trainmeter
