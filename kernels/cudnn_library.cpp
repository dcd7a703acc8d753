// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// libcudnn.so.9. It loads its parts itself, when they are first needed, and CUDA's run-time
// compiler (libnvrtc), which makes its attention kernels.
#include "kernels/cudnn_library.hpp"

#include "kernels/cublaslt_library_cuda.hpp"

namespace trainmeter {
namespace {

constexpr const char* kName = "libcudnn.so.9";
constexpr std::size_t kLeastVersion = 91800;  // what cudnn-frontend's calls of an older one lack

RuntimeLibrary load() {
  // Some of its engines open cuBLASLt, where its own folder says; what is loaded already, they find.
  (void)cublaslt_library();
  RuntimeLibrary out = open_library("cudnn", kName, "", "cudnnGetVersion");
  if (out.why_not.empty() && out.version < kLeastVersion) {
    out.why_not = "cudnn: needs " + library_version(kLeastVersion) + " or newer, this one is " +
                  library_version(out.version);
  }
  return out;
}

}  // namespace

const RuntimeLibrary& cudnn_library() {
  static const RuntimeLibrary kLibrary = load();
  return kLibrary;
}

const RuntimeLibrary* loaded_cudnn_library() {
  return is_loaded(kName) ? &cudnn_library() : nullptr;
}

}  // namespace trainmeter
