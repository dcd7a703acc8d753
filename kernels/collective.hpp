// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Collectives between ranks: by our own shared memory, MPI and gloo between processes, by NCCL and
// our own over peer memory between the GPUs that one process drives.
#pragma once

#include "kernels/collective_layout.hpp"
#include "kernels/operation.hpp"
#include "kernels/rank_groups.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// A rank is gone, stuck, or gave up; the text names it. The ranks can't go on together.
class RankLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The signal that is to end this process; 0: none so far.
using Interrupt = std::function<int()>;

// That signal came while the ranks met.
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(int number);
  int signal;
};

// Every rank's text, by rank, on every rank. Collective.
using Gather = std::function<std::vector<std::string>(const std::string& mine)>;

// The ranks of this run. On a CPU one process is one rank; on GPUs one process drives them all, or
// each one its own.
class World {
 public:
  virtual ~World() = default;
  [[nodiscard]] virtual int ranks() const = 0;        // all that were started
  [[nodiscard]] virtual int rank() const = 0;         // of this process; 0 writes the record
  [[nodiscard]] virtual std::string how() const = 0;  // "MPI, 2 processes", "one process, 8 GPUs"
  [[nodiscard]] virtual std::vector<std::string> backends() const = 0;  // of collective()
  [[nodiscard]] virtual const RankGroup& group() const = 0;  // a collective's, of this process
  [[nodiscard]] virtual const std::vector<std::string>& hosts() const = 0;  // by rank

  virtual std::vector<std::string> gather(const std::string& mine) = 0;
  virtual void barrier() = 0;
  virtual std::int64_t decide(std::int64_t value) = 0;  // rank 0's value, on every rank
  virtual std::vector<double> each(double value) = 0;   // every rank's, by rank, on every rank
  virtual std::int64_t total(std::int64_t value) = 0;   // the sum over the ranks, on every rank
  virtual bool all(bool value) = 0;                     // true where every rank says true
  [[nodiscard]] virtual int gpu() const { return 0; }   // that this process drives, or the first
  // Queues on a stream of this process' GPU what no rank's stream passes before all are there;
  // nothing where one process has all.
  virtual void align(void* /*stream*/) {}
  virtual void give_up() {}  // this rank can't go on: tells those that wait for it, where it can
  // All groups do it at once. Unavailable where the backend doesn't have it, std::invalid_argument
  // where the sizes don't fit.
  virtual std::unique_ptr<Operation> collective(std::string_view backend, const CollectiveProblem&,
                                                const OperandOptions&) = 0;

  [[nodiscard]] double slowest(double seconds);  // the largest over the ranks, on every rank
};

// Ends this process where a rank is lost and the process itself can't be told, since it waits in a
// library without time-outs; called by another thread.
using Leave = std::function<void(const RankLost&)>;

// Collective over processes. Unavailable with the reason where it can't be had,
// std::invalid_argument where the ranks can't be split like that. MPI_Init runs at most once,
// MPI_Finalize when the last World goes. With `leave` no call lasts longer than rank_timeout_s():
// then the ranks look for each other over TCP, for as long, and leave with who didn't come.
std::unique_ptr<World> make_mpi_world(const Split& split = {}, const Leave& leave = {});
// Slurm's or torchrun's variables. Here and below, Interrupted where the ranks still meet when
// `interrupt` has a signal; MPI has no way for that.
std::unique_ptr<World> make_local_world(const Split& split = {}, const Interrupt& interrupt = {});
// By whoever started the ranks: they agree, and have no collectives.
std::unique_ptr<World> make_bootstrap_world(const Leave& leave = {},
                                            const Interrupt& interrupt = {});
// Several processes, each with one GPU, by NCCL. Where a rank hangs or is gone, the others get
// RankLost after rank_timeout_s(), where they wait for their GPU, too.
std::unique_ptr<World> make_nccl_world(const Split& split = {}, const Leave& leave = {},
                                       const Interrupt& interrupt = {});
std::unique_ptr<World> make_gpu_world(const Split& split = {},
                                      int gpus = 0);  // one process; 0: every visible one

// `ranks` on one GPU, to try our own all-reduce where there is no second one: the same device code,
// but in one GPU's memory, so that its times say nothing of links.
std::unique_ptr<World> make_virtual_world(int ranks);

// How long ranks wait for each other: TRAINMETER_TIMEOUT in seconds, 60 by default.
double rank_timeout_s();
// What is wrong with that variable, in one line; empty where nothing is.
std::string timeout_mistake();

}  // namespace trainmeter
