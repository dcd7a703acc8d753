// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The kernels of a step on the CPU: each thread of the OpenMP pool has its rows.
#include "kernels/backends.hpp"
#include "kernels/host_operand.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/step_verify.hpp"

#include <cstring>
#include <omp.h>
#include <vector>

namespace trainmeter {
namespace {

// Poisons: all bits set is a NaN in each of the types. In parallel, so that it also places pages.
void poison(void* data, std::int64_t bytes) {
  constexpr std::int64_t kPiece = 4096;
#pragma omp parallel for schedule(static)
  for (std::int64_t at = 0; at < bytes; at += kPiece) {
    std::memset(static_cast<char*>(data) + at, 0xff,
                static_cast<std::size_t>(std::min(kPiece, bytes - at)));
  }
}

template <class T>
class OpenMpStep final : public Operation {
 public:
  OpenMpStep(const StepProblem& problem, const OperandOptions& options)
      : problem_(problem),
        seed_(options.seed),
        threads_(omp_get_max_threads()),
        partial_cols_(round_up(problem.cols, 16)),
        roles_(step_arrays(problem)),
        sets_(sets_for(step_set_bytes(problem), options, host_bytes_for_operands())) {
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      const HostOperand& array = arrays_.emplace_back(roles_[i].bytes, sets_);
      if (roles_[i].role == StepArray::Role::output) {
        poison(array.data(0), array.bytes());
      } else {
        fill(i, array.data(0));
      }
      array.repeat_first();
    }
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      if (has_partial(i)) partials_.emplace_back(threads_ * partial_cols_ * 4);
    }
  }

  void run(int set) override {
#pragma omp parallel num_threads(threads_)
    work(set, omp_get_thread_num());
  }

