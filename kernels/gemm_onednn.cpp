// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMM by oneDNN's matmul: fp32, bf16 and int8, on the OpenMP pool. A and B stay in the plain
// layout of the problem, as a training step has them: no operand is packed outside the timing.
#include "kernels/backends.hpp"
#include "kernels/gemm_operands.hpp"
#include "kernels/machine.hpp"

#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <initializer_list>
#include <unordered_map>
#include <vector>

namespace trainmeter {
namespace {

bool processor_has_any(std::initializer_list<const char*> names) {
  static const std::vector<std::string> sets = cpu_info().instruction_sets;
  return std::any_of(names.begin(), names.end(), [](const char* name) {
    return std::find(sets.begin(), sets.end(), name) != sets.end();
  });
}

std::string why_no_type(const GemmProblem& p) {
  switch (p.dtype) {
    case DType::fp32:
      return "";
    case DType::bf16:
      if (processor_has_any({"avx512_bf16", "amx_bf16", "bf16"})) return "";
      return "oneDNN: bf16 needs AVX-512 bf16 or AMX (on Arm: bf16)";
    case DType::int8:
      if (processor_has_any({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})) return "";
      return "oneDNN: int8 needs VNNI or AMX (on Arm: dot product)";
    default:
      return "oneDNN: multiplies fp32, bf16 and int8 here, not " + std::string(to_string(p.dtype));
  }
}

std::string why_not(const GemmProblem& p) {
  std::string reason = why_no_type(p);
  return reason.empty() ? why_not_plain("oneDNN", p) : reason;
}

dnnl::memory::data_type type_of_input(DType type) {
  if (type == DType::bf16) return dnnl::memory::data_type::bf16;
  if (type == DType::int8) return dnnl::memory::data_type::s8;
  return dnnl::memory::data_type::f32;
}

dnnl::memory::data_type type_of_output(DType type) {
  return type == DType::int8 ? dnnl::memory::data_type::s32 : type_of_input(type);
}

// Matrices of rows x cols one after the other, row-major or stored transposed.
dnnl::memory::desc described(std::int64_t groups, std::int64_t rows, std::int64_t cols,
                             dnnl::memory::data_type type, bool transposed) {
  dnnl::memory::dims dims = {rows, cols};
  dnnl::memory::dims strides = {transposed ? 1 : cols, transposed ? rows : 1};
  if (groups > 1) {  // a batched matmul; else a plain one
    dims.insert(dims.begin(), groups);
    strides.insert(strides.begin(), rows * cols);
  }
  return {dims, type, strides};
}

class OneDnnGemm final : public HostGemm {
 public:
  OneDnnGemm(const GemmProblem& p, const OperandOptions& options)
      : HostGemm(p, options), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    const auto a_desc =
        described(p.groups, p.m, p.k, type_of_input(p.dtype), p.layout == GemmLayout::tn);
    const auto b_desc =
        described(p.groups, p.k, p.n, type_of_input(p.dtype), p.layout == GemmLayout::nt);
    const auto c_desc = described(p.groups, p.m, p.n, type_of_output(p.dtype), false);
    const dnnl::matmul::primitive_desc chosen({a_desc, b_desc, c_desc}, engine_);
    matmul_ = dnnl::matmul(chosen);
    // The data handles change from run to run; the objects and the map stay.
    arguments_ = {{DNNL_ARG_SRC, dnnl::memory(a_desc, engine_, DNNL_MEMORY_NONE)},
                  {DNNL_ARG_WEIGHTS, dnnl::memory(b_desc, engine_, DNNL_MEMORY_NONE)},
                  {DNNL_ARG_DST, dnnl::memory(c_desc, engine_, DNNL_MEMORY_NONE)}};
  }

 protected:
  void multiply(const void* a, const void* b, void* c) override {
    arguments_.at(DNNL_ARG_SRC).set_data_handle(const_cast<void*>(a));  // oneDNN's C interface
    arguments_.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<void*>(b));
    arguments_.at(DNNL_ARG_DST).set_data_handle(c);
    matmul_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul matmul_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

std::unique_ptr<Operation> make(const GemmProblem& problem, const OperandOptions& options) {
  gemm_bytes_of_one_set(problem);  // refuses sizes below 1 before anything else
  if (std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  try {
    return std::make_unique<OneDnnGemm>(problem, options);
  } catch (const dnnl::error& error) {
    throw Unavailable("oneDNN: " + std::string(error.what()));
  }
}

}  // namespace

GemmBackend onednn_gemm_backend() {
  return {"onednn", DeviceKind::cpu, why_not, make};
}

}  // namespace trainmeter
