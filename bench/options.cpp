// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads the command line: Google's flags are taken out first, CLI11 reads ours.
#include "bench/options.hpp"

#include "bench/numbers.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/strict_json.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

namespace trainmeter {
namespace {

// Sizes above are no size of this world; memory is checked against the machine later (exit 3).
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 40;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 52;
constexpr std::int64_t kMaxTokens = 1 << 24;  // of attention's sizes, as its kernels index them
constexpr std::int64_t kMaxThreads = 1 << 20;
constexpr std::int64_t kMaxSms = 1024;
constexpr std::int64_t kMaxGpus = 1 << 20;  // that a model is divided among

struct Raw {  // our flags as texts, so that all numbers are read by one strict function
  std::string max_seconds, target, case_seconds, dtypes, models, published, tokens, decode, tp, ep,
      m, n, k, layouts, scalings, sms, groups, skews, batch, search, concurrent, bytes, threads,
      kernels, seq_lens, passes, sequences, heads, kv_heads, head_dim, value_dim, experts, prefer,
      beside, co_sms, rate;
  CollectiveFlags collective;
};

std::string description(Program program) {
  switch (program) {
    case Program::gemm:
      return "Measures matrix multiplication (and, on a CPU, the peak of its registers).";
    case Program::memory:
      return "Measures memory bandwidth: copy, read, write, triad, and the memory-bound kernels of "
             "a "
             "training step.";
    case Program::attention:
      return "Measures the attention core: forward, backward, and a decode step.";
    case Program::layer:
      return "Measures a transformer layer composed of the suite's operations: the whole, each "
             "operation in place, and the same alone, in turn.";
    case Program::collective:
      return "Measures collectives: between processes (mpirun -n 2 collective_bench), or between "
             "the GPUs of this process.";
    case Program::overlap:
      return "Measures how much an operation and what moves data or polls beside it, on SMs "
             "(cores) "
             "of its own, slow each other.";
  }
  return {};
}

void add_flags(CLI::App& app, Options& options, Raw& raw) {
  app.set_help_flag();  // ours is below: CLI11's would end the parsing before other mistakes show
  app.add_flag("-h,--help", options.help, "print this and stop");
  app.add_option("--device", options.device, "auto|gpu|cpu: auto is the GPU if there is one");
  app.add_option("--out", options.out, "FILE.jsonl: append to this record");
  app.add_flag("--resume", options.resume, "skip what the record has finished already");
  app.add_flag("--resume_anyway", options.resume_anyway,
               "the same although the record is of another machine, revision or setting");
  app.add_option("--max_seconds", raw.max_seconds,
                 "start no case after this long; the most telling ones come first");
  app.add_option("--target", raw.target,
                 "sample until the median's 95 % interval is +- this many per cent (1); 0: don't");
  app.add_option("--case_seconds", raw.case_seconds, "but no longer than this (2)");
  app.add_option("--cache", options.cache,
                 !empties_caches(options.program)
                     ? "rotate|hot: operands beyond the caches, or one set again and again"
                     : "rotate|cold|hot: operands beyond the caches, caches emptied before each "
                       "run, or one set of operands again and again");
  app.add_option("--regime", options.regime,
                 "burst|sustained: some runs after a rest; for 10 s after 30 s of warm-up");
  app.add_flag("!--no_sentinel", options.sentinel,
               "don't look at the machine's state between samples");
  app.add_flag("--exclusive", options.exclusive,
               "on a GPU: refuse to start where other processes are on it");
  app.add_option("--dtype", raw.dtypes, "LIST of element types");
  app.add_option("--versus", options.versus,
                 options.program == Program::layer
                     ? "BACKEND: each layer, sample by sample in turn with the same whose GEMMs it "
                       "does where it can; without the parts' own times"
                 : options.program == Program::overlap
                     ? "BACKEND: measure every GEMM's case against it, sample by sample in turn"
                     : "BACKEND: measure every case against it, sample by sample in turn");
  if (options.program != Program::collective && options.program != Program::layer) {
    app.add_option("--data", options.data, "normal|uniform|zeros|integers: what operands hold");
  }
  if (empties_caches(options.program)) {
    app.add_flag("--pitfalls", options.pitfalls,
                 "measure each case in turn with itself on zeros, and out of the caches");
    app.add_flag("--concurrent{0}", raw.concurrent,
                 "each device alone, then all at once, the slowest named: every GPU; on a CPU "
                 "every NUMA node, or =N groups of cores");
  }
  if (options.program == Program::overlap) {
    app.add_option("--models", raw.models,
                   "ID,...: the forward GEMM that most FLOPs of their layers are in, a cast of its "
                   "m x k, and on a GPU the experts' largest, instead");
    app.add_option("--tokens", raw.tokens,
                   "of a micro-batch for --models (256 on a CPU, 4096 on a GPU)");
    app.add_option("--m", raw.m, "with --n and --k: this GEMM, and a cast of m x k, instead");
    app.add_option("--n", raw.n, "with --m and --k");
    app.add_option("--k", raw.k, "with --m and --n");
    app.add_option(
        "--beside", raw.beside,
        "LIST of memory_mover, cache_mover, poller, allreduce, peer_allreduce (all; the last "
        "two between GPUs where there are two)");
    app.add_option("--co_sms", raw.co_sms,
                   "LIST: SMs (cores) that these hold (4 to 32; on a CPU up to half)");
    app.add_option("--rate", raw.rate, "bytes a second that they move at most, read and written");
  } else if (options.program == Program::gemm) {
    app.add_option("--models", raw.models, "ID,...: also the shapes of these models' steps");
    app.add_option("--tokens", raw.tokens,
                   "tokens of a micro-batch for --models (1024 on a CPU, 8192 on a GPU)");
    app.add_option("--decode", raw.decode,
                   "LIST: decode steps of so many sequences of --models, forward alone, instead");
    app.add_option("--tp", raw.tp, "--models on so many tensor-parallel GPUs (1)");
    app.add_option("--ep", raw.ep,
                   "experts of --models on so many GPUs (64, or as many of these as divide them)");
    app.add_option("--published", raw.published,
                   "ID,...: the shapes of published figures whose ids begin so (deepgemm), instead "
                   "of the default");
    app.add_option("--m", raw.m, "LIST; with --n and --k: these shapes instead of the default");
    app.add_option("--n", raw.n, "LIST: with --m and --k");
    app.add_option("--k", raw.k, "LIST: with --m and --n");
    app.add_option("--layout", raw.layouts, "LIST of nt, nn, tn, for --m --n --k or --search (nt)");
    app.add_option("--scaling", raw.scalings,
                   "LIST of block128, tensor: what fp8 operands are scaled by (both)");
    app.add_flag("--accumulate", options.accumulate,
                 "C += A B in fp32, as weight gradients are, with --m --n --k or --search");
    app.add_flag("--fp32_out", options.fp32_out,
                 "C in fp32 instead of bf16, with --m --n --k or --search");
    app.add_option("--sms", raw.sms, "work on so many of a GPU's multiprocessors (all)");
    app.add_option("--groups", raw.groups,
                   "so many experts share the tokens of --m (with --accumulate: of --k)");
    app.add_option("--skew", raw.skews,
                   "LIST of balanced, zipf, hot: how tokens fall on --groups (balanced)");
    app.add_option("--batch", raw.batch,
                   "LIST: so many products side by side, for --m --n --k or --search (1)");
    app.add_flag("--search{60}", raw.search,
                 "look for the shapes of the highest rates for a minute, or =N seconds, instead");
  } else if (options.program == Program::layer) {
    app.add_option(
        "--models", raw.models,
        "ID,...: whose layers (gpt2-124m on a CPU, deepseek-v3 and llama-3-8b on a GPU)");
    app.add_option("--tokens", raw.tokens, "of a micro-batch (256 on a CPU, 4096 on a GPU)");
    app.add_option("--experts", raw.experts,
                   "so many of a model's experts are on this device (those of one of 64)");
    app.add_option("--pass", raw.passes, "LIST of forward, backward (both)");
    app.add_option("--prefer", raw.prefer,
                   "LIST: backends of GEMMs and attention, where they can (the vendor's library)");
    app.add_option(
        "--co_sms", raw.co_sms,
        "SMs (cores) that a co-runner holds and moves dispatch's and combine's bytes on: "
        "each layer and its parts on all of them, on what is left, and beside it");
    app.add_option("--rate", raw.rate, "bytes a second that it moves at most, read and written");
  } else if (options.program == Program::attention) {
    app.add_option("--models", raw.models, "ID,...: the heads of these models, instead");
    app.add_option("--heads", raw.heads, "so many query heads, instead of the default ones");
    app.add_option("--kv_heads", raw.kv_heads, "with --heads: of keys and values (as many)");
    app.add_option("--head_dim", raw.head_dim, "with --heads: width of queries and keys (128)");
    app.add_option("--value_dim", raw.value_dim, "with --heads: width of values (head_dim)");
    app.add_option("--seq_len", raw.seq_lens,
                   "LIST: tokens of a sequence (512 to 2048 on a CPU, 2048 to 16384 on a GPU)");
    app.add_option("--tokens", raw.tokens,
                   "of all sequences together (2048 on a CPU, 16384 on a GPU)");
    app.add_option("--sequences", raw.sequences, "so many, instead of --tokens");
    app.add_option("--pass", raw.passes, "LIST of forward, backward, decode (all)");
  } else {
    if (options.program == Program::memory) {
      app.add_option("--models", raw.models,
                     "ID,...: also the memory-bound kernels of these models' steps");
      app.add_option("--tokens", raw.tokens,
                     "tokens of a micro-batch for --models (1024 on a CPU, 8192 on a GPU)");
      app.add_option(
          "--kernels", raw.kernels,
          "LIST of copy, triad, read, write; with --models: rmsnorm, swiglu, rope, "
          "cast_fp8, cast_fp8_transpose, cast_fp8_block, recast_fp8, permute, "
          "residual_add, layernorm, gelu, cross_entropy, adamw, rmsnorm_backward, "
          "swiglu_backward, layernorm_backward, gelu_backward, rope_backward, "
          "permute_backward, unpermute, unpermute_backward, topk_softmax, topk_softmax_backward, "
          "topk_sigmoid, topk_sigmoid_backward");
    }
    if (options.program == Program::collective) {
      app.add_option("--models", raw.models,
                     "ID,...: whose experts dispatch and combine go to (deepseek-v3)");
      app.add_option("--tokens", raw.tokens, "of each rank, for dispatch and combine (4096)");
      raw.collective.add(app);
    }
    app.add_option("--bytes", raw.bytes,
                   options.program == Program::memory
                       ? "LIST: bytes of one array (default: 4 x the last-level cache)"
                       : "LIST: payload of one rank (default: 1 KiB up in steps of 4)");
  }
  if (options.program == Program::memory) {
    app.add_option("--threads", raw.threads, "LIST of counts, or all (all): of a CPU's cores");
    app.add_flag("--numa", options.numa, "each NUMA node by itself: its memory, its cores");
  }
}

// What an option takes is the first word of its description where that names a value (LIST, ID,...,
// a|b|c), else N, a number.
class HelpText : public CLI::Formatter {
 public:
  HelpText() { column_width(30); }
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    const std::string name = CLI::Formatter::make_option_name(option, positional);
    return name.substr(0, name.find('{'));  // a flag's value where it is given alone
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_expected_min() == 0) return "";  // a flag
    const std::string value = value_of(*option);
    return "=" + (value.empty() ? "N" : value);
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    const std::string& text = option->get_description();
    const std::size_t begin = value_of(*option).size();
    if (option->get_expected_min() == 0 || begin == 0) return text;
    return text.substr(std::min(text.find_first_not_of(":; ", begin), text.size()));
  }

