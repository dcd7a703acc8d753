// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The interface that every measured operation shares, whatever the device and the library.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

enum class DeviceKind { cpu, gpu };

// This machine lacks what was asked for (no device, too little memory, an instruction set): exit
// code 3, with the reason.
class Unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Outcome of comparing a result with its reference. `ok` is error < bound, so NaN fails.
struct Check {
  bool ok = false;
  double error = 0;
  double bound = 0;
  std::string how;         // "all elements, fp64"
  std::int64_t wrong = 0;  // elements beyond the bound, of all ranks; where each one is looked at
};

enum class OperandRole { input, output, state };  // state: read and changed

// What an operation computes with, in set 0.
struct OperandView {
  std::string_view name;  // as the header of its operations has it: a, x, d_o
  OperandRole role = OperandRole::input;
  std::optional<DType> type;  // none: indices, int32
  std::int64_t bytes = 0;
  void* data = nullptr;  // in the device's memory
  DeviceKind device = DeviceKind::cpu;
};

// An operation prepared on one device with fixed operands of random data, ready to run again and
// again. It owns its operands: `sets` copies, so that a caller may rotate over more memory than the
// caches hold. Not thread-safe: one thread prepares, runs and destroys it.
class Operation {
 public:
  Operation() = default;
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;  // owns device memory and library handles
  Operation& operator=(const Operation&) = delete;

  // Runs once on operand set `set` (0 <= set < sets()). CPU: returns when the result is there. GPU:
  // queued on stream(). Allocates nothing and searches for nothing.
  virtual void run(int set) = 0;

  // Poisons the output of set 0, fills fresh state where the operation changes its input, runs, and
  // compares.
  virtual Check verify() = 0;

  [[nodiscard]] virtual int sets() const = 0;

  // Its operands, for who lets data flow from one operation to the next (operand_values.hpp). None
  // where it keeps them to itself.
  [[nodiscard]] virtual std::vector<OperandView> operand_views() const { return {}; }

  // What preparing it found out and a record should keep: {"algorithm", "id 66, ..."}.
  [[nodiscard]] virtual std::map<std::string, std::string> notes() const { return {}; }

  // The cudaStream_t that run() queues on; nullptr on a CPU, and where a run keeps the host busy
  // and is over when run() returns.
  [[nodiscard]] virtual void* stream() const { return nullptr; }

  // Kernels, events and waits that one run queues there at most. Two: split-k GEMMs have a second.
  [[nodiscard]] virtual int launches() const { return 2; }
};

// What operands hold. Training's are near normal; zeros and whole numbers toggle fewer bits, cost
// less power and so flatter a power-limited device.
enum class Values { normal, uniform, zeros, integers };

// How operands are made. All sets hold the same data, each at its own place in memory.
struct OperandOptions {
  std::int64_t rotate_bytes =
      0;  // make enough sets that their operands exceed this (3 x the last-level cache); 0: one set
  std::uint64_t seed = 1;
  Values values = Values::normal;
};

// Bytes from one set's operand to the next one's, which follows it in the same allocation: a
// multiple of 256, as cudaMalloc aligns and more than a cache line, and of whole pages for operands
// so large that this costs less than 7 %.
std::int64_t operand_stride(std::int64_t bytes);

// Enough sets that sets x bytes_per_set >= rotate_bytes, at least 1, at most what `available_bytes`
// holds. Unavailable ("needs 12.3 GiB, 8.0 GiB is free") where not even one set fits.
int sets_for(std::int64_t bytes_per_set, const OperandOptions& options,
             std::int64_t available_bytes);

}  // namespace trainmeter
