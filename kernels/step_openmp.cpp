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
    fill_step_array(problem_, array, data, seed_);
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
      case StepKernel::rmsnorm: {
        using A = arrays::RmsNorm;
        return rmsnorm(array(A::y, set, at), array(A::x, set, at), array(A::w, set, 0), rows,
                       p.cols);
      }
      case StepKernel::layernorm: {
        using A = arrays::LayerNorm;
        return layernorm(array(A::y, set, at), array(A::x, set, at), array(A::w, set, 0),
                         array(A::b, set, 0), rows, p.cols);
      }
      case StepKernel::gelu: {
        using A = arrays::Gelu;
        return gelu(array(A::y, set, at), array(A::x, set, at), rows * p.cols);
      }
      case StepKernel::swiglu: {
        using A = arrays::Swiglu;
        return swiglu(array(A::y, set, at), array(A::x, set, 2 * at), rows, p.cols);
      }
      case StepKernel::rope: {
        using A = arrays::Rope;
        const std::int64_t head = begin * p.heads * p.head_dim;
        return rope(array(A::y, set, head), array(A::x, set, head),
                    array<float>(A::table, set, begin * p.head_dim), rows, p.heads, p.head_dim);
      }
      case StepKernel::cast_fp8: {
        using A = arrays::CastFp8;
        return cast_fp8(array<std::uint8_t>(A::q, set, at),
                        array<float>(A::s, set, begin * cast_blocks(p.cols)), array(A::x, set, at),
                        rows, p.cols);
      }
      case StepKernel::cast_fp8_transpose:
        return cast_tiles(set, thread);
      case StepKernel::cast_fp8_block:
        return cast_squares(set, thread);
      case StepKernel::recast_fp8:
        return recast_tiles(set, thread);
      case StepKernel::permute:
        return permute_rows(set, begin, begin + rows);
      case StepKernel::residual_add: {
        using A = arrays::ResidualAdd;
        return residual_add(array(A::y, set, at), array(A::a, set, at), array(A::b, set, at),
                            rows * p.cols);
      }
      case StepKernel::cross_entropy: {
        using A = arrays::CrossEntropy;
        return cross_entropy(array<float>(A::loss, set, begin), array(A::gradient, set, at),
                             array(A::x, set, at), array<std::int32_t>(A::target, set, begin), rows,
                             p.cols);
      }
      case StepKernel::adamw: {
        using A = arrays::AdamW;
        return adamw(array<float>(A::weight, set, begin), array<float>(A::m, set, begin),
                     array<float>(A::v, set, begin),
                     arrays_.size() > A::rounded ? array<Bf16>(A::rounded, set, begin) : nullptr,
                     array<float>(A::gradient, set, begin), rows);
      }
      case StepKernel::rmsnorm_backward:
      case StepKernel::layernorm_backward:
        return norm_backward(set, thread, at, rows);
      case StepKernel::gelu_backward: {
        using A = arrays::GeluBackward;
        return gelu_backward(array(A::dx, set, at), array(A::x, set, at), array(A::dy, set, at),
                             rows * p.cols);
      }
      case StepKernel::swiglu_backward: {
        using A = arrays::SwigluBackward;
        return swiglu_backward(array(A::dx, set, 2 * at), array(A::x, set, 2 * at),
                               array(A::dy, set, at), rows, p.cols);
      }
      case StepKernel::rope_backward: {
        using A = arrays::RopeBackward;
        const std::int64_t head = begin * p.heads * p.head_dim;
        return rope_backward(array(A::dx, set, head), array(A::dy, set, head),
                             array<float>(A::table, set, begin * p.head_dim), rows, p.heads,
                             p.head_dim);
      }
      case StepKernel::permute_backward: {
        using A = arrays::PermuteBackward;
        return permute_backward(array(A::dx, set, at), array(A::dy, set, 0),
                                array<std::int32_t>(A::place, set, begin * p.top_k), rows, p.cols,
                                p.top_k);
      }
      case StepKernel::unpermute: {
        using A = arrays::Unpermute;
        return unpermute(array(A::y, set, at), array(A::x, set, 0), routed(set, begin, rows));
      }
      case StepKernel::unpermute_backward: {
        using A = arrays::UnpermuteBackward;
        return unpermute_backward(array(A::dx, set, 0), array<float>(A::dw, set, begin * p.top_k),
                                  array(A::x, set, 0), array(A::dy, set, at),
                                  routed(set, begin, rows));
      }
      case StepKernel::topk_softmax: {
        using A = arrays::TopkSoftmax;
        return topk_softmax(array<std::int32_t>(A::chosen, set, begin * p.top_k),
                            array<float>(A::w, set, begin * p.top_k),
                            array(A::x, set, begin * p.experts), {rows, p.experts, p.top_k});
      }
      case StepKernel::topk_softmax_backward: {
        using A = arrays::TopkSoftmaxBackward;
        return topk_softmax_backward(array(A::dx, set, begin * p.experts),
                                     array<std::int32_t>(A::chosen, set, begin * p.top_k),
                                     array<float>(A::w, set, begin * p.top_k),
                                     array<float>(A::dw, set, begin * p.top_k),
                                     {rows, p.experts, p.top_k});
      }
      case StepKernel::topk_sigmoid: {
        using A = arrays::TopkSigmoid;
        return topk_sigmoid({array<std::int32_t>(A::chosen, set, begin * p.top_k),
                             array<float>(A::w, set, begin * p.top_k),
                             array<float>(A::affinity, set, begin * p.top_k)},
                            array(A::x, set, begin * p.experts), array<float>(A::bias, set, 0),
                            {rows, p.experts, p.top_k, p.groups, p.group_limit});
      }
      case StepKernel::topk_sigmoid_backward: {
        using A = arrays::TopkSigmoidBackward;
        return topk_sigmoid_backward(array(A::dx, set, begin * p.experts),
                                     array<std::int32_t>(A::chosen, set, begin * p.top_k),
                                     array<float>(A::affinity, set, begin * p.top_k),
                                     array<float>(A::dw, set, begin * p.top_k),
                                     {rows, p.experts, p.top_k});
      }
    }
  }

  [[nodiscard]] RoutedRows routed(int set, std::int64_t begin, std::int64_t rows) const {
    const std::int64_t first = begin * problem_.top_k;
    using A = arrays::Unpermute;  // and UnpermuteBackward
    return {array<std::int32_t>(A::place, set, first), array<float>(A::w, set, first), rows,
            problem_.cols, problem_.top_k};
  }

  // Whether this output, the weights' or the biases' gradient, is summed over the threads.
  [[nodiscard]] bool has_partial(std::size_t output) const {
    return output >= arrays::LayerNormBackward::dw &&
           (problem_.kernel == StepKernel::rmsnorm_backward ||
            problem_.kernel == StepKernel::layernorm_backward);
  }

  // Each thread sums these gradients over its rows, then over the threads for its columns.
  void norm_backward(int set, int thread, std::int64_t at, std::int64_t rows) {
    using A = arrays::LayerNormBackward;  // RmsNormBackward has no db
    const std::int64_t cols = problem_.cols;
    std::vector<float*> own;
    for (const HostBuffer& partial : partials_) {
      own.push_back(partial.as<float>() + thread * partial_cols_);
      std::fill_n(own.back(), cols, 0.0F);
    }
    if (own.size() == 1) {
      rmsnorm_backward(array(A::dx, set, at), own[0], array(A::x, set, at), array(A::w, set, 0),
                       array(A::dy, set, at), rows, cols);
    } else {
      layernorm_backward(array(A::dx, set, at), own[0], own[1], array(A::x, set, at),
                         array(A::w, set, 0), array(A::dy, set, at), rows, cols);
    }
#pragma omp barrier
    for (std::size_t i = 0; i < partials_.size(); ++i) {
      const float* const partial = partials_[i].as<float>();
      auto* const sums = array<float>(A::dw + i, set, 0);
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
    using A = arrays::CastFp8Transpose;
    const std::int64_t cols = problem_.cols;
    each_tile(thread, [&](const TransposedTile& tile, std::int64_t row, std::int64_t col) {
      for (std::int64_t r = row; r < row + tile.rows; ++r) {
        cast_fp8(array<std::uint8_t>(A::q, set, r * cols + col),
                 array<float>(A::s, set, r * cast_blocks(cols) + col / kCastBlock),
                 array(A::x, set, r * cols + col), 1, tile.cols);
      }
      cast_transposed(array<std::uint8_t>(A::q_t, set, col * tile.q_stride + row),
                      array<float>(A::s_t, set, col * tile.scale_stride + row / kCastBlock),
                      array(A::x, set, row * cols + col), tile);
    });
  }

  void cast_squares(int set, int thread) {
    using A = arrays::CastFp8Block;
    const std::int64_t cols = problem_.cols;
    each_tile(thread, [&](const TransposedTile& tile, std::int64_t row, std::int64_t col) {
      const std::int64_t block = row / kCastBlock * cast_blocks(cols) + col / kCastBlock;
      cast_square(array<std::uint8_t>(A::q, set, row * cols + col), array<float>(A::s, set, block),
                  array(A::x, set, row * cols + col), tile.rows, tile.cols, cols);
    });
  }

  void recast_tiles(int set, int thread) {
    using A = arrays::RecastFp8;
    const std::int64_t cols = problem_.cols;
    each_tile(thread, [&](const TransposedTile& tile, std::int64_t row, std::int64_t col) {
      recast_tile(array<std::uint8_t>(A::q_t, set, col * tile.q_stride + row),
                  array<float>(A::s_t, set, col * tile.scale_stride + row / kCastBlock),
                  array<std::uint8_t>(A::q, set, row * cols + col),
                  array<float>(A::s, set, row * cast_blocks(cols) + col / kCastBlock), tile);
    });
  }

  // Reads each row once and writes its copies.
  void permute_rows(int set, std::int64_t begin, std::int64_t end) {
    using A = arrays::Permute;
    const std::int64_t cols = problem_.cols;
    for (std::int64_t row = begin; row < end; ++row) {
      const auto* place = array<std::int32_t>(A::place, set, row * problem_.top_k);
      for (std::int64_t j = 0; j < problem_.top_k; ++j) {
        std::memcpy(array(A::y, set, place[j] * cols), array(A::x, set, row * cols),
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