 private:
  static std::string value_of(const CLI::Option& option) {
    const std::string& text = option.get_description();
    const std::string word = text.substr(0, text.find_first_of(":; "));
    const bool choice = word.find('|') != std::string::npos;
    for (const char* value : {"LIST", "ID", "ID,...", "FILE.jsonl", "BACKEND", "OP", "TYPE"}) {
      if (word == value) return word;
    }
    return choice ? word : "";
  }
};

std::string page(Program program) {
  switch (program) {
    case Program::collective:
    case Program::overlap:
      return "docs/collectives.md";
    case Program::layer:
      return "docs/own-machine.md";
    case Program::gemm:
    case Program::memory:
    case Program::attention:
      break;
  }
  return "docs/kernels.md";
}

std::string help_of(const CLI::App& app, Program program) {
  return app.help() + "\nGoogle Benchmark's flags:\n" + google_help() +
         fmt::format(
             "\nExit codes: 0 fine; 1 a wrong result; 2 bad usage; 3 this machine lacks what was "
             "asked for;\n4 the environment failed (disk full, dead rank); 129, 130, 143 "
             "interrupted. "
             "More: docs/how-it-is-measured.md, {}\n",
             page(program));
}

void refuse_unknown(const CLI::App& app) {
  const std::vector<std::string> extra = app.remaining();
  if (extra.empty()) return;
  std::string word = extra.front();
  if (!word.starts_with("-"))
    throw BadInput(fmt::format("unexpected argument '{}' (try --help)", word));
  word = word.substr(0, word.find('='));
  std::vector<std::string> known = google_flag_names();
  for (const CLI::Option* option : app.get_options()) known.push_back(option->get_name());
  throw BadInput(fmt::format("unknown flag '{}'{}", word, suggestion(word, known)));
}

