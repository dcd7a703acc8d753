// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The implementations that this build holds.
#include "kernels/backends.hpp"

#include <vector>

namespace trainmeter {

std::span<const GemmBackend> gemm_backends() {
  static const std::vector<GemmBackend> backends = {
#if TRAINMETER_HAS_ONEDNN
    onednn_gemm_backend(),
#endif
    openblas_gemm_backend(),
#if TRAINMETER_HAS_CUDA
    cublaslt_gemm_backend(),
    hopper_gemm_backend(),
    mma_gemm_backend(),
    reference_gemm_backend(),
#endif
  };
  return backends;
}

std::span<const GroupedGemmBackend> grouped_gemm_backends() {
  static const std::vector<GroupedGemmBackend> backends = {
#if TRAINMETER_HAS_CUDA
    hopper_grouped_gemm_backend(),
    cublaslt_grouped_gemm_backend(),
    reference_grouped_gemm_backend(),
#endif
  };
  return backends;
}

std::span<const MemoryBackend> memory_backends() {
  static const std::vector<MemoryBackend> backends = {
    openmp_memory_backend(),
    openmp_nt_memory_backend(),
#if TRAINMETER_HAS_CUDA
    cuda_memory_backend(),
    copy_engine_memory_backend(),
    cuda_bulk_memory_backend(),
#endif
  };
  return backends;
}

std::span<const TransferBackend> transfer_backends() {
  static const std::vector<TransferBackend> backends = {
#if TRAINMETER_HAS_CUDA
    copy_engine_transfer_backend(),
    cuda_transfer_backend(),
#endif
  };
  return backends;
}

std::span<const StepBackend> step_backends() {
  static const std::vector<StepBackend> backends = {
    openmp_step_backend(),
#if TRAINMETER_HAS_CUDA
    cuda_step_backend(),
#endif
  };
  return backends;
}

std::span<const AttentionBackend> attention_backends() {
  static const std::vector<AttentionBackend> backends = {
    openmp_attention_backend(),
#if TRAINMETER_HAS_CUDNN
    cudnn_attention_backend(),
#endif
#if TRAINMETER_HAS_CUDA
    mma_attention_backend(),
#endif
  };
  return backends;
}

}  // namespace trainmeter
