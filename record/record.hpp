// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measurement record: facts about a measurement, as one JSON object a line (layout:
// docs/record.md). Facts, not rates: rates are derived by record/formulas. Units stand in the field
// names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

inline constexpr int kRecordSchema = 1;

// The device that was measured. On a CPU one process's set of cores is one device.
struct Device {
  std::string kind;               // "cpu" or "gpu"
  std::string name;               // as the driver or the processor says it
  std::int64_t count = 1;         // devices that took part (GPUs); 1 on a CPU
  std::int64_t sms = 0;           // streaming multiprocessors of one; on a CPU, cores used
  std::int64_t memory_bytes = 0;  // of one
  std::int64_t last_level_cache_bytes = 0;     // of one
  std::map<std::string, std::string> details;  // driver, compute capability, instruction sets, ...
};

// How samples were taken, so that two records can be compared.
struct Discipline {
  std::string timer;      // "steady_clock" or "cuda_events"
  std::string data;       // "normal", "uniform", "zeros", "integers"
  std::string cache;      // "rotate": operand sets beyond the last-level cache; "cold", "hot"
  std::string regime;     // "burst", "sustained"; "": neither was asked for
  double warmup_s = 0;    // least warm-up
  double min_time_s = 0;  // least time sampled
  std::int64_t min_samples = 0;
  double target = 0;      // relative half-width of the median's 95 % interval to stop at; 0: none
  double max_time_s = 0;  // most time sampled for it
};

// Samples [first, last] that something befell.
struct Mark {
  std::int64_t first = 0, last = 0;
  std::string why;  // "throttled: sw_power_cap", "machine: compute probe 1.4 x"
};

// What a fixed small GEMM and a fixed small copy took before sample `before`: the machine's state.
struct Probe {
  std::int64_t before = 0;
  double compute_s = 0, copy_s = 0;
};

// Successive samples [first, last] over which the device was read often enough to tell their clock
// and their energy: single samples are shorter than a counter's steps.
struct Stretch {
  std::int64_t first = 0, last = 0;
  std::optional<double> energy_j;     // of their runs alone, by the counter
  std::optional<double> sm_clock_hz;  // mean of the readings
};

// One program's start. Every measurement line names its session.
struct Header {
  std::string session;  // unique in the file: program, start time, process id
  std::string program;
  std::string version;
  std::string git_revision;  // with "-dirty" where the tree had changes
  std::string started_at;    // ISO 8601, UTC
  std::string host;
  std::vector<std::string> command;
  Device device;
  Discipline discipline;
  std::map<std::string, std::string> software;     // compiler and libraries with their versions
  std::map<std::string, std::string> environment;  // allow-listed variables only
};

// One case, measured. Shape keys by operation: gemm m, n, k; memory kernels and collectives bytes
// (payload); a step's kernels as in docs/record.md.
struct Measurement {
  std::string session;
  std::string name;  // gemm/fp32/onednn/m:1024/n:1024/k:1024, without Google Benchmark's suffixes
  std::string
      operation;      // gemm, fma, copy, read, write, triad, allreduce, a step's kernel (names.hpp)
  std::string dtype;  // fp64 fp32 tf32 fp16 bf16 fp8 fp8_e5m2 int8
  std::string backend;
  std::map<std::string, std::int64_t> shape;
  std::string layout = "none";   // gemm: nn, nt, tn
  std::string scaling = "none";  // none, tensor, block128
  double flops = 0;  // work of one run, floating-point operations (integer ones for int8)
  double bytes = 0;  // work of one run, bytes moved or payload
  std::int64_t ranks = 1;
  std::int64_t sms = 0;         // SMs or cores it ran on
  std::string beside = "none";  // what ran beside it
  std::string at;               // when it was finished, ISO 8601, UTC
  std::vector<double> time_s;   // raw samples: seconds of one run, in the order taken
  std::int64_t runs_per_sample =
      1;  // above 1 (runs too short for the clock) a sample is the mean of that many
  bool verified = false;   // compared with a reference, and within the bound
  double error = 0;        // the error found
  double error_bound = 0;  // and what was allowed
  std::string check;       // how: "all elements, fp64", "Freivalds fp64 + 64 rows", ...
  std::string
      failure;  // empty, or why there is no usable result (an error row: samples may be empty)
  std::int64_t repetition = 0;
  std::string paired_with;  // --versus: the case its samples alternate with
  std::vector<double> sm_clock_hz, power_w,
      temperature_c;  // per sample or fewer; empty where unreadable
  std::vector<std::string> throttle_reasons;
  std::string stopped;  // why sampling ended: "converged", "time_limit", "sample_limit", "enough"
  std::vector<Mark> marks;
  std::vector<Probe> probes;
  std::optional<double> energy_j;  // of all its runs together, nothing else
  std::int64_t energy_steps = 0;   // readings at which its sum had grown; 0: unknown
  std::vector<Stretch> stretches;
  std::map<std::string, std::string> notes;  // of the implementation: "algorithm", ...

  [[nodiscard]] bool usable() const { return failure.empty() && verified && !time_s.empty(); }
};

struct Line {
  Measurement measurement;
  std::size_t session = 0;  // index into Record::headers
  std::size_t line = 0;     // 1-based line number in the file
};

struct Record {
  std::filesystem::path file;
  std::vector<Header> headers;
  std::vector<Line> lines;
  std::vector<std::string> warnings;  // such as a truncated last line, which is dropped

  [[nodiscard]] const Header& header_of(const Line& line) const { return headers.at(line.session); }
};

// Strict. A last line without its newline is dropped with a warning; any other bad line is BadInput
// "FILE:LINE: key: expected". A file with no header line is BadInput.
Record read_record(const std::filesystem::path& file);

// One line of JSON without the newline (doubles round-trip; no NaN or infinity:
// std::invalid_argument).
std::string to_json_line(const Header& header);
std::string to_json_line(const Measurement& measurement);
// What the line above says; of this program's other processes. BadInput as for a record's line.
Measurement measurement_from_json_line(const std::string& line);

}  // namespace trainmeter
