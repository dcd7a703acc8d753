// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every implementation, one function each, for the tables of backends.cpp. Those of the CUDA part
// exist only where it is built (TRAINMETER_HAS_CUDA), oneDNN's and cuDNN's only with these.
#pragma once

#include "kernels/attention.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_grouped.hpp"
#include "kernels/memory.hpp"
#include "kernels/step_kernel.hpp"
#include "kernels/transfer.hpp"

namespace trainmeter {

GemmBackend onednn_gemm_backend();
GemmBackend openblas_gemm_backend();
GemmBackend cublaslt_gemm_backend();
GemmBackend hopper_gemm_backend();
GemmBackend mma_gemm_backend();
GemmBackend reference_gemm_backend();
GroupedGemmBackend hopper_grouped_gemm_backend();
GroupedGemmBackend cublaslt_grouped_gemm_backend();
GroupedGemmBackend reference_grouped_gemm_backend();

MemoryBackend openmp_memory_backend();
MemoryBackend openmp_nt_memory_backend();
MemoryBackend cuda_memory_backend();
MemoryBackend copy_engine_memory_backend();
MemoryBackend cuda_bulk_memory_backend();

TransferBackend copy_engine_transfer_backend();
TransferBackend cuda_transfer_backend();

AttentionBackend openmp_attention_backend();
AttentionBackend cudnn_attention_backend();
AttentionBackend mma_attention_backend();

StepBackend openmp_step_backend();
StepBackend cuda_step_backend();

}  // namespace trainmeter
