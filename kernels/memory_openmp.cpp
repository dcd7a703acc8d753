// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory kernels of the CPU: each thread of the OpenMP pool works on the pages that it touched
// first. Two variants, ordinary and non-temporal stores.
#include "kernels/backends.hpp"
#include "kernels/host_operand.hpp"
#include "kernels/memory_loops.hpp"
#include "kernels/numa.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <omp.h>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kPage = 4096;
constexpr double kFactor = 3.25;  // s of write and triad

int arrays_of(MemoryKernel kernel) {
  switch (kernel) {
    case MemoryKernel::read:
    case MemoryKernel::write:
      return 1;
    case MemoryKernel::copy:
      return 2;
    case MemoryKernel::triad:
      return 3;
  }
  throw std::invalid_argument("no such memory kernel");
}

// The part of the arrays that each thread of the pool works on; -1: none. The pool's threads are on
// the cores in order (pin_threads).
std::vector<int> parts_of_threads(const MemoryProblem& problem) {
  std::vector<int> parts(static_cast<std::size_t>(omp_get_max_threads()), -1);
  std::vector<int> cores;
  std::vector<int> allowed;
  if (problem.node) {
    const CpuInfo cpu = cpu_info();
    cores = cpu.core_ids;
    for (const NumaNode& node : numa_nodes(cpu)) {
      if (node.id == *problem.node) allowed = node.core_ids;
    }
  }
  int next = 0;
  for (std::size_t thread = 0; thread < parts.size(); ++thread) {
    const bool here = !problem.node || (thread < cores.size() &&
                                        std::ranges::find(allowed, cores[thread]) != allowed.end());
    if (here && (problem.threads == 0 || next < problem.threads)) parts[thread] = next++;
  }
  while (!parts.empty() && parts.back() < 0) parts.pop_back();
  if (next < std::max(1, problem.threads)) {
    throw Unavailable("OpenMP: " + std::to_string(std::max(1, problem.threads)) +
                      " threads are not here, only " + std::to_string(next));
  }
  return parts;
}

class OpenMpMemory final : public Operation {
 public:
  OpenMpMemory(const MemoryProblem& problem, const OperandOptions& options, MemoryLoops loops)
      : problem_(problem),
        loops_(loops),
        parts_(parts_of_threads(problem)),
        team_(static_cast<int>(parts_.size())),
        workers_(*std::ranges::max_element(parts_) + 1),
        sums_(static_cast<std::size_t>(workers_)) {
    const int arrays = arrays_of(problem.kernel);
    const std::int64_t available = host_bytes_for_operands();
    if (problem.array_bytes > std::numeric_limits<std::int64_t>::max() / arrays) {
      throw Unavailable("arrays of " + std::to_string(problem.array_bytes) +
                        " bytes are beyond any memory");
    }
    sets_ = sets_for(problem.array_bytes * arrays, options, available);
    const auto pattern = [this](auto value) {
      for (std::size_t i = 0; i < pattern_.size(); i += sizeof value) {
        std::memcpy(pattern_.data() + i, &value, sizeof value);
      }
    };
    if (problem.dtype == DType::fp64) {
      pattern(kFactor);
    } else {
      pattern(static_cast<float>(kFactor));
    }
    for (int array = 0; array < arrays; ++array) {
      const HostOperand& made = arrays_.emplace_back(problem.array_bytes, sets_);
      touch(made);
      fill_random(made.data(0), count(), problem.dtype, operand_seed(options.seed, 0, array),
                  options.values);
      if (problem.kernel == MemoryKernel::read) make_whole(made);
      made.repeat_first();
    }
  }

  void run(int set) override {
#pragma omp parallel num_threads(team_)
    if (const int part = parts_[static_cast<std::size_t>(omp_get_thread_num())]; part >= 0) {
      if (problem_.dtype == DType::fp64) {
        work<double>(set, part);
      } else {
        work<float>(set, part);
      }
    }
  }

  Check verify() override {
    if (problem_.kernel == MemoryKernel::read) {
      std::fill(sums_.begin(), sums_.end(), Sum{std::numeric_limits<double>::quiet_NaN()});
    } else {
      // All bits set is a NaN of either type.
      std::memset(arrays_[0].data(0), 0xff, static_cast<std::size_t>(problem_.array_bytes));
    }
    run(0);
    return problem_.dtype == DType::fp64 ? compare<double>() : compare<float>();
  }

  [[nodiscard]] int sets() const override {
    return sets_;
  }

 private:
  struct alignas(64) Sum {  // a line each: threads don't share
    double value = 0;
  };

  [[nodiscard]] std::int64_t count() const {
    return problem_.array_bytes / size_of(problem_.dtype);
  }