  Check verify() override {
    std::vector<HostBuffer> kept;  // states as they were
    std::vector<const void*> before;
    std::vector<const void*> after;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      void* const data = arrays_[i].data(0);
      before.push_back(data);
      after.push_back(data);
      if (roles_[i].role == StepArray::Role::output) poison(data, roles_[i].bytes);
      if (roles_[i].role != StepArray::Role::state) continue;
      fill(i, data);
      before.back() = kept.emplace_back(roles_[i].bytes).data();
      fill(i, kept.back().data());
    }
    run(0);
    return verify_step(problem_, before, after);
  }

  [[nodiscard]] int sets() const override {
    return sets_;
  }
  [[nodiscard]] std::vector<OperandView> operand_views() const override {
    std::vector<OperandView> views;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      const StepArray& array = roles_[i];
      views.push_back(
          {array.name, array.role, array.type, array.bytes, arrays_[i].data(0), DeviceKind::cpu});
    }
    return views;
  }

 private:
  void fill(std::size_t array, void* data) const {
    fill_step_array(problem_, static_cast<int>(array), data, seed_);
  }

  template <class V = T>
  [[nodiscard]] V* array(std::size_t i, int set, std::int64_t at) const {
    return arrays_[i].template as<V>(set) + at;
  }

  [[nodiscard]] std::int64_t begin_of(std::int64_t count, int thread) const {
    return count / threads_ * thread + count % threads_ * thread / threads_;
  }

  void work(int set, int thread) {
    const StepProblem& p = problem_;
    const bool is_adamw = p.kernel == StepKernel::adamw;
    const std::int64_t begin = begin_of(is_adamw ? p.weights : p.rows, thread);
    const std::int64_t rows = begin_of(is_adamw ? p.weights : p.rows, thread + 1) - begin;
    const std::int64_t at = begin * p.cols;
    switch (p.kernel) {
      case StepKernel::rmsnorm:
        return rmsnorm(array(2, set, at), array(0, set, at), array(1, set, 0), rows, p.cols);
      case StepKernel::layernorm:
        return layernorm(array(3, set, at), array(0, set, at), array(1, set, 0), array(2, set, 0),
                         rows, p.cols);
      case StepKernel::gelu:
        return gelu(array(1, set, at), array(0, set, at), rows * p.cols);
      case StepKernel::swiglu:
        return swiglu(array(1, set, at), array(0, set, 2 * at), rows, p.cols);
      case StepKernel::rope: {
        const std::int64_t head = begin * p.heads * p.head_dim;
        return rope(array(2, set, head), array(0, set, head),
                    array<float>(1, set, begin * p.head_dim), rows, p.heads, p.head_dim);
      }
      case StepKernel::cast_fp8:
        return cast_fp8(array<std::uint8_t>(1, set, at),
                        array<float>(2, set, begin * cast_blocks(p.cols)), array(0, set, at), rows,
                        p.cols);
      case StepKernel::cast_fp8_transpose:
        return cast_tiles(set, thread);
      case StepKernel::cast_fp8_block:
        return cast_squares(set, thread);
      case StepKernel::recast_fp8:
        return recast_tiles(set, thread);
      case StepKernel::permute:
        return permute_rows(set, begin, begin + rows);
      case StepKernel::residual_add:
        return residual_add(array(2, set, at), array(0, set, at), array(1, set, at), rows * p.cols);
      case StepKernel::cross_entropy:
        return cross_entropy(array<float>(2, set, begin), array(3, set, at), array(0, set, at),
                             array<std::int32_t>(1, set, begin), rows, p.cols);
      case StepKernel::adamw:
        return adamw(array<float>(1, set, begin), array<float>(2, set, begin),
                     array<float>(3, set, begin),
                     arrays_.size() > 4 ? array<Bf16>(4, set, begin) : nullptr,
                     array<float>(0, set, begin), rows);
      case StepKernel::rmsnorm_backward:
      case StepKernel::layernorm_backward:
        return norm_backward(set, thread, at, rows);
      case StepKernel::gelu_backward:
        return gelu_backward(array(2, set, at), array(0, set, at), array(1, set, at),
                             rows * p.cols);
      case StepKernel::swiglu_backward:
        return swiglu_backward(array(2, set, 2 * at), array(0, set, 2 * at), array(1, set, at),
                               rows, p.cols);
      case StepKernel::rope_backward: {
        const std::int64_t head = begin * p.heads * p.head_dim;
        return rope_backward(array(2, set, head), array(0, set, head),
                             array<float>(1, set, begin * p.head_dim), rows, p.heads, p.head_dim);
      }
      case StepKernel::permute_backward:
        return permute_backward(array(2, set, at), array(0, set, 0),
                                array<std::int32_t>(1, set, begin * p.top_k), rows, p.cols,
                                p.top_k);
      case StepKernel::unpermute:
        return unpermute(array(3, set, at), array(0, set, 0), routed(set, begin, rows));
      case StepKernel::unpermute_backward:
        return unpermute_backward(array(4, set, 0), array<float>(5, set, begin * p.top_k),
                                  array(0, set, 0), array(3, set, at), routed(set, begin, rows));
      case StepKernel::topk_softmax:
        return topk_softmax(array<std::int32_t>(1, set, begin * p.top_k),
                            array<float>(2, set, begin * p.top_k), array(0, set, begin * p.experts),
                            {rows, p.experts, p.top_k});
      case StepKernel::topk_softmax_backward:
        return topk_softmax_backward(
            array(3, set, begin * p.experts), array<std::int32_t>(0, set, begin * p.top_k),
            array<float>(1, set, begin * p.top_k), array<float>(2, set, begin * p.top_k),
            {rows, p.experts, p.top_k});
      case StepKernel::topk_sigmoid:
        return topk_sigmoid(
            {array<std::int32_t>(2, set, begin * p.top_k), array<float>(3, set, begin * p.top_k),
             array<float>(4, set, begin * p.top_k)},
            array(0, set, begin * p.experts), array<float>(1, set, 0),
            {rows, p.experts, p.top_k, p.groups, p.group_limit});
      case StepKernel::topk_sigmoid_backward:
        return topk_sigmoid_backward(
            array(3, set, begin * p.experts), array<std::int32_t>(0, set, begin * p.top_k),
            array<float>(1, set, begin * p.top_k), array<float>(2, set, begin * p.top_k),
            {rows, p.experts, p.top_k});
    }
  }

  [[nodiscard]] RoutedRows routed(int set, std::int64_t begin, std::int64_t rows) const {
    const std::int64_t first = begin * problem_.top_k;
    return {array<std::int32_t>(1, set, first), array<float>(2, set, first), rows, problem_.cols,
            problem_.top_k};
  }

  // Whether this output, the weights' or the biases' gradient, is summed over the threads.
  [[nodiscard]] bool has_partial(std::size_t output) const {
    return output >= 4 && (problem_.kernel == StepKernel::rmsnorm_backward ||
                           problem_.kernel == StepKernel::layernorm_backward);
  }

  // Each thread sums these gradients over its rows, then over the threads for its columns.
  void norm_backward(int set, int thread, std::int64_t at, std::int64_t rows) {
    const std::int64_t cols = problem_.cols;
    std::vector<float*> own;
    for (const HostBuffer& partial : partials_) {
      own.push_back(partial.as<float>() + thread * partial_cols_);
      std::fill_n(own.back(), cols, 0.0F);
    }
    if (own.size() == 1) {
      rmsnorm_backward(array(3, set, at), own[0], array(0, set, at), array(1, set, 0),
                       array(2, set, at), rows, cols);
    } else {
      layernorm_backward(array(3, set, at), own[0], own[1], array(0, set, at), array(1, set, 0),
                         array(2, set, at), rows, cols);
    }
#pragma omp barrier
    for (std::size_t i = 0; i < partials_.size(); ++i) {
      const float* const partial = partials_[i].as<float>();
      auto* const sums = array<float>(4 + i, set, 0);
      for (std::int64_t c = begin_of(cols, thread); c < begin_of(cols, thread + 1); ++c) {
        float sum = 0;
        for (int t = 0; t < threads_; ++t) sum += partial[t * partial_cols_ + c];
        sums[c] = sum;
      }
    }
  }

  // Calls visit(tile, row, col) for this thread's tiles of 128 x 128.
  template <class F>
  void each_tile(int thread, F visit) const {
    const std::int64_t rows = problem_.rows;
    const std::int64_t cols = problem_.cols;
    const std::int64_t across = cast_blocks(cols);
    const std::int64_t tiles = cast_blocks(rows) * across;
    for (std::int64_t t = begin_of(tiles, thread); t < begin_of(tiles, thread + 1); ++t) {
      const std::int64_t row = t / across * kCastBlock;
      const std::int64_t col = t % across * kCastBlock;
      visit(TransposedTile{.rows = std::min<std::int64_t>(kCastBlock, rows - row),
                           .cols = std::min<std::int64_t>(kCastBlock, cols - col),
                           .stride = cols,
                           .q_stride = rows,
                           .scale_stride = cast_blocks(rows)},
            row, col);
    }
  }

  // While a tile is in the cache in one orientation and then in the other.
  void cast_tiles(int set, int thread) {
    const std::int64_t cols = problem_.cols;
    each_tile(thread, [&](const TransposedTile& tile, std::int64_t row, std::int64_t col) {
      for (std::int64_t r = row; r < row + tile.rows; ++r) {
        cast_fp8(array<std::uint8_t>(1, set, r * cols + col),
                 array<float>(2, set, r * cast_blocks(cols) + col / kCastBlock),
                 array(0, set, r * cols + col), 1, tile.cols);
      }
      cast_transposed(array<std::uint8_t>(3, set, col * tile.q_stride + row),
                      array<float>(4, set, col * tile.scale_stride + row / kCastBlock),
                      array(0, set, row * cols + col), tile);
    });
  }

  void cast_squares(int set, int thread) {
    const std::int64_t cols = problem_.cols;
    each_tile(thread, [&](const TransposedTile& tile, std::int64_t row, std::int64_t col) {
      const std::int64_t block = row / kCastBlock * cast_blocks(cols) + col / kCastBlock;
      cast_square(array<std::uint8_t>(1, set, row * cols + col), array<float>(2, set, block),
                  array(0, set, row * cols + col), tile.rows, tile.cols, cols);
    });
  }

  void recast_tiles(int set, int thread) {
    const std::int64_t cols = problem_.cols;
    each_tile(thread, [&](const TransposedTile& tile, std::int64_t row, std::int64_t col) {
      recast_tile(array<std::uint8_t>(2, set, col * tile.q_stride + row),
                  array<float>(3, set, col * tile.scale_stride + row / kCastBlock),
                  array<std::uint8_t>(0, set, row * cols + col),
                  array<float>(1, set, row * cast_blocks(cols) + col / kCastBlock), tile);
    });
  }

  // Reads each row once and writes its copies.
  void permute_rows(int set, std::int64_t begin, std::int64_t end) {
    const std::int64_t cols = problem_.cols;
    for (std::int64_t row = begin; row < end; ++row) {
      const auto* place = array<std::int32_t>(1, set, row * problem_.top_k);
      for (std::int64_t j = 0; j < problem_.top_k; ++j) {
        std::memcpy(array(2, set, place[j] * cols), array(0, set, row * cols),
                    static_cast<std::size_t>(cols) * sizeof(T));
      }
    }
  }

  StepProblem problem_;
  std::uint64_t seed_;
  int threads_;
  std::int64_t partial_cols_;  // whole cache lines
  std::vector<StepArray> roles_;
  int sets_;
  std::vector<HostOperand> arrays_;
  std::vector<HostBuffer> partials_;  // of dw, and of db: fp32[threads, partial_cols_]
};

std::string why_not(const StepProblem& problem) {
  if (step_takes(problem.kernel, problem.dtype)) return "";
  return "OpenMP: " + std::string(to_string(problem.kernel)) + " isn't of " +
         std::string(to_string(problem.dtype));
}

std::unique_ptr<Operation> make(const StepProblem& problem, const OperandOptions& options) {
  (void)step_shape(problem);  // checks the sizes
  if (std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  if (problem.dtype == DType::fp32) return std::make_unique<OpenMpStep<float>>(problem, options);
  return std::make_unique<OpenMpStep<Bf16>>(problem, options);  // also fp8, of which nothing is a T
}

}  // namespace

StepBackend openmp_step_backend() {
  return {"openmp", DeviceKind::cpu, why_not, make};
}

}  // namespace trainmeter
