// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// libcublasLt.so of the toolkit's major version.
#include "kernels/cublaslt_library_cuda.hpp"

#include "kernels/operation.hpp"

#include <dlfcn.h>

namespace trainmeter {
namespace {

const std::string& name() {
  static const std::string kName = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  return kName;
}

}  // namespace

const RuntimeLibrary& cublaslt_library() {
  static const RuntimeLibrary kLibrary =
      open_library("cuBLASLt", name(), TRAINMETER_CUBLASLT_FOLDER, "cublasLtGetVersion");
  return kLibrary;
}

const RuntimeLibrary* loaded_cublaslt_library() {
  return is_loaded(name()) ? &cublaslt_library() : nullptr;
}

void* cublaslt::looked_up(const char* function) {
  const RuntimeLibrary& library = cublaslt_library();
  if (library.handle == nullptr) throw Unavailable(library.why_not);
  if (void* const found = ::dlsym(library.handle, function); found != nullptr) return found;
  throw Unavailable("cuBLASLt: " + library_version(library.version) + " lacks " + function + " (" +
                    said_by_loader() + ")");
}

}  // namespace trainmeter
