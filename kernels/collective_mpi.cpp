// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The processes of an MPI run, and MPI's collectives between them. A process that mpirun didn't
// start is a world of one.
#include "kernels/call_watch.hpp"
#include "kernels/collective.hpp"
#include "kernels/collective_host.hpp"
#include "kernels/collective_shm.hpp"
#include "kernels/keyed_hash.hpp"
#include "kernels/launch.hpp"
#include "kernels/rank_cores.hpp"
#include "kernels/rendezvous.hpp"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
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

std::int64_t least_of(std::int64_t value) {
  std::int64_t least = 0;
  require(MPI_Allreduce(&value, &least, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD), "MPI_Allreduce");
  return least;
}

// The communicator of one group.
class Communicator {
 public:
  Communicator(std::shared_ptr<Session> session, const RankGroup& group,
               std::shared_ptr<CallWatch> watch)
      : session_(std::move(session)), watch_(std::move(watch)) {
    require(MPI_Comm_split(MPI_COMM_WORLD, group.members.front(), group.me, &comm_),
            "MPI_Comm_split");
    require(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI error handler");
  }
  ~Communicator() { MPI_Comm_free(&comm_); }
  Communicator(const Communicator&) = delete;  // owns it
  Communicator& operator=(const Communicator&) = delete;
  [[nodiscard]] MPI_Comm get() const { return comm_; }
  [[nodiscard]] MPI_Op sum_bf16() const { return session_->sum_bf16; }
  [[nodiscard]] CallWatch* watch() const { return watch_.get(); }

 private:
  std::shared_ptr<Session> session_;
  std::shared_ptr<CallWatch> watch_;  // none: calls last as long as they do
  MPI_Comm comm_ = MPI_COMM_NULL;
};

// What is only moved is as many bytes as it has, whatever they mean.
MPI_Datatype element_type(const CollectiveProblem& problem) {
  switch (size_of(problem.dtype)) {
    case 8:
      return adds(problem.what) ? MPI_DOUBLE : MPI_UINT64_T;
    case 4:
      return adds(problem.what) ? MPI_FLOAT : MPI_UINT32_T;
    case 2:
      return MPI_UINT16_T;
    default:
      return MPI_UINT8_T;
  }
}

int mpi_count(std::int64_t count) {
  if (count > std::numeric_limits<int>::max()) {
    throw Unavailable("MPI: one call takes at most 2^31 - 1 elements");
  }
  return static_cast<int>(count);
}

struct MpiCall {
  std::shared_ptr<Communicator> on;
  CollectiveKind what;
  bool in_place;
  MPI_Datatype type;
  MPI_Op sum;
  std::size_t bytes;       // of the payload
  int count, part;         // elements: of the payload, of each rank's equal part
  int rank, next, before;  // the neighbours of sendrecv
  std::vector<int> send_counts, send_at, receive_counts, receive_at;  // of alltoallv