  // Whole pages, as equal as can be.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> range_of(int part) const {
    const std::int64_t pages = problem_.array_bytes / kPage;
    return {pages * part / workers_ * kPage, pages * (part + 1) / workers_ * kPage};
  }

  void touch(const HostOperand& array) const {
#pragma omp parallel num_threads(team_)
    if (const int part = parts_[static_cast<std::size_t>(omp_get_thread_num())]; part >= 0) {
      const auto [begin, end] = range_of(part);
      for (int set = 0; set < sets_; ++set) {
        std::memset(array.as<char>(set) + begin, 0, static_cast<std::size_t>(end - begin));
      }
    }
  }

  // Whole numbers, so that every order of summing gives exactly the same and one line too few or
  // too many shows.
  void make_whole(const HostOperand& array) const {
    const auto round = [&](auto* data) {
#pragma omp parallel for schedule(static)
      for (std::int64_t i = 0; i < count(); ++i) data[i] = std::nearbyint(4 * data[i]);
    };
    if (problem_.dtype == DType::fp64) {
      round(array.as<double>(0));
    } else {
      round(array.as<float>(0));
    }
  }

  template <class T>
  void work(int set, int part) {
    const std::int64_t begin = range_of(part).first;
    const std::int64_t end = range_of(part).second;
    char* a = arrays_[0].as<char>(set) + begin;
    const auto input = [&](std::size_t i) { return arrays_[i].as<char>(set) + begin; };
    const std::int64_t bytes = end - begin;
    const std::int64_t elements = bytes / static_cast<std::int64_t>(sizeof(T));
    switch (problem_.kernel) {
      case MemoryKernel::copy:
        return loops_.copy(a, input(1), bytes);
      case MemoryKernel::write:
        return loops_.write(a, pattern_.data(), bytes);
      case MemoryKernel::read:
        sums_[static_cast<std::size_t>(part)].value =
            sum_of(reinterpret_cast<const T*>(a), elements);
        return;
      case MemoryKernel::triad:
        if constexpr (std::is_same_v<T, double>) {
          loops_.triad_fp64(reinterpret_cast<T*>(a), reinterpret_cast<const T*>(input(1)),
                            reinterpret_cast<const T*>(input(2)), kFactor, elements);
        } else {
          loops_.triad_fp32(reinterpret_cast<T*>(a), reinterpret_cast<const T*>(input(1)),
                            reinterpret_cast<const T*>(input(2)), static_cast<T>(kFactor),
                            elements);
        }
        return;
    }
  }

  template <class T>
  [[nodiscard]] Check compare() const {
    const T* a = arrays_[0].as<T>(0);
    if (problem_.kernel == MemoryKernel::read) {
      std::int64_t expected = 0;
#pragma omp parallel for schedule(static) reduction(+ : expected)
      for (std::int64_t i = 0; i < count(); ++i) expected += static_cast<std::int64_t>(a[i]);
      double sum = 0;
      for (const Sum& part : sums_) sum += part.value;
      const double error = std::abs(sum - static_cast<double>(expected));
      return {error < 0.5, error, 0.5, "sum of whole numbers, exact"};
    }
    // In units of what rounding explains: a product and a sum, or a fused one. Copies are exact.
    constexpr double kRoundoff = std::numeric_limits<T>::epsilon() / 2;
    const T* b = problem_.kernel == MemoryKernel::write ? a : arrays_[1].as<T>(0);
    const T* c = problem_.kernel == MemoryKernel::triad ? arrays_[2].as<T>(0) : b;
    double worst = 0;
#pragma omp parallel for schedule(static) reduction(max : worst)
    for (std::int64_t i = 0; i < count(); ++i) {
      double expected = kFactor;
      double allowed = kRoundoff;  // of copy and write: any value between 0 and a difference
      if (problem_.kernel == MemoryKernel::copy) {
        expected = static_cast<double>(b[i]);
        allowed = std::numeric_limits<double>::min();
      } else if (problem_.kernel == MemoryKernel::triad) {
        const double product = kFactor * static_cast<double>(c[i]);
        expected = static_cast<double>(b[i]) + product;
        allowed = 4 * kRoundoff * (std::abs(product) + std::abs(static_cast<double>(b[i]))) +
                  std::numeric_limits<T>::min();
      }
      const double error = std::abs(static_cast<double>(a[i]) - expected) / allowed;
      worst =
          std::max(worst, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
    }
    return {worst < 1, worst, 1, "all elements"};
  }

  MemoryProblem problem_;
  MemoryLoops loops_;
  std::vector<int> parts_;  // of each thread of the team
  int team_;
  int workers_;  // of them that have a part
  int sets_ = 0;
  std::vector<HostOperand> arrays_;  // a, then b, then c
  std::vector<Sum> sums_;            // of each part, of the last read
  alignas(64) std::array<char, 64> pattern_{};
};

void check(const MemoryProblem& problem) {
  if (problem.array_bytes < kPage || problem.array_bytes % kPage != 0) {
    throw std::invalid_argument("array_bytes is a positive multiple of 4096, not " +
                                std::to_string(problem.array_bytes));
  }
}

std::string why_not(const MemoryProblem& problem) {
  if (problem.dtype == DType::fp64 || problem.dtype == DType::fp32) return "";
  return "OpenMP: memory kernels are in fp64 and fp32, not " +
         std::string(to_string(problem.dtype));
}

std::string why_not_nt(const MemoryProblem& problem) {
  if (problem.kernel == MemoryKernel::read) return "OpenMP: read stores nothing";
  if (non_temporal_loops().copy == nullptr) {
    return "OpenMP: non-temporal stores need an x86 processor with SSE2";
  }
  return why_not(problem);
}

std::unique_ptr<Operation> make(const MemoryProblem& problem, const OperandOptions& options) {
  check(problem);
  if (std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<OpenMpMemory>(problem, options, plain_loops());
}

std::unique_ptr<Operation> make_nt(const MemoryProblem& problem, const OperandOptions& options) {
  check(problem);
  if (std::string reason = why_not_nt(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<OpenMpMemory>(problem, options, non_temporal_loops());
}

}  // namespace

MemoryBackend openmp_memory_backend() {
  return {"openmp", DeviceKind::cpu, why_not, make};
}

MemoryBackend openmp_nt_memory_backend() {
  return {"openmp_nt", DeviceKind::cpu, why_not_nt, make_nt};
}

}  // namespace trainmeter
