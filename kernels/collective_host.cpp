// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Payloads and the check of an all-reduce between processes.
#include "kernels/collective_host.hpp"

#include "kernels/host_operand.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// Elements that one seed fills, so that a rank can make another's data piece by piece.
constexpr std::int64_t kPiece = 1 << 20;

double roundoff(DType type) {
  if (type == DType::fp64) return 0x1p-53;
  if (type == DType::fp32) return 0x1p-24;
  return type == DType::fp16 ? 0x1p-11 : 0x1p-8;
}

double element(const void* data, DType type, std::int64_t index) {
  if (type == DType::fp64) return static_cast<const double*>(data)[index];
  if (type == DType::fp32) return static_cast<double>(static_cast<const float*>(data)[index]);
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[index];
  return static_cast<double>(type == DType::bf16 ? float_from_bf16(bits) : float_from_fp16(bits));
}

std::uint64_t seed_of(std::uint64_t seed, int rank, std::int64_t first) {
  return operand_seed(seed, rank, 0) + static_cast<std::uint64_t>(first / kPiece);
}

void poison(const HostOperand& operand) {  // all bits set is a NaN of each type
  std::fill_n(operand.as<unsigned char>(0), operand.bytes(), static_cast<unsigned char>(0xff));
}

}  // namespace

class HostPayloads {
 public:
  HostPayloads(World& world, int ranks_here, const AllReduceProblem& what,
               const OperandOptions& how)
      : problem(what), options(how), count(what.bytes / size_of(what.dtype)) {
    // Whether it fits is decided together: a rank that leaves alone would leave the others waiting.
    std::int64_t sets = 0;
    std::string reason;
    try {
      sets = sets_for(2 * operand_stride(what.bytes), how, host_bytes_for_operands() / ranks_here);
    } catch (const Unavailable& error) {
      reason = error.what();
    }
    sets = static_cast<std::int64_t>(-world.slowest(-static_cast<double>(sets)));
    if (sets == 0) {
      throw Unavailable(reason.empty() ? "another rank has too little memory" : reason);
    }
    send.emplace(what.bytes, static_cast<int>(sets));
    receive.emplace(what.bytes, static_cast<int>(sets));
    for (std::int64_t first = 0; first < count; first += kPiece) {
      const std::int64_t elements = std::min(kPiece, count - first);
      fill_random(send->as<char>(0) + first * size_of(what.dtype), elements, what.dtype,
                  seed_of(how.seed, world.rank(), first));
    }
    poison(*receive);
    send->repeat_first();
    receive->repeat_first();
  }

  [[nodiscard]] bool same(const AllReduceProblem& what, const OperandOptions& how) const {
    return problem.dtype == what.dtype && problem.bytes == what.bytes &&
           options.rotate_bytes == how.rotate_bytes && options.seed == how.seed;
  }

  AllReduceProblem problem;
  OperandOptions options;
  std::int64_t count;
  std::optional<HostOperand> send;  // made when the ranks have agreed on the number of sets
  std::optional<HostOperand> receive;
};

namespace {

class HostAllReduce final : public Operation {
 public:
  HostAllReduce(World& world, std::shared_ptr<HostPayloads> payloads, int shift,
                HostAllReduces::Reduce reduce)
      : world_(world), on_(std::move(payloads)), shift_(shift), reduce_(std::move(reduce)) {}

  void run(int set) override {
    const int shifted = (set + shift_) % sets();
    reduce_(on_->send->data(shifted), on_->receive->data(shifted));
  }

  // Every element against the sum in fp64 of what every rank holds. Adding `ranks` numbers in any
  // order errs by less than (ranks - 1) u times the sum of their sizes, to first order (Higham
  // 2002, 4.2); one u more covers the higher orders and the reference. All ranks report the worst.
  Check verify() override {
    poison(*on_->receive);
    reduce_(on_->send->data(0), on_->receive->data(0));
    const DType type = on_->problem.dtype;
    double worst = 0;
    std::int64_t wrong = 0;
    std::vector<char> piece(static_cast<std::size_t>(kPiece * size_of(type)));
    std::vector<double> sum(static_cast<std::size_t>(kPiece));
    std::vector<double> size(static_cast<std::size_t>(kPiece));
    for (std::int64_t first = 0; first < on_->count; first += kPiece) {
      const std::int64_t elements = std::min(kPiece, on_->count - first);
      std::fill(sum.begin(), sum.end(), 0.0);
      std::fill(size.begin(), size.end(), 0.0);
      for (int rank = 0; rank < world_.ranks(); ++rank) {
        fill_random(piece.data(), elements, type, seed_of(on_->options.seed, rank, first));
        for (std::int64_t i = 0; i < elements; ++i) {
          const double x = element(piece.data(), type, i);
          sum[i] += x;
          size[i] += std::abs(x);
        }
      }
      for (std::int64_t i = 0; i < elements; ++i) {
        const double value = element(on_->receive->data(0), type, first + i);
        const double allowed =
            world_.ranks() * roundoff(type) * size[i] + std::numeric_limits<double>::min();
        const double error = std::abs(value - sum[i]) / allowed;
        worst =
            std::max(worst, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
        if (!(error < 1)) ++wrong;
      }
    }
    worst = world_.slowest(worst);
    return {.ok = worst < 1,
            .error = worst,
            .bound = 1,
            .how = "all elements on every rank, fp64",
            .wrong = world_.total(wrong)};
  }

  [[nodiscard]] int sets() const override { return on_->send->sets(); }

 private:
  World& world_;
  std::shared_ptr<HostPayloads> on_;
  int shift_;
  HostAllReduces::Reduce reduce_;
};

}  // namespace

std::unique_ptr<Operation> HostAllReduces::make(World& world, int ranks_here,
                                                const AllReduceProblem& problem,
                                                const OperandOptions& options, Reduce reduce) {
  if (problem.bytes < 1 || problem.bytes % size_of(problem.dtype) != 0) {
    throw std::invalid_argument("bytes is a positive multiple of the element size, not " +
                                std::to_string(problem.bytes));
  }
  std::shared_ptr<HostPayloads> payloads = last_.lock();
  const bool second = payloads != nullptr && payloads->same(problem, options);
  if (!second) payloads = std::make_shared<HostPayloads>(world, ranks_here, problem, options);
  last_ = payloads;
  const int shift = second ? payloads->send->sets() / 2 : 0;
  return std::make_unique<HostAllReduce>(world, std::move(payloads), shift, std::move(reduce));
}

}  // namespace trainmeter
