// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads the command line: Google's flags are taken out first, CLI11 reads ours.
#include "bench/options.hpp"

#include "bench/numbers.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/strict_json.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace trainmeter {
namespace {

// Sizes above are no size of this world; memory is checked against the machine later (exit 3).
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 40;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 52;
constexpr std::int64_t kMaxThreads = 1 << 20;

struct Raw {  // our flags as texts, so that all numbers are read by one strict function
  std::string max_seconds, dtypes, models, tokens, m, n, k, layouts, batch, search, bytes, threads,
      cache;
};

std::string description(Program program) {
  switch (program) {
    case Program::gemm:
      return "Measures matrix multiplication (and, on a CPU, the peak of its registers).";
    case Program::memory:
      return "Measures memory bandwidth: copy, read, write, triad.";
    case Program::collective:
      return "Measures all-reduce: between processes (mpirun -n 2 collective_bench), or between "
             "the GPUs of this process.";
  }
  return {};
}

void add_flags(CLI::App& app, Options& options, Raw& raw) {
  app.set_help_flag();  // ours is below: CLI11's would end the parsing before other mistakes show
  app.add_flag("-h,--help", options.help, "print this and stop");
  app.add_option("--device", options.device, "auto|gpu|cpu: auto is the GPU if there is one");
  app.add_option("--out", options.out, "FILE.jsonl: append to this record");
  app.add_flag("--resume", options.resume, "skip what the record has finished already");
  app.add_option("--max_seconds", raw.max_seconds, "start no case after this long");
  app.add_option("--versus", options.versus,
                 "BACKEND: measure every case against it, sample by sample in turn");
  app.add_option("--dtype", raw.dtypes, "LIST of element types");
  if (options.program == Program::gemm) {
    app.add_option("--models", raw.models, "ID,...: also the shapes of these models' steps");
    app.add_option("--tokens", raw.tokens,
                   "tokens of a micro-batch for --models (1024 on a CPU, 8192 on a GPU)");
    app.add_option("--m", raw.m, "LIST; with --n and --k: these shapes instead of the default");
    app.add_option("--n", raw.n, "LIST");
    app.add_option("--k", raw.k, "LIST");
    app.add_option("--layout", raw.layouts, "LIST of nt, nn, tn, for --m --n --k or --search (nt)");
    app.add_option("--batch", raw.batch,
                   "LIST: so many products side by side, for --m --n --k or --search (1)");
    app.add_flag("--search{60}", raw.search,
                 "SECONDS: look for the shapes of the highest rates this long (60), instead");
  } else {
    app.add_option("--bytes", raw.bytes,
                   options.program == Program::memory
                       ? "LIST: bytes of one array (default: 4 x the last-level cache)"
                       : "LIST: payload of one rank (default: 1 KiB up in steps of 4)");
  }
  if (options.program == Program::memory) {
    app.add_option("--threads", raw.threads, "LIST of counts, or all (all): of a CPU's cores");
    app.add_option("--cache", raw.cache,
                   "l2: arrays that fill half of a GPU's L2 and stay there, instead");
    app.add_flag("--numa", options.numa, "each NUMA node by itself: its memory, its cores");
  }
}

void refuse_unknown(const CLI::App& app) {
  const std::vector<std::string> extra = app.remaining();
  if (extra.empty()) return;
  std::string word = extra.front();
  if (!word.starts_with("-")) throw BadInput(fmt::format("unexpected argument '{}'", word));
  word = word.substr(0, word.find('='));
  std::vector<std::string> known = google_flag_names();
  for (const CLI::Option* option : app.get_options()) known.push_back(option->get_name());
  const std::string near = nearest(word, known);
  throw BadInput(
      fmt::format("unknown flag '{}'{}", word,
                  near.empty() ? " (try --help)" : fmt::format(" (did you mean '{}'?)", near)));
}

void one_of(const std::string& flag, const std::string& word,
            const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), word) == allowed.end()) {
    throw BadInput(
        fmt::format("{}: '{}': expected one of {}", flag, word, fmt::join(allowed, ", ")));
  }
}

