// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One product as cuBLASLt describes it, and the fastest of its algorithms: what its GEMM and its
// grouped GEMM share.
#pragma once

#include "kernels/cublaslt_library_cuda.hpp"
#include "kernels/gemm.hpp"
#include "kernels/sm_share_cuda.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trainmeter::cublaslt {

constexpr int kLaunches = 4;  // kernels of one product at most: split-K adds a reduction

// Empty, or what of the problem isn't built in or can't be; says nothing of alignment.
std::string why_not(const GemmProblem& problem);
// Empty, or what this machine lacks. Loads the library where there is a GPU.
std::string why_not_here();

// Throws "what: status" for anything but success.
void check(cublasStatus_t status, const char* what);

// What all calls of an operation share.
class Session {
 public:
  // Works in this stream, of which `sms` multiprocessors serve the kernels; 0: all.
  Session(cudaStream_t stream, int sms);

  [[nodiscard]] cublasLtHandle_t handle() const { return handle_.get(); }
  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  [[nodiscard]] int sms() const { return sms_; }
  [[nodiscard]] void* workspace() const { return workspace_.data(); }
  [[nodiscard]] std::size_t workspace_bytes() const {
    return static_cast<std::size_t>(workspace_.bytes());
  }

 private:
  struct Deleter {
    void operator()(cublasLtContext* handle) const { (void)cublasLtDestroy(handle); }
  };
  cudaStream_t stream_;
  int sms_;
  std::unique_ptr<cublasLtContext, Deleter> handle_;
  DeviceBuffer workspace_;
};

struct Operands {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const float* scales_a = nullptr;  // only with a scaling, as scaled_operand.hpp lays them
  const float* scales_b = nullptr;
};

struct Algorithm {
  cublasLtMatmulAlgo_t algorithm{};
  int rank = 0;   // among the heuristic's proposals, from 1
  int tried = 0;  // of them
};

// "id 66, tile 20, stages 36, ...": numbers as cublasLt.h defines them.
std::string to_string(const Algorithm& algorithm);

class Product {
 public:
  // Operands lie at multiples of `alignment` bytes.
  Product(const Session& session, const GemmProblem& problem, std::uint32_t alignment);

  // The heuristic's first proposal is often not the fastest: up to `most` are timed on the real
  // operands of sets 0 to sets - 1, in turn, so that a clock that rises meanwhile favours
  // none, and the shortest time of each counts. Unavailable where there is none.
  Algorithm fastest(const std::function<Operands(int set)>& operands, int sets, int most);

  cublasStatus_t launch(const Algorithm& algorithm, const Operands& at);

 private:
  struct Deleter {
    void operator()(cublasLtMatmulDescOpaque_t* d) const { (void)cublasLtMatmulDescDestroy(d); }
    void operator()(cublasLtMatrixLayoutOpaque_t* l) const { (void)cublasLtMatrixLayoutDestroy(l); }
    void operator()(cublasLtMatmulPreferenceOpaque_t* p) const {
      (void)cublasLtMatmulPreferenceDestroy(p);
    }
  };
  using Descriptor = std::unique_ptr<cublasLtMatmulDescOpaque_t, Deleter>;
  using MatrixLayout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Deleter>;
  using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Deleter>;

  static MatrixLayout matrix_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                                    std::int64_t groups);
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value, const char* name);
  void describe();
  void point_to_scales(const Operands& at);
  [[nodiscard]] Preference preference() const;
  std::vector<Algorithm> proposed(const Operands& at, int most);

  const Session& session_;
  GemmProblem problem_;
  std::uint32_t alignment_;
  Descriptor descriptor_;
  MatrixLayout a_layout_, b_layout_, c_layout_;
};

}  // namespace trainmeter::cublaslt