void interpret(const Raw& raw, Options& options) {
  if (!raw.max_seconds.empty()) {
    options.max_seconds = parse_non_negative("--max_seconds", raw.max_seconds);
  }
  if (!raw.target.empty()) options.target = parse_non_negative("--target", raw.target) / 100;
  if (!raw.case_seconds.empty()) {
    options.case_seconds = parse_non_negative("--case_seconds", raw.case_seconds);
  }
  if (!raw.dtypes.empty()) options.dtypes = parse_list("--dtype", raw.dtypes);
  for (const std::string& dtype : options.dtypes) one_of("--dtype", dtype, dtype_names());
  if (!raw.models.empty()) options.models = parse_list("--models", raw.models);
  if (!raw.published.empty()) options.published = parse_list("--published", raw.published);
  if (!raw.tokens.empty()) options.tokens = parse_count("--tokens", raw.tokens, kMaxDimension);
  if (!raw.decode.empty()) options.decode = parse_counts("--decode", raw.decode, kMaxTokens);
  if (!raw.tp.empty()) options.tp = parse_count("--tp", raw.tp, kMaxGpus);
  if (!raw.ep.empty()) options.ep = parse_count("--ep", raw.ep, kMaxGpus);
  if (!raw.m.empty()) options.m = parse_counts("--m", raw.m, kMaxDimension);
  if (!raw.n.empty()) options.n = parse_counts("--n", raw.n, kMaxDimension);
  if (!raw.k.empty()) options.k = parse_counts("--k", raw.k, kMaxDimension);
  if (!raw.layouts.empty()) options.layouts = parse_list("--layout", raw.layouts);
  for (const std::string& layout : options.layouts) one_of("--layout", layout, {"nt", "nn", "tn"});
  if (!raw.scalings.empty()) options.scalings = parse_list("--scaling", raw.scalings);
  for (const std::string& one : options.scalings) one_of("--scaling", one, {"block128", "tensor"});
  if (!raw.sms.empty()) options.sms = parse_count("--sms", raw.sms, kMaxSms);
  if (!raw.groups.empty()) options.groups = parse_count("--groups", raw.groups, kMaxDimension);
  if (!raw.skews.empty()) options.skews = parse_list("--skew", raw.skews);
  for (const std::string& one : options.skews) one_of("--skew", one, {"balanced", "zipf", "hot"});
  if (!raw.kernels.empty()) options.kernels = parse_list("--kernels", raw.kernels);
  if (!raw.batch.empty()) options.batch = parse_counts("--batch", raw.batch, kMaxDimension);
  if (!raw.concurrent.empty()) {
    options.concurrent =
        raw.concurrent == "0"
            ? 0
            : static_cast<int>(parse_count("--concurrent", raw.concurrent, kMaxThreads));
    if (*options.concurrent == 1) throw BadInput("--concurrent: expected at least 2, found 1");
  }
  if (!raw.search.empty()) options.search_s = parse_non_negative("--search", raw.search);
  if (!raw.threads.empty()) {
    options.threads.clear();
    for (const std::string& word : parse_list("--threads", raw.threads)) {
      options.threads.push_back(
          word == "all" ? 0 : static_cast<int>(parse_count("--threads", word, kMaxThreads)));
    }
  }
  if (!raw.seq_lens.empty()) options.seq_lens = parse_counts("--seq_len", raw.seq_lens, kMaxTokens);
  if (!raw.passes.empty()) options.passes = parse_list("--pass", raw.passes);
  if (!raw.prefer.empty()) options.prefer = parse_list("--prefer", raw.prefer);
  std::vector<std::string> passes = {"forward", "backward"};
  if (options.program == Program::attention) passes.emplace_back("decode");
  for (const std::string& pass : options.passes) one_of("--pass", pass, passes);
  if (!raw.experts.empty()) options.experts = parse_count("--experts", raw.experts, kMaxDimension);
  const auto count = [](const char* flag, const std::string& text,
                        std::optional<std::int64_t>& value) {
    if (!text.empty()) value = parse_count(flag, text, kMaxTokens);
  };
  count("--sequences", raw.sequences, options.sequences);
  count("--heads", raw.heads, options.heads);
  count("--kv_heads", raw.kv_heads, options.kv_heads);
  count("--head_dim", raw.head_dim, options.head_dim);
  count("--value_dim", raw.value_dim, options.value_dim);
  if (!raw.beside.empty()) options.beside = parse_list("--beside", raw.beside);
  for (const std::string& one : options.beside) one_of("--beside", one, co_runner_names());
  if (!raw.co_sms.empty()) options.co_sms = parse_counts("--co_sms", raw.co_sms, kMaxSms);
  if (!raw.rate.empty()) options.co_bytes_per_s = parse_count("--rate", raw.rate, kMaxBytes);
  if (!raw.bytes.empty()) options.bytes = parse_counts("--bytes", raw.bytes, kMaxBytes);
  if (options.program == Program::collective) {
    options.collective = raw.collective.read(options.bytes, options.dtypes);
  }
}

}  // namespace

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
  app.formatter(std::make_shared<HelpText>());
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
    options.help_text = help_of(app, program);
    return options;
  }
  interpret(raw, options);
  require_consistent(options);
  return options;
}

}  // namespace trainmeter
