// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The processes of an MPI run, and MPI_Allreduce between them. A process that mpirun didn't start
// is a world of one.
#include "kernels/collective.hpp"
#include "kernels/collective_host.hpp"
#include "kernels/collective_shm.hpp"
#include "kernels/launch.hpp"
#include "kernels/rank_cores.hpp"

#include <mpi.h>

#include <array>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <utility>
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

// MPI_Allreduce of payloads of `problem`.
HostAllReduces::Reduce mpi_all_reduce(const std::shared_ptr<Session>& session,
                                      const AllReduceProblem& problem) {
  const DType type = problem.dtype;
  if (type != DType::fp64 && type != DType::fp32 && type != DType::bf16) {
    throw Unavailable("MPI: all-reduce is in fp64, fp32 and bf16, not " +
                      std::string(to_string(type)));
  }
  const std::int64_t count = problem.bytes / size_of(type);
  if (count > std::numeric_limits<int>::max()) {
    throw Unavailable("MPI: one call takes at most 2^31 - 1 elements");
  }
  MPI_Datatype elements = MPI_UINT16_T;
  if (type == DType::fp64) elements = MPI_DOUBLE;
  if (type == DType::fp32) elements = MPI_FLOAT;
  const MPI_Op sum = type == DType::bf16 ? session->sum_bf16 : MPI_SUM;
  return [session, count, elements, sum](const void* send, void* receive) {
    require(MPI_Allreduce(send, receive, static_cast<int>(count), elements, sum, MPI_COMM_WORLD),
            "MPI_Allreduce");
  };
}

std::vector<std::string> gather_texts(int ranks, const std::string& mine) {
  const int length = static_cast<int>(mine.size());
  std::vector<int> lengths(static_cast<std::size_t>(ranks));
  require(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD),
          "MPI_Allgather");
  std::vector<int> begins(lengths.size());
  std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
  std::string together(static_cast<std::size_t>(begins.back() + lengths.back()), ' ');
  require(MPI_Allgatherv(mine.data(), length, MPI_CHAR, together.data(), lengths.data(),
                         begins.data(), MPI_CHAR, MPI_COMM_WORLD),
          "MPI_Allgatherv");
  std::vector<std::string> all;
  for (std::size_t rank = 0; rank < lengths.size(); ++rank) {
    all.push_back(together.substr(static_cast<std::size_t>(begins[rank]),
                                  static_cast<std::size_t>(lengths[rank])));
  }
  return all;
}

class MpiWorld final : public World {
 public:
  MpiWorld() : session_(session()) {
    if (session_->ranks != launched().ranks) {
      throw Unavailable("MPI: the launcher started " + std::to_string(launched().ranks) +
                        " processes, but MPI sees " + std::to_string(session_->ranks));
    }
    const Gather texts = [this](const std::string& mine) { return gather(mine); };
    here_ = take_own_cores(session_->rank, texts);
    if (least_of(here_.ranks) == session_->ranks) {
      group_ = make_shm_group(session_->rank, session_->ranks, here_.crowded, texts);
    }
  }

  [[nodiscard]] int ranks() const override { return session_->ranks; }
  [[nodiscard]] int rank() const override { return session_->rank; }
  [[nodiscard]] std::string how() const override {
    return "MPI, " + std::to_string(ranks()) + (ranks() == 1 ? " process" : " processes");
  }

  [[nodiscard]] std::vector<std::string> backends() const override {
    return group_ == nullptr ? std::vector<std::string>{"mpi"}
                             : std::vector<std::string>{"shm", "mpi"};
  }

  std::vector<std::string> gather(const std::string& mine) override {
    return gather_texts(session_->ranks, mine);
  }
  void barrier() override { require(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

  std::int64_t decide(std::int64_t value) override {
    require(MPI_Bcast(&value, 1, MPI_INT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast");
    return value;
  }

  double slowest(double seconds) override { return slowest_of(seconds); }

  std::int64_t total(std::int64_t value) override {
    std::int64_t sum = 0;
    require(MPI_Allreduce(&value, &sum, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD), "MPI_Allreduce");
    return sum;
  }

  bool all(bool value) override { return least_of(value ? 1 : 0) == 1; }

  void give_up() override {
    if (group_ != nullptr) group_->give_up();
  }

  std::unique_ptr<Operation> all_reduce(std::string_view backend, const AllReduceProblem& problem,
                                        const OperandOptions& options) override {
    return operations_.make(
        *this, here_.ranks, problem, options,
        backend == "shm" ? shm_all_reduce(*group_, problem) : mpi_all_reduce(session_, problem));
  }

 private:
  std::shared_ptr<Session> session_;
  RanksOnHost here_;
  std::unique_ptr<ShmGroup> group_;  // none where the ranks are on several hosts
  HostAllReduces operations_;
};

}  // namespace

std::unique_ptr<World> make_mpi_world() {
  return std::make_unique<MpiWorld>();
}

}  // namespace trainmeter