  [[nodiscard]] int call(const void* send, void* receive) const {
    using enum CollectiveKind;
    const MPI_Comm comm = on->get();
    const CallWatch::Call waiting(on->watch());
    const void* const from = in_place ? MPI_IN_PLACE : send;
    switch (what) {
      case all_reduce:
        return MPI_Allreduce(from, receive, count, type, sum, comm);
      case all_gather:
        return MPI_Allgather(from, part, type, receive, part, type, comm);
      case reduce_scatter:
        return MPI_Reduce_scatter_block(send, receive, part, type, sum, comm);
      case broadcast:  // MPI has one buffer: the root copies, as NCCL's root does
        if (rank == 0 && !in_place) std::memcpy(receive, send, bytes);
        return MPI_Bcast(receive, count, type, 0, comm);
      case reduce:
        return MPI_Reduce(rank == 0 ? from : send, receive, count, type, sum, 0, comm);
      case all_to_all:
        return MPI_Alltoall(from, part, type, receive, part, type, comm);
      case all_to_all_v:
        return MPI_Alltoallv(send, send_counts.data(), send_at.data(), type, receive,
                             receive_counts.data(), receive_at.data(), type, comm);
      case send_recv:
        if (in_place) {
          return MPI_Sendrecv_replace(receive, count, type, next, 0, before, 0, comm,
                                      MPI_STATUS_IGNORE);
        }
        return MPI_Sendrecv(send, count, type, next, 0, receive, count, type, before, 0, comm,
                            MPI_STATUS_IGNORE);
    }
    throw std::invalid_argument("no such collective");
  }
};

HostRun mpi_collective(const std::shared_ptr<Communicator>& on, const RankGroup& group,
                       const CollectiveProblem& problem) {
  const DType type = problem.dtype;
  require_sum("mpi", problem);
  if (problem.what == CollectiveKind::reduce_scatter && problem.in_place) {
    throw Unavailable("MPI: in place, reducescatter leaves its result elsewhere");
  }
  const int ranks = group.ranks();
  const CollectiveLayout layout = layout_of(problem, group.me, ranks);
  MpiCall call{.on = on,
               .what = problem.what,
               .in_place = problem.in_place,
               .type = element_type(problem),
               .sum = type == DType::bf16 ? on->sum_bf16() : MPI_SUM,
               .bytes = static_cast<std::size_t>(problem.bytes),
               .count = mpi_count(std::max(layout.send, layout.receive)),
               .part = mpi_count(layout.longest),
               .rank = group.me,
               .next = (group.me + 1) % ranks,
               .before = (group.me + ranks - 1) % ranks,
               .send_counts = {},
               .send_at = {},
               .receive_counts = {},
               .receive_at = {}};
  if (problem.what == CollectiveKind::reduce_scatter) call.part = mpi_count(layout.receive);
  if (problem.what == CollectiveKind::all_to_all_v) {
    for (const Piece& section : layout.sections) {
      call.send_counts.push_back(mpi_count(section.count));
      call.send_at.push_back(mpi_count(section.first));
    }
    for (const CollectiveLayout::Part& part : layout.parts) {
      call.receive_counts.push_back(mpi_count(part.at.count));
      call.receive_at.push_back(mpi_count(part.at.first));
    }
  }
  return {.run = [call = std::move(call)](
                     const void* send,
                     void* receive) { require(call.call(send, receive), "MPI collective"); },
          .notes = {}};
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

// Where the ranks look for each other when MPI doesn't come back: a port of rank 0's host, and a
// secret that MPI carries. Collective.
Launch meeting_place(const Session& session, const std::vector<std::string>& hosts) {
  Launch where = launched();
  const std::string port = network_bytes(static_cast<std::size_t>(free_port()));
  const std::string of_zero = gather_texts(session.ranks, port + nonce()).front();
  where.port = static_cast<int>(from_network_bytes(of_zero.data()));
  where.token = of_zero.substr(port.size());
  const bool one_host = std::ranges::all_of(hosts, [&](const auto& h) { return h == hosts[0]; });
  where.host = one_host ? "127.0.0.1" : hosts[0];
  return where;
}

class MpiWorld final : public World {
 public:
  MpiWorld(const Split& split, const Leave& leave) : session_(session()) {
    if (session_->ranks != launched().ranks) {
      throw Unavailable("MPI: the launcher started " + std::to_string(launched().ranks) +
                        " processes, but MPI sees " + std::to_string(session_->ranks));
    }
    const Gather texts = [this](const std::string& mine) { return gather(mine); };
    here_ = take_own_cores(session_->rank, texts);
    if (leave) watch_for_the_lost(leave);
    members_ = group_of(split, here_.hosts, session_->rank);
    const std::string& host = here_.hosts[static_cast<std::size_t>(session_->rank)];
    const std::vector<std::string> theirs = of_members(members_, here_.hosts);
    const bool near = std::ranges::all_of(theirs, [&](const auto& h) { return h == host; });
    if (least_of(near ? 1 : 0) == 1) share_memory(texts);
    communicator_ = std::make_shared<Communicator>(session_, members_, watch_);
  }

  [[nodiscard]] int ranks() const override { return session_->ranks; }
  [[nodiscard]] int rank() const override { return session_->rank; }
  [[nodiscard]] std::string how() const override {
    return "MPI, " + std::to_string(ranks()) + (ranks() == 1 ? " process" : " processes") + apart_;
  }

  [[nodiscard]] std::vector<std::string> backends() const override {
    return shared_ == nullptr ? std::vector<std::string>{"mpi"}
                              : std::vector<std::string>{"shm", "mpi"};
  }

  [[nodiscard]] const RankGroup& group() const override { return members_; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return here_.hosts; }

  std::vector<std::string> gather(const std::string& mine) override {
    const CallWatch::Call waiting(watch_.get());
    return gather_texts(session_->ranks, mine);
  }
  void barrier() override {
    const CallWatch::Call waiting(watch_.get());
    require(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
  }

  std::int64_t decide(std::int64_t value) override {
    const CallWatch::Call waiting(watch_.get());
    require(MPI_Bcast(&value, 1, MPI_INT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast");
    return value;
  }

  std::vector<double> each(double value) override {
    const CallWatch::Call waiting(watch_.get());
    std::vector<double> all(static_cast<std::size_t>(session_->ranks));
    require(MPI_Allgather(&value, 1, MPI_DOUBLE, all.data(), 1, MPI_DOUBLE, MPI_COMM_WORLD),
            "MPI_Allgather");
    return all;
  }

  std::int64_t total(std::int64_t value) override {
    const CallWatch::Call waiting(watch_.get());
    std::int64_t sum = 0;
    require(MPI_Allreduce(&value, &sum, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD), "MPI_Allreduce");
    return sum;
  }

  bool all(bool value) override {
    const CallWatch::Call waiting(watch_.get());
    return least_of(value ? 1 : 0) == 1;
  }

  void give_up() override {
    if (shared_ != nullptr) shared_->give_up();
  }

  std::unique_ptr<Operation> collective(std::string_view backend, const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    return operations_.make(*this, here_.ranks, problem, options,
                            backend == "shm" ? shm_collective(*shared_, problem)
                                             : mpi_collective(communicator_, members_, problem));
  }

 private:
  void share_memory(const Gather& texts) {
    try {
      shared_ = make_shm_group(members_, here_.crowded, texts);
      name_ranks(*shared_, members_.members, here_.hosts);
    } catch (const NotShared& error) {
      apart_ = "; no shared memory: " + std::string(error.what());
    }
  }

  void watch_for_the_lost(const Leave& leave) {
    const auto stuck = [this, leave, where = meeting_place(*session_, here_.hosts)] {
      const double timeout_s = rank_timeout_s();
      const std::string who = who_is_missing(where, here_.hosts, timeout_s);
      // The first to leave ends them all, by mpirun; rank 0 knows most.
      if (where.rank != 0) std::this_thread::sleep_for(std::chrono::seconds(1));
      give_up();
      leave(RankLost("MPI didn't come back within " + std::to_string(static_cast<int>(timeout_s)) +
                     " s; " + (who.empty() ? "all ranks still wait" : who)));
    };
    watch_ = std::make_shared<CallWatch>(rank_timeout_s(), stuck);
  }

  std::shared_ptr<Session> session_;
  RanksOnHost here_;
  RankGroup members_;
  std::unique_ptr<ShmGroup> shared_;  // of this rank's group; none where ranks are on several hosts
  std::string apart_;  // why there is none, where hosts of one name have none in common
  std::shared_ptr<Communicator> communicator_;
  HostCollectives operations_;
  std::shared_ptr<CallWatch> watch_;  // last: its thread uses the others
};

}  // namespace

std::unique_ptr<World> make_mpi_world(const Split& split, const Leave& leave) {
  return std::make_unique<MpiWorld>(split, leave);
}

}  // namespace trainmeter
