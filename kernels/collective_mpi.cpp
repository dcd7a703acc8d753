// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The processes of an MPI run, and MPI_Allreduce between them. A process that mpirun didn't start
// is a world of one.
#include "kernels/collective.hpp"
#include "kernels/host_operand.hpp"
#include "kernels/random.hpp"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

void require(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  throw std::runtime_error(std::string(what) + ": " +
                           std::string(text.data(), static_cast<std::size_t>(length)));
}

// MPI from the first World or operation to the last. MPI allows one start in a process.
class Session {
 public:
  Session() {
    int started = 0;
    int ended = 0;
    require(MPI_Initialized(&started), "MPI_Initialized");
    require(MPI_Finalized(&ended), "MPI_Finalized");
    if (ended != 0) throw Unavailable("MPI: it was finalised and cannot start again");
    if (started == 0) {
      int provided = 0;
      require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init");
      ours_ = true;
    }
    // Errors come back as codes, and leave as exceptions with a text.
    require(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI error handler");
    require(MPI_Comm_size(MPI_COMM_WORLD, &ranks), "MPI_Comm_size");
    require(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    MPI_Comm node = MPI_COMM_NULL;
    require(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
    require(MPI_Comm_size(node, &ranks_on_node), "MPI_Comm_size");
    MPI_Comm_free(&node);
    require(MPI_Op_create(add_bf16, 1, &sum_bf16), "MPI_Op_create");
  }

  ~Session() {
    MPI_Op_free(&sum_bf16);
    if (ours_) MPI_Finalize();
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int ranks = 1;
  int rank = 0;
  int ranks_on_node = 1;
  MPI_Op sum_bf16 = MPI_OP_NULL;

 private:
  // Each step rounds to bf16, as a ring in bf16 does.
  static void add_bf16(void* in, void* inout, int* count, MPI_Datatype* /*type*/) {
    const auto* x = static_cast<const std::uint16_t*>(in);
    auto* y = static_cast<std::uint16_t*>(inout);
    for (int i = 0; i < *count; ++i) {
      y[i] = bf16_from_float(float_from_bf16(x[i]) + float_from_bf16(y[i]));
    }
  }

  bool ours_ = false;
};

std::shared_ptr<Session> session() {
  static std::mutex mutex;
  static std::weak_ptr<Session> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Session> shared = current.lock();
  if (!shared) {
    shared = std::make_shared<Session>();
    current = shared;
  }
  return shared;
}

double slowest_of(double value) {
  double most = 0;
  require(MPI_Allreduce(&value, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD), "MPI_Allreduce");
  return most;
}

std::int64_t least_of(std::int64_t value) {
  std::int64_t least = 0;
  require(MPI_Allreduce(&value, &least, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD), "MPI_Allreduce");
  return least;
}

// Elements that one seed fills, so that a rank can make another's data piece by piece.
constexpr std::int64_t kPiece = 1 << 20;

class MpiAllReduce final : public Operation {
 public:
  MpiAllReduce(std::shared_ptr<Session> session, const AllReduceProblem& problem,
               const OperandOptions& options)
      : session_(std::move(session)),
        dtype_(problem.dtype),
        count_(problem.bytes / size_of(problem.dtype)),
        seed_(options.seed) {
    // Whether it fits is decided together: a rank that leaves alone would leave the others waiting.
    std::int64_t sets = 0;
    std::string reason;
    try {
      sets = sets_for(2 * operand_stride(problem.bytes), options,
                      host_bytes_for_operands() / session_->ranks_on_node);
    } catch (const Unavailable& error) {
      reason = error.what();
    }
    sets = least_of(sets);
    if (sets == 0) {
      throw Unavailable("MPI: " + (reason.empty() ? "another rank has too little memory" : reason));
    }
    send_.emplace(problem.bytes, static_cast<int>(sets));
    receive_.emplace(problem.bytes, static_cast<int>(sets));
    for (std::int64_t first = 0; first < count_; first += kPiece) {
      const std::int64_t elements = std::min(kPiece, count_ - first);
      fill_random(send_->as<char>(0) + first * size_of(dtype_), elements, dtype_,
                  seed_of(session_->rank, first));
    }
    poison_first();
    send_->repeat_first();
    receive_->repeat_first();
  }

  void run(int set) override {
    require(MPI_Allreduce(send_->data(set), receive_->data(set), static_cast<int>(count_), type(),
                          dtype_ == DType::bf16 ? session_->sum_bf16 : MPI_SUM, MPI_COMM_WORLD),
            "MPI_Allreduce");
  }

  // Every element against the sum in fp64 of what every rank holds. Adding `ranks` numbers in any
  // order errs by less than (ranks - 1) u times the sum of their sizes, to first order (Higham
  // 2002, 4.2); one u more covers the higher orders and the reference. All ranks report the worst.
  Check verify() override {
    poison_first();
    run(0);
    double worst = 0;
    std::vector<char> piece(static_cast<std::size_t>(kPiece * size_of(dtype_)));
    std::vector<double> sum(static_cast<std::size_t>(kPiece));
    std::vector<double> size(static_cast<std::size_t>(kPiece));
    for (std::int64_t first = 0; first < count_; first += kPiece) {
      const std::int64_t elements = std::min(kPiece, count_ - first);
      std::fill(sum.begin(), sum.end(), 0.0);
      std::fill(size.begin(), size.end(), 0.0);
      for (int rank = 0; rank < session_->ranks; ++rank) {
        fill_random(piece.data(), elements, dtype_, seed_of(rank, first));
        for (std::int64_t i = 0; i < elements; ++i) {
          const double x = element(piece.data(), i);
          sum[i] += x;
          size[i] += std::abs(x);
        }
      }
      for (std::int64_t i = 0; i < elements; ++i) {
        const double value = element(receive_->data(0), first + i);
        const double allowed =
            session_->ranks * roundoff() * size[i] + std::numeric_limits<double>::min();
        const double error = std::abs(value - sum[i]) / allowed;
        worst =
            std::max(worst, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
      }
    }
    worst = slowest_of(worst);
    return {worst < 1, worst, 1, "all elements on every rank, fp64"};
  }

  [[nodiscard]] int sets() const override { return send_->sets(); }

 private:
  [[nodiscard]] std::uint64_t seed_of(int rank, std::int64_t first) const {
    return operand_seed(seed_, rank, 0) + static_cast<std::uint64_t>(first / kPiece);
  }

  [[nodiscard]] MPI_Datatype type() const {
    if (dtype_ == DType::fp64) return MPI_DOUBLE;
    return dtype_ == DType::fp32 ? MPI_FLOAT : MPI_UINT16_T;
  }

  [[nodiscard]] double roundoff() const {
    if (dtype_ == DType::fp64) return 0x1p-53;
    return dtype_ == DType::fp32 ? 0x1p-24 : 0x1p-8;
  }

  [[nodiscard]] double element(const void* data, std::int64_t index) const {
    if (dtype_ == DType::fp64) return static_cast<const double*>(data)[index];
    if (dtype_ == DType::fp32) return static_cast<double>(static_cast<const float*>(data)[index]);
    return static_cast<double>(float_from_bf16(static_cast<const std::uint16_t*>(data)[index]));
  }

  void poison_first() const {  // all bits set is a NaN of each type
    std::fill_n(receive_->as<unsigned char>(0), receive_->bytes(),
                static_cast<unsigned char>(0xff));
  }

  std::shared_ptr<Session> session_;
  DType dtype_;
  std::int64_t count_;
  std::uint64_t seed_;
  std::optional<HostOperand> send_;  // made when the ranks have agreed on the number of sets
  std::optional<HostOperand> receive_;
};

class MpiWorld final : public World {
 public:
  MpiWorld() : session_(session()) {
    if (session_->ranks != ranks_started()) {
      throw Unavailable("MPI: the launcher started " + std::to_string(ranks_started()) +
                        " processes, but MPI sees " + std::to_string(session_->ranks));
    }
  }

  [[nodiscard]] int ranks() const override { return session_->ranks; }
  [[nodiscard]] int rank() const override { return session_->rank; }
  [[nodiscard]] std::string how() const override {
    return "MPI, " + std::to_string(ranks()) + (ranks() == 1 ? " process" : " processes");
  }

  void barrier() override { require(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

  std::int64_t decide(std::int64_t value) override {
    require(MPI_Bcast(&value, 1, MPI_INT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast");
    return value;
  }

  double slowest(double seconds) override { return slowest_of(seconds); }

  bool all(bool value) override { return least_of(value ? 1 : 0) == 1; }

  std::unique_ptr<Operation> all_reduce(const AllReduceProblem& problem,
                                        const OperandOptions& options) override {
    const DType type = problem.dtype;
    if (type != DType::fp64 && type != DType::fp32 && type != DType::bf16) {
      throw Unavailable("MPI: all-reduce is in fp64, fp32 and bf16, not " +
                        std::string(to_string(type)));
    }
    if (problem.bytes < 1 || problem.bytes % size_of(type) != 0) {
      throw std::invalid_argument("bytes is a positive multiple of the element size, not " +
                                  std::to_string(problem.bytes));
    }
    if (problem.bytes / size_of(type) > std::numeric_limits<int>::max()) {
      throw Unavailable("MPI: one call takes at most 2^31 - 1 elements");
    }
    return std::make_unique<MpiAllReduce>(session_, problem, options);
  }

 private:
  std::shared_ptr<Session> session_;
};

}  // namespace

std::unique_ptr<World> make_mpi_world() {
  return std::make_unique<MpiWorld>();
}

}  // namespace trainmeter
