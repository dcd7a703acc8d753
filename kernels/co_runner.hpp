// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What runs beside an operation on SMs (on a CPU: cores) of its own, until it is told to stop, and
// counts what it does meanwhile: a stand-in for the kernels of a collective.
//
// memory_mover  to = from xor tag over arrays beyond the last-level cache: HBM on a GPU
// cache_mover   the same over arrays that stay in the last-level cache: L2 on a GPU
// poller        each worker reads a flag of its block (on a CPU: its own) again and again
//
// or a real collective:
//
// allreduce       buckets of gradients: on a CPU our own over shared memory between threads as
//                 ranks, two that share the core where there is one; between GPUs NCCL's
// peer_allreduce  between GPUs ours over peer memory
//
// The tag is another one in every pass, so that each store can be told from all before it.
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/operation.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

enum class CoRunnerKind { memory_mover, cache_mover, poller, all_reduce, peer_all_reduce };
inline constexpr std::array kCoRunnerKinds = {CoRunnerKind::memory_mover, CoRunnerKind::cache_mover,
                                              CoRunnerKind::poller};
inline constexpr std::array kCollectiveCoRunners = {CoRunnerKind::all_reduce,
                                                    CoRunnerKind::peer_all_reduce};
bool is_collective(CoRunnerKind kind);
std::string_view to_string(CoRunnerKind kind);

struct CoRunnerProblem {
  CoRunnerKind kind = CoRunnerKind::memory_mover;
  int sms = 1;             // held whole: nothing else runs on them. On a CPU the last cores
  double bytes_per_s = 0;  // of all together, read and written; 0: as fast as it can. Of a
                           // collective: of payload
  int ranks = 1;           // of a collective: at least two
};

struct Moved {
  double bytes = 0, seconds = 0;
};

// One thread makes it, starts it and stops it.
class CoRunner {
 public:
  static constexpr double kLimit = 10;  // seconds

  CoRunner() = default;
  virtual ~CoRunner() = default;       // stops it
  CoRunner(const CoRunner&) = delete;  // owns threads, or a stream and memory
  CoRunner& operator=(const CoRunner&) = delete;

  // Returns when it has all its SMs. With `works` false it holds them and does nothing there. It
  // ends by itself after `limit_s`. std::runtime_error where it doesn't get them within 5 s.
  virtual void start(bool works, double limit_s = kLimit) = 0;

  // Notes what it has moved so far, and the time: on a GPU as work queued on `stream`, a
  // cudaStream_t (null: at once); on a CPU at once. Twice between start() and stop().
  virtual void look(void* stream) = 0;

  // What it moved between its two looks; nothing where there weren't two. std::runtime_error where
  // it had ended by itself.
  virtual Moved stop() = 0;

  // Whether all that the last run from start() to stop() counted is where it belongs.
  virtual Check check() = 0;

  // Of one run of it: each array once; of a poller one flag (4 bytes) for each worker; of a
  // collective the payload.
  [[nodiscard]] virtual double bytes_of_run() const = 0;
  [[nodiscard]] virtual std::map<std::string, std::string> notes() const { return {}; }
  // As a record has them.
  [[nodiscard]] virtual std::string backend() const { return "co_runner"; }
  [[nodiscard]] virtual std::string dtype() const { return "int8"; }  // bytes
};

// Unavailable where the device has too few SMs or cores for anything to run beside it.
std::unique_ptr<CoRunner> make_cpu_co_runner(const CoRunnerProblem& problem);
std::unique_ptr<CoRunner> make_gpu_co_runner(const CoRunnerProblem& problem);
// Those of the collectives, to which the others hand these on.
std::unique_ptr<CoRunner> make_all_reduce_co_runner(const CoRunnerProblem& problem);
std::unique_ptr<CoRunner> make_gpus_all_reduce_co_runner(const CoRunnerProblem& problem);

// What both implementations agree on. Workers (threads; warps of a GPU) have a part each of `from`
// and of `to`, and go through it step by step, pass by pass.
using CoWord = std::uint32_t;
TRAINMETER_BOTH CoWord co_tag(CoWord start,
                              CoWord pass) {  // of the pass'th pass after start() number ...
  return (start << 20U) + pass + 1;
}
TRAINMETER_BOTH CoWord co_content(CoWord index) {  // of `from`
  return index * 2654435761U;
}
struct CoParts {
  std::int64_t workers = 1;
  std::int64_t steps = 1;       // of one worker's pass
  std::int64_t step_words = 1;  // that are read, and written
  [[nodiscard]] std::int64_t words() const { return workers * steps * step_words; }
};
// `to` after start() number `start`, in which each worker did `done` steps.
Check check_moved(const CoParts& parts, const CoWord* to, CoWord start,
                  const std::vector<std::int64_t>& done);

}  // namespace trainmeter
