// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// libcudnn.so.9, found as the loader finds libraries. It loads its parts itself, when they are
// first needed, and CUDA's run-time compiler (libnvrtc), which makes its attention kernels.
#include "kernels/cudnn_library.hpp"

#include <atomic>
#include <dlfcn.h>

namespace trainmeter {
namespace {

constexpr const char* kName = "libcudnn.so.9";
std::atomic<bool> found = false;
constexpr std::size_t kLeastVersion = 91800;  // what cudnn-frontend's calls of an older one lack

CudnnLibrary load() {
  CudnnLibrary out;
  out.handle = ::dlopen(kName, RTLD_NOW | RTLD_LOCAL);
  if (out.handle == nullptr) {
    const char* said = ::dlerror();
    out.why_not = std::string("cudnn: ") + kName + " isn't found (" +
                  (said == nullptr ? "no reason given" : said) + ")";
    return out;
  }
  const auto version = reinterpret_cast<std::size_t (*)()>(::dlsym(out.handle, "cudnnGetVersion"));
  if (version != nullptr) out.version = version();
  if (out.version < kLeastVersion) {
    out.why_not = "cudnn: needs " + cudnn_version_text(kLeastVersion) + " or newer, this one is " +
                  cudnn_version_text(out.version);
  }
  return out;
}

}  // namespace

const CudnnLibrary& cudnn_library() {
  static const CudnnLibrary kLibrary = [] {
    CudnnLibrary library = load();
    found = library.handle != nullptr;
    return library;
  }();
  return kLibrary;
}

const CudnnLibrary* loaded_cudnn_library() {
  return found ? &cudnn_library() : nullptr;
}

std::string cudnn_version_text(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

}  // namespace trainmeter
