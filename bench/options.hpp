// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command line of a benchmark program: our flags, and Google Benchmark's.
#pragma once

#include "bench/collective_options.hpp"
#include "bench/google_flags.hpp"
#include "bench/measure.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

enum class Program { gemm, memory, attention, layer, collective, overlap };
std::string program_name(Program program);  // gemm_bench

struct Options {
  Program program = Program::gemm;
  std::vector<std::string> command;  // as it was given
  std::string device = "auto";       // auto, gpu, cpu
  std::string out;                   // the record; empty: none is written
  bool resume = false;
  bool resume_anyway = false;  // although the record is of another machine, revision or setting
  std::optional<double> max_seconds;
  std::string versus;
  std::string data = "normal";   // normal, uniform, zeros, integers
  std::string cache = "rotate";  // rotate, cold, hot; memory on a GPU: l2
  std::string regime;            // burst, sustained; empty: neither
  double target = 0.01;          // of Rules
  std::optional<double> case_seconds;
  bool sentinel = true;
  bool exclusive = false;  // refuse to start beside others on the GPU
  bool pitfalls = false;
  std::optional<int> concurrent;    // so many devices at once; 0: all
  std::vector<std::string> dtypes;  // empty: the default ones

  std::vector<std::string> models;     // of each program
  std::vector<std::string> published;  // gemm: beginnings of ids of published figures
  std::optional<std::int64_t> tokens;
  std::vector<std::int64_t> decode;  // gemm: sequences of decode steps, instead of training
  std::int64_t tp = 1;               // gemm: of --models
  std::optional<std::int64_t> ep;
  std::vector<std::int64_t> m, n, k;
  std::vector<std::string> layouts;
  std::vector<std::string> scalings;  // of fp8; empty: all
  bool accumulate = false;
  bool fp32_out = false;
  std::int64_t sms = 0;                // 0: all
  std::optional<std::int64_t> groups;  // with unequal shares of the tokens
  std::vector<std::string> skews = {"balanced"};
  std::vector<std::int64_t> batch = {1};  // products side by side
  std::optional<double> search_s;         // how long to search for the fastest shapes

  std::vector<std::int64_t> seq_lens;  // attention; empty: the default ones
  std::vector<std::string> passes;     // forward, backward, decode (not of a layer); empty: all
  std::optional<std::int64_t> sequences, heads, kv_heads, head_dim, value_dim;

  std::optional<std::int64_t> experts;  // layer: of one GPU
  std::vector<std::string> prefer;      // layer: backends; without any: the vendor's

  std::vector<std::string> kernels;  // memory; empty: all
  std::vector<std::int64_t> bytes;   // memory: of one array; collective: payload
  std::vector<int> threads = {0};    // memory on a CPU; 0: all
  bool numa = false;                 // memory: each NUMA node by itself

  std::vector<std::string> beside;  // overlap: co-runners; empty: all
  std::vector<std::int64_t>
      co_sms;  // that they hold; empty: the default ones. Of a layer one or none
  std::int64_t co_bytes_per_s = 0;  // of each; 0: as fast as it can, or as the layer says

  CollectiveOptions collective;

  GoogleFlags google;
  bool help = false;  // `help_text` is to be printed, and nothing else done
  std::string help_text;

  [[nodiscard]] Rules rules() const;
  [[nodiscard]] OperandOptions operands(std::int64_t rotate_bytes) const;
  [[nodiscard]] Rules quick_rules() const;  // of a search: a fifth of the time, and less
};

// Whether the program can empty the caches before a run.
bool empties_caches(Program program);

// BadInput where flags don't go together.
void require_consistent(const Options& options);

// BadInput, in one line, for anything that isn't right.
Options read_options(Program program, const std::vector<std::string>& command);

}  // namespace trainmeter
