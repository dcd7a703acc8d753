// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory kernels on a GPU: 16-byte accesses, a grid that fills every SM, four accesses of a thread
// in flight.
#include "kernels/backends.hpp"
#include "kernels/cuda_support.hpp"
#include "kernels/random.hpp"

#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr int kThreads = 512;
constexpr int kUnroll = 4;
constexpr double kScale = 3;  // s in a = s and a = b + s c

template <class T>
struct alignas(16) Vector {
  static constexpr int kLanes = 16 / sizeof(T);
  T lane[kLanes];
};

// Visits `count` vectors, kUnroll of them a thread and step, neighbours by neighbours: visit<n>(i,
// step) has i, i + step, ..., n of them.
template <class F>
__device__ void for_each_step(std::int64_t count, F&& visit) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (; i + (kUnroll - 1) * step < count; i += kUnroll * step) {
    visit.template operator()<kUnroll>(i, step);
  }
  for (; i < count; i += step) visit.template operator()<1>(i, step);
}

template <class F>
__device__ void for_each_vector(std::int64_t count, F&& visit) {
  for_each_step(count, [&]<int kVectors>(std::int64_t first, std::int64_t step) {
#pragma unroll
    for (int u = 0; u < kVectors; ++u) visit(first + u * step);
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    copy_kernel(Vector<T>* __restrict__ a, const Vector<T>* __restrict__ b, std::int64_t count) {
  for_each_vector(count, [&](std::int64_t i) { a[i] = b[i]; });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    write_kernel(Vector<T>* __restrict__ a, T value, std::int64_t count) {
  Vector<T> filled;
#pragma unroll
  for (int l = 0; l < Vector<T>::kLanes; ++l) filled.lane[l] = value;
  for_each_vector(count, [&](std::int64_t i) { a[i] = filled; });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    triad_kernel(Vector<T>* __restrict__ a, const Vector<T>* __restrict__ b,
                 const Vector<T>* __restrict__ c, T s, std::int64_t count) {
  for_each_vector(count, [&](std::int64_t i) {
    const Vector<T> x = b[i];
    const Vector<T> y = c[i];
    Vector<T> z;
#pragma unroll
    for (int l = 0; l < Vector<T>::kLanes; ++l) z.lane[l] = x.lane[l] + s * y.lane[l];
    a[i] = z;
  });
}

// Sums in fp64 whatever T is, so that a missing element shows; memory is the limit all the same: a
// step's loads are all under way before the first is added.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    read_kernel(double* __restrict__ sums, const Vector<T>* __restrict__ b, std::int64_t count) {
  double total = 0;
  for_each_step(count, [&]<int kVectors>(std::int64_t first, std::int64_t step) {
    Vector<T> x[kVectors];
#pragma unroll
    for (int u = 0; u < kVectors; ++u) x[u] = b[first + u * step];
    double sum[kVectors] = {};
#pragma unroll
    for (int u = 0; u < kVectors; ++u) {
#pragma unroll
      for (int l = 0; l < Vector<T>::kLanes; ++l) sum[u] += static_cast<double>(x[u].lane[l]);
    }
#pragma unroll
    for (int u = 0; u < kVectors; ++u) total += sum[u];
  });
  __shared__ double shared[kThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2)
    total += __shfl_down_sync(0xffffffffU, total, offset);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x == 0) {
    double block = 0;
    for (int w = 0; w < kThreads / 32; ++w) block += shared[w];
    sums[blockIdx.x] = block;
  }
}

template <class T>
class CudaMemory final : public Operation {
 public:
  CudaMemory(const MemoryProblem& problem, const OperandOptions& options)
      : problem_(problem), seed_(options.seed), vectors_(problem.array_bytes / 16) {
    const bool reads_b = problem.kernel != MemoryKernel::write;
    const bool reads_c = problem.kernel == MemoryKernel::triad;
    const bool writes_a = problem.kernel != MemoryKernel::read;
    const std::int64_t each = problem.array_bytes * (reads_b + reads_c + writes_a);
    sets_ = sets_for(each, options, device_bytes_free());
    std::vector<T> host(reads_b ? static_cast<std::size_t>(elements()) : 0);
    choose_grid();
    sums_ = DeviceBuffer(static_cast<std::int64_t>(blocks_) * 8);
    if (writes_a) a_ = DeviceOperand(problem.array_bytes, sets_);
    for (int operand = 0; operand < reads_b + reads_c; ++operand) {
      DeviceOperand& target = operand == 0 ? b_ : c_;
      target = DeviceOperand(problem.array_bytes, sets_);
      fill_random(host.data(), elements(), problem.dtype, operand_seed(seed_, 0, operand),
                  options.values);
      target.copy_from_host(host.data());
    }
  }

  void run(int set) override {
    auto* a = static_cast<Vector<T>*>(at(a_, set));
    const auto* b = static_cast<const Vector<T>*>(at(b_, set));
    const auto* c = static_cast<const Vector<T>*>(at(c_, set));
    const auto value = static_cast<T>(kScale);
    switch (problem_.kernel) {
      case MemoryKernel::copy:
        copy_kernel<T><<<blocks_, kThreads, 0, stream_.get()>>>(a, b, vectors_);
        break;
      case MemoryKernel::read:
        read_kernel<T><<<blocks_, kThreads, 0, stream_.get()>>>(static_cast<double*>(sums_.data()),
                                                                b, vectors_);
        break;
      case MemoryKernel::write:
        write_kernel<T><<<blocks_, kThreads, 0, stream_.get()>>>(a, value, vectors_);
        break;
      case MemoryKernel::triad:
        triad_kernel<T><<<blocks_, kThreads, 0, stream_.get()>>>(a, b, c, value, vectors_);
        break;
    }
    cuda_check(cudaGetLastError(), "memory kernel");
  }

  Check verify() override {
    stream_.wait();
    if (!a_.empty()) a_.fill_bytes(0xFF);
    sums_.fill_bytes(0xFF);
    run(0);
    stream_.wait();
    if (problem_.kernel == MemoryKernel::read) return verify_sum();
    return verify_elements();
  }

  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] void* stream() const override { return stream_.get(); }

 private:
  static void* at(const DeviceOperand& operand, int set) {
    return operand.empty() ? nullptr : operand.data(set);
  }

  [[nodiscard]] std::int64_t elements() const {
    return problem_.array_bytes / static_cast<std::int64_t>(sizeof(T));
  }

  std::vector<T> on_host(const DeviceOperand& operand) const {
    std::vector<T> host(static_cast<std::size_t>(elements()));
    operand.copy_to_host(host.data());
    return host;
  }

  void choose_grid() {
    int resident = 0;
    const void* kernel =
        problem_.kernel == MemoryKernel::copy    ? reinterpret_cast<const void*>(copy_kernel<T>)
        : problem_.kernel == MemoryKernel::read  ? reinterpret_cast<const void*>(read_kernel<T>)
        : problem_.kernel == MemoryKernel::write ? reinterpret_cast<const void*>(write_kernel<T>)
                                                 : reinterpret_cast<const void*>(triad_kernel<T>);
    cuda_check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, kThreads, 0),
               "occupancy");
    blocks_ = std::max(1, resident) *
              (problem_.sms > 0 ? problem_.sms : device_attribute(cudaDevAttrMultiProcessorCount));
  }

  Check verify_sum() const {
    std::vector<double> sums(static_cast<std::size_t>(blocks_));
    sums_.copy_to_host(sums.data());
    double found = 0;
    for (const double sum : sums) found += sum;
    double expected = 0;
    double magnitude = 0;
    for (const T x : on_host(b_)) {
      expected += static_cast<double>(x);
      magnitude += std::abs(static_cast<double>(x));
    }
    // Each of the two sums adds n terms; |error| <= gamma_n sum |x| (Higham 2002, section 4.2), and
    // in practice sqrt(n) of it.
    const double eps = std::numeric_limits<double>::epsilon();
    Check out{.error = std::abs(found - expected),
              .bound = 8 * eps * std::sqrt(static_cast<double>(elements())) * magnitude +
                       std::numeric_limits<double>::min(),  // of zeros
              .how = "sum in fp64"};
    out.ok = out.error < out.bound;
    return out;
  }

  Check verify_elements() const {
    const std::vector<T> a = on_host(a_);
    const std::vector<T> b = !b_.empty() ? on_host(b_) : std::vector<T>();
    const std::vector<T> c = !c_.empty() ? on_host(c_) : std::vector<T>();
    Check out{.ok = true,
              .error = 0,
              .bound = 4 * static_cast<double>(std::numeric_limits<T>::epsilon()),
              .how = "all elements, fp64"};
    for (std::size_t i = 0; i < a.size(); ++i) {
      double expected = kScale;
      double size = kScale;
      if (problem_.kernel == MemoryKernel::copy) expected = size = static_cast<double>(b[i]);
      if (problem_.kernel == MemoryKernel::triad) {
        expected = static_cast<double>(b[i]) + kScale * static_cast<double>(c[i]);
        size = std::abs(static_cast<double>(b[i])) + std::abs(kScale * static_cast<double>(c[i]));
      }
      const double error =
          std::abs(static_cast<double>(a[i]) - expected) / std::max(std::abs(size), 1e-30);
      if (!(error <= out.error)) out.error = error;  // NaN stays
      if (!(error < out.bound)) out.ok = false;
    }
    return out;
  }

  MemoryProblem problem_;
  std::uint64_t seed_;
  std::int64_t vectors_;
  CudaStream stream_;
  int blocks_ = 1;
  DeviceBuffer sums_;
  int sets_ = 1;
  DeviceOperand a_, b_, c_;  // those that the kernel uses
};

std::string why_not(const MemoryProblem& problem) {
  if (problem.dtype != DType::fp64 && problem.dtype != DType::fp32) {
    return "memory kernels move fp64 and fp32, not " + std::string(to_string(problem.dtype));
  }
  return why_no_gpu();
}

std::unique_ptr<Operation> make(const MemoryProblem& problem, const OperandOptions& options) {
  if (problem.array_bytes < 4096 || problem.array_bytes % 4096 != 0) {
    throw std::invalid_argument("array_bytes is a multiple of 4096 and at least that, not " +
                                std::to_string(problem.array_bytes));
  }
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  if (problem.dtype == DType::fp64) return std::make_unique<CudaMemory<double>>(problem, options);
  return std::make_unique<CudaMemory<float>>(problem, options);
}

}  // namespace

MemoryBackend cuda_memory_backend() {
  return {"cuda", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
