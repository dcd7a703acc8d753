// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Green contexts (CUDA driver API, "Green Contexts"), by way of the runtime: no program of ours
// links the driver.
#include "kernels/sm_share_cuda.hpp"

#include "kernels/one_stream.hpp"

#include <cudaTypedefs.h>

#include <memory>
#include <string>

namespace trainmeter {
namespace {

#if CUDA_VERSION >= 12050
template <class Function>
Function function(const char* name, unsigned int version) {
  void* found = driver_function(name, version);
  if (found == nullptr)
    throw Unavailable(std::string("a share of the SMs: the driver has no ") + name);
  return reinterpret_cast<Function>(found);
}

void check(CUresult code, const char* what) {
  if (code == CUDA_SUCCESS) return;
  throw Unavailable(std::string("a share of the SMs: ") + what + ": error " + std::to_string(code));
}

SmShare green_context_of(int sms) {
  int device = 0;
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaFree(nullptr), "cudaFree");  // the device's own context, which this one is part of

  CUdevResource whole{};
  check(function<PFN_cuDeviceGetDevResource_v12040>("cuDeviceGetDevResource", 12040)(
            device, &whole, CU_DEV_RESOURCE_TYPE_SM),
        "cuDeviceGetDevResource");
  CUdevResource part{};
  unsigned int parts = 1;
  check(function<PFN_cuDevSmResourceSplitByCount_v12040>("cuDevSmResourceSplitByCount", 12040)(
            &part, &parts, &whole, nullptr, 0, static_cast<unsigned int>(sms)),
        "cuDevSmResourceSplitByCount");
  CUdevResourceDesc description{};
  check(function<PFN_cuDevResourceGenerateDesc_v12040>("cuDevResourceGenerateDesc", 12040)(
            &description, &part, 1),
        "cuDevResourceGenerateDesc");
  const auto destroy = function<PFN_cuGreenCtxDestroy_v12040>("cuGreenCtxDestroy", 12040);
  CUgreenCtx made = nullptr;
  check(function<PFN_cuGreenCtxCreate_v12040>("cuGreenCtxCreate", 12040)(
            &made, description, device, CU_GREEN_CTX_DEFAULT_STREAM),
        "cuGreenCtxCreate");
  const std::shared_ptr<void> context(made, [destroy](void* context_to_destroy) {
    (void)destroy(static_cast<CUgreenCtx>(context_to_destroy));
  });
  CUstream stream = nullptr;
  check(function<PFN_cuGreenCtxStreamCreate_v12050>("cuGreenCtxStreamCreate", 12050)(
            &stream, made, CU_STREAM_NON_BLOCKING, 0),
        "cuGreenCtxStreamCreate");
  return {.stream = CudaStream(stream, context),
          .sms = static_cast<int>(part.sm.smCount),
          .green = true};
}
#else
SmShare green_context_of(int) {
  throw Unavailable(
      "a share of the SMs: built with a CUDA toolkit older than 12.5, which has no "
      "streams of green contexts");
}
#endif

}  // namespace

SmShare share_of_sms(int sms) {
  if (sms == 0 || sms >= device_attribute(cudaDevAttrMultiProcessorCount)) return {};
  if (OneStream::lives()) return {.stream = CudaStream(), .sms = sms};
  return green_context_of(sms);
}

}  // namespace trainmeter
