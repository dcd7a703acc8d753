// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What CUDA's errors become, by their codes alone: no GPU is needed.
#include "kernels/cuda_support.hpp"
#include "kernels/operation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trainmeter {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string lost(cudaError_t code) {
  try {
    cuda_check(code, "timed launches");
  } catch (const Unavailable&) {
    return "taken for something that this machine lacks";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "taken for success";
}

// Programs end with exit code 4 for these (bench/exit_code), and say where to look.
TEST(CudaErrors, AGpuThatIsLostIsNoLackAndNamesTheKernelsLog) {
  EXPECT_NO_THROW(cuda_check(cudaSuccess, ""));
  for (const cudaError_t code :
       {cudaErrorECCUncorrectable, cudaErrorNvlinkUncorrectable, cudaErrorHardwareStackError,
        cudaErrorDevicesUnavailable, cudaErrorLaunchFailure, cudaErrorLaunchTimeout,
        cudaErrorIllegalAddress, cudaErrorUnknown}) {
    EXPECT_THAT(lost(code),
                AllOf(HasSubstr("timed launches: "),
                      HasSubstr(std::string(cudaGetErrorName(code)) + ": "), HasSubstr("Xid")));
  }
  EXPECT_THAT(lost(cudaErrorInvalidValue), ::testing::Not(HasSubstr("Xid")));
}

// Exit code 3, and the next case goes on.
TEST(CudaErrors, MemoryAndDriversAreWhatAMachineLacks) {
  for (const cudaError_t code :
       {cudaErrorMemoryAllocation, cudaErrorNoDevice, cudaErrorInsufficientDriver}) {
    EXPECT_THROW(cuda_check(code, "cudaMalloc"), Unavailable);
  }
}

}  // namespace
}  // namespace trainmeter
