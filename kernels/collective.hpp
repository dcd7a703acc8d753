// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// All-reduce (sum) between ranks: by our own shared memory and MPI between processes, by NCCL
// between the GPUs that one process drives.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

struct AllReduceProblem {
  DType dtype = DType::fp32;
  std::int64_t bytes = 0;  // payload of one rank; a multiple of the element size
};

// A rank is gone, stuck, or gave up; the text names it. The ranks can't go on together.
class RankLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Every rank's text, by rank, on every rank. Collective.
using Gather = std::function<std::vector<std::string>(const std::string& mine)>;

// The ranks of this run. On a CPU one process is one rank; with NCCL one process drives all its
// GPUs.
class World {
 public:
  virtual ~World() = default;
  [[nodiscard]] virtual int ranks() const = 0;        // that take part in a collective
  [[nodiscard]] virtual int rank() const = 0;         // of this process; 0 writes the record
  [[nodiscard]] virtual std::string how() const = 0;  // "MPI, 2 processes", "one process, 8 GPUs"
  [[nodiscard]] virtual std::vector<std::string> backends() const = 0;  // of all_reduce()

  virtual std::vector<std::string> gather(const std::string& mine) = 0;
  virtual void barrier() = 0;
  virtual std::int64_t decide(std::int64_t value) = 0;  // rank 0's value, on every rank
  virtual double slowest(double seconds) = 0;           // the largest over the ranks, on every rank
  virtual std::int64_t total(std::int64_t value) = 0;   // the sum over the ranks, on every rank
  virtual bool all(bool value) = 0;                     // true where every rank says true
  virtual void give_up() {}  // this rank can't go on: tells those that wait for it, where it can
  virtual std::unique_ptr<Operation> all_reduce(std::string_view backend, const AllReduceProblem&,
                                                const OperandOptions&) = 0;
};

// Collective over processes. Unavailable with the reason where it can't be had. MPI_Init runs at
// most once, MPI_Finalize when the last World goes.
std::unique_ptr<World> make_mpi_world();
std::unique_ptr<World> make_local_world();  // Slurm's or torchrun's variables, on one host
std::unique_ptr<World> make_nccl_world();   // every visible GPU, one process

// How long ranks wait for each other: TRAINMETER_TIMEOUT in seconds, 60 by default.
double rank_timeout_s();

}  // namespace trainmeter
