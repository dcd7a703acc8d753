// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NVIDIA's cuBLASLt, loaded at run time: half a gigabyte of library and 0.4 s of relocations that
// only a product on a GPU is worth.
#pragma once

#include "kernels/runtime_library.hpp"

#include <cublasLt.h>

#include <atomic>

namespace trainmeter {

// Loaded by the first call, and never unloaded.
const RuntimeLibrary& cublaslt_library();
// Where something has asked for it before and it was found; else nullptr. Loads nothing.
const RuntimeLibrary* loaded_cublaslt_library();

// By the names of cublasLt.h, which these hide in this namespace: each is looked up in the library
// when it is first called. Throws Unavailable where there is none, or none such in it.
namespace cublaslt {

void* looked_up(const char* function);

template <class Signature>
class Function;

template <class Result, class... Parameters>
class Function<Result(Parameters...)> {
 public:
  explicit constexpr Function(const char* name) : name_(name) {}

  Result operator()(Parameters... parameters) const {
    Pointer function = found_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Pointer>(looked_up(name_));
      found_.store(function, std::memory_order_relaxed);
    }
    return function(parameters...);
  }

 private:
  using Pointer = Result (*)(Parameters...);
  const char* name_;
  mutable std::atomic<Pointer> found_ = nullptr;
};

#define TRAINMETER_CUBLASLT(name) inline const Function<decltype(::name)> name(#name)
TRAINMETER_CUBLASLT(cublasLtCreate);
TRAINMETER_CUBLASLT(cublasLtDestroy);
TRAINMETER_CUBLASLT(cublasLtGetStatusName);
TRAINMETER_CUBLASLT(cublasLtMatmul);
TRAINMETER_CUBLASLT(cublasLtMatmulAlgoConfigGetAttribute);
TRAINMETER_CUBLASLT(cublasLtMatmulAlgoGetHeuristic);
TRAINMETER_CUBLASLT(cublasLtMatmulDescCreate);
TRAINMETER_CUBLASLT(cublasLtMatmulDescDestroy);
TRAINMETER_CUBLASLT(cublasLtMatmulDescSetAttribute);
TRAINMETER_CUBLASLT(cublasLtMatmulPreferenceCreate);
TRAINMETER_CUBLASLT(cublasLtMatmulPreferenceDestroy);
TRAINMETER_CUBLASLT(cublasLtMatmulPreferenceSetAttribute);
TRAINMETER_CUBLASLT(cublasLtMatrixLayoutCreate);
TRAINMETER_CUBLASLT(cublasLtMatrixLayoutDestroy);
TRAINMETER_CUBLASLT(cublasLtMatrixLayoutSetAttribute);
#undef TRAINMETER_CUBLASLT

}  // namespace cublaslt
}  // namespace trainmeter