void interpret(const Raw& raw, Options& options) {
  if (!raw.max_seconds.empty()) {
    options.max_seconds = parse_non_negative("--max_seconds", raw.max_seconds);
  }
  if (!raw.dtypes.empty()) options.dtypes = parse_list("--dtype", raw.dtypes);
  for (const std::string& dtype : options.dtypes) one_of("--dtype", dtype, dtype_names());
  if (!raw.models.empty()) options.models = parse_list("--models", raw.models);
  if (!raw.tokens.empty()) options.tokens = parse_count("--tokens", raw.tokens, kMaxDimension);
  if (!raw.m.empty()) options.m = parse_counts("--m", raw.m, kMaxDimension);
  if (!raw.n.empty()) options.n = parse_counts("--n", raw.n, kMaxDimension);
  if (!raw.k.empty()) options.k = parse_counts("--k", raw.k, kMaxDimension);
  if (!raw.layouts.empty()) options.layouts = parse_list("--layout", raw.layouts);
  for (const std::string& layout : options.layouts) one_of("--layout", layout, {"nt", "nn", "tn"});
  if (!raw.batch.empty()) options.batch = parse_counts("--batch", raw.batch, kMaxDimension);
  if (!raw.search.empty()) options.search_s = parse_non_negative("--search", raw.search);
  if (!raw.threads.empty()) {
    options.threads.clear();
    for (const std::string& word : parse_list("--threads", raw.threads)) {
      options.threads.push_back(
          word == "all" ? 0 : static_cast<int>(parse_count("--threads", word, kMaxThreads)));
    }
  }
  if (!raw.cache.empty()) one_of("--cache", raw.cache, {"l2"});
  options.in_l2 = !raw.cache.empty();
  if (!raw.bytes.empty()) options.bytes = parse_counts("--bytes", raw.bytes, kMaxBytes);
}

void check(const Options& options) {
  one_of("--device", options.device, {"auto", "gpu", "cpu"});
  const bool any = !options.m.empty() || !options.n.empty() || !options.k.empty();
  if (any && (options.m.empty() || options.n.empty() || options.k.empty())) {
    throw BadInput("--m, --n and --k: expected all three");
  }
  if (!options.layouts.empty() && !any && !options.search_s) {
    throw BadInput("--layout: expected together with --m, --n and --k, or --search");
  }
  if (options.batch != std::vector<std::int64_t>{1} && !any && !options.search_s) {
    throw BadInput("--batch: expected together with --m, --n and --k, or --search");
  }
  if (options.search_s && (any || !options.models.empty() || !options.versus.empty())) {
    throw BadInput("--search: expected without --m, --n, --k, --models and --versus");
  }
  if (options.search_s && options.google.list_tests) {
    throw BadInput("--search: its shapes follow from results, so there is no list of them");
  }
  if (options.tokens && options.models.empty()) {
    throw BadInput("--tokens: expected together with --models");
  }
  if (options.in_l2 && !options.bytes.empty()) {
    throw BadInput("--cache=l2: expected without --bytes, which follow from the cache");
  }
  if (options.resume && options.out.empty()) {
    throw BadInput("--resume: expected together with --out=FILE.jsonl");
  }
  if (options.google.out.empty()) return;
  // Google Benchmark would end the program with exit code 1.
  if (!std::ofstream(options.google.out, std::ios::app)) {
    throw BadInput(fmt::format("--benchmark_out: {}: cannot be written", options.google.out));
  }
}

}  // namespace

std::string program_name(Program program) {
  switch (program) {
    case Program::gemm:
      return "gemm_bench";
    case Program::memory:
      return "memory_bench";
    case Program::collective:
      return "collective_bench";
  }
  return {};
}

Rules Options::rules() const {
  Rules rules;
  rules.min_time_s = google.min_time_s.value_or(rules.min_time_s);
  rules.warmup_s = google.min_warmup_s.value_or(rules.warmup_s);
  rules.max_warmup_s = std::max(rules.max_warmup_s, 2 * rules.warmup_s);
  return rules;
}

Rules Options::quick_rules() const {
  Rules quick = rules();
  quick.warmup_s /= 5;
  quick.max_warmup_s /= 5;
  quick.min_time_s /= 5;
  quick.round_s /= 5;
  quick.min_samples = 3;
  return quick;
}

Options read_options(Program program, const std::vector<std::string>& command) {
  Options options;
  options.program = program;
  options.command = command;
  read_google_environment(options.google);
  std::vector<std::string> ours;
  for (std::size_t i = 1; i < command.size(); ++i) {
    if (is_google_flag(command[i])) {
      read_google_flag(command[i], options.google);
    } else {
      ours.push_back(command[i]);
    }
  }
  CLI::App app(description(program), program_name(program));
  app.allow_extras();
  Raw raw;
  add_flags(app, options, raw);
  std::reverse(ours.begin(), ours.end());  // as CLI11 wants a vector
  try {
    app.parse(ours);
  } catch (const CLI::ParseError& error) {
    throw BadInput(error.what());
  }
  refuse_unknown(app);
  if (options.help) {
    options.help_text = app.help() + "\nGoogle Benchmark's flags:\n" + google_help();
    return options;
  }
  interpret(raw, options);
  check(options);
  return options;
}

}  // namespace trainmeter
