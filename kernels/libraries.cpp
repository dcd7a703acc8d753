// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The versions of what was built in, asked of the libraries themselves where they can say.
#include "kernels/machine.hpp"

#include <cblas.h>
#if TRAINMETER_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif
#if TRAINMETER_HAS_MPI
#include <mpi.h>
#endif
#if TRAINMETER_HAS_GLOO
#include <gloo/config.h>
#endif
#if TRAINMETER_HAS_CUDA
#include "kernels/cublaslt_library_cuda.hpp"

#include <cuda_runtime_api.h>
#endif
#if TRAINMETER_HAS_CUDNN
#include "kernels/cudnn_library.hpp"
#endif
#if TRAINMETER_HAS_NCCL
#include <nccl.h>
#endif

#include <array>
#include <sstream>

namespace trainmeter {

std::map<std::string, std::string> library_versions() {
  std::map<std::string, std::string> versions;
#if defined(__clang__)
  versions["compiler"] = "clang " __clang_version__;
#elif defined(__GNUC__)
  versions["compiler"] = "gcc " __VERSION__;
#endif
  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH USE_OPENMP SkylakeX MAX_THREADS=64"
  std::istringstream config(openblas_get_config());
  std::string name;
  std::string version;
  if (config >> name >> version && name == "OpenBLAS") versions["OpenBLAS"] = version;
#if TRAINMETER_HAS_ONEDNN
  const dnnl_version_t* dnnl = dnnl_version();
  versions["oneDNN"] = std::to_string(dnnl->major) + "." + std::to_string(dnnl->minor) + "." +
                       std::to_string(dnnl->patch);
#endif
#if TRAINMETER_HAS_MPI
  // "Open MPI v4.1.4, package: Debian Open MPI, ...": up to the first comma. May be asked before
  // MPI_Init.
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) == MPI_SUCCESS) {
    const std::string whole(text.data(), static_cast<std::size_t>(length));
    versions["MPI"] = whole.substr(0, whole.find_first_of(",\n"));
  }
#endif
#if TRAINMETER_HAS_GLOO
  versions["gloo"] = std::to_string(GLOO_VERSION_MAJOR) + "." + std::to_string(GLOO_VERSION_MINOR) +
                     "." + std::to_string(GLOO_VERSION_PATCH);
#endif
#if TRAINMETER_HAS_CUDA
  versions["CUDA"] =
      std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
  // The GEMMs' cases on a GPU ask for it before a record begins, and attention's for cuDNN; no
  // other program's start loads them.
  if (const RuntimeLibrary* cublaslt = loaded_cublaslt_library(); cublaslt != nullptr)
    versions["cuBLASLt"] = library_version(cublaslt->version);
#endif
#if TRAINMETER_HAS_CUDNN
  if (const RuntimeLibrary* cudnn = loaded_cudnn_library(); cudnn != nullptr)
    versions["cuDNN"] = library_version(cudnn->version);
#endif
#if TRAINMETER_HAS_NCCL
  int nccl = 0;  // 22809 is 2.28.9
  if (ncclGetVersion(&nccl) == ncclSuccess) {
    versions["NCCL"] = std::to_string(nccl / 10000) + "." + std::to_string(nccl % 10000 / 100) +
                       "." + std::to_string(nccl % 100);
  }
#endif
  return versions;
}

}  // namespace trainmeter
