// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The flags of each program, in three groups. A description begins with what the flag takes where
// that is no plain number: LIST, ID,..., a|b|c (value_of, below).
#include "bench/option_flags.hpp"

#include "record/names.hpp"
#include "record/overlap.hpp"
#include "workload/step.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace trainmeter {
namespace {

std::string list_of(const std::vector<std::string>& words) {
  return fmt::format("LIST of {}", fmt::join(words, ", "));
}

std::string of_a_micro_batch(std::string_view of_what, const DefaultTokens& tokens) {
  return fmt::format("tokens of a micro-batch {}({} on a CPU, {} on a GPU)", of_what, tokens.cpu,
                     tokens.gpu);
}

void add_record_flags(CLI::App& app, Options& options, FlagTexts& texts) {
  app.option_defaults()->group("Where, and the record");
  app.add_flag("-h,--help", options.help, "print this and stop");
  app.add_option("--device", options.device, "auto|gpu|cpu: auto is the GPU if there is one");
  app.add_option("--out", options.out, "FILE.jsonl: append to this record");
  app.add_flag("--resume", options.resume, "skip the cases that the record already has");
  app.add_flag("--resume_anyway", options.resume_anyway,
               "the same, even if the record is of another machine, revision or setting");
  app.add_option("--max_seconds", texts.max_seconds,
                 "start no further case after this long; the most telling cases come first");
  app.add_flag("--exclusive", options.exclusive,
               "refuse to start while another process is on the GPU");
}

std::string cache_help(Program program) {
  std::string text = "rotate|hot";
  if (empties_caches(program)) text += "|cold";
  if (program == Program::memory) text += "|l2";
  text +=
      ": operands rotate through more memory than the caches hold, or are one set again and again "
      "(hot)";
  if (empties_caches(program)) text += ", or caches are flushed before each run (cold)";
  if (program == Program::memory) text += ", or arrays are sized to stay in a GPU's L2 (l2)";
  return text;
}

std::string versus_help(Program program) {
  if (program == Program::layer) {
    return "BACKEND: measure each layer against the same one with its GEMMs by BACKEND where it "
           "can, samples alternating; whole layers only";
  }
  return fmt::format("BACKEND: measure every {} against BACKEND, samples alternating",
                     program == Program::overlap ? "GEMM" : "case");
}

void add_method_flags(CLI::App& app, Options& options, FlagTexts& texts) {
  app.option_defaults()->group("How it is measured");
  app.add_option("--target", texts.target,
                 "sample until the median's 95 % interval is within +- this many per cent (1); "
                 "0: no target");
  app.add_option("--case_seconds", texts.case_seconds,
                 "sample a case for at most this many seconds (2)");
  app.add_option("--regime", options.regime,
                 "burst|sustained: a few runs after a rest, or 10 s a case after 30 s of load; "
                 "by default warm, until --target is reached");
  app.add_option("--cache", options.cache, cache_help(options.program));
  if (options.program != Program::collective && options.program != Program::layer) {
    app.add_option("--data", options.data,
                   "normal|uniform|zeros|integers: values of the operands (normal)");
  }
  app.add_option("--versus", options.versus, versus_help(options.program));
  if (empties_caches(options.program)) {
    app.add_flag("--pitfalls", options.pitfalls,
                 "measure each case against itself on zeros, and with warm caches");
    app.add_flag("--concurrent{0}", texts.concurrent,
                 "each device alone, then all at once, naming the slowest: every GPU, or on a "
                 "CPU every NUMA node or =N groups of cores");
  }
  app.add_flag("!--no_sentinel", options.sentinel,
               "don't check between samples whether the machine's speed has changed");
}

void add_gemm_flags(CLI::App& app, Options& options, FlagTexts& texts) {
  app.add_option("--m", texts.m, "LIST; with --n and --k: these shapes instead of the default");
  app.add_option("--n", texts.n, "LIST: with --m and --k");
  app.add_option("--k", texts.k, "LIST: with --m and --n");
  app.add_option("--layout", texts.layouts, "LIST of nt, nn, tn, for --m --n --k or --search (nt)");
  app.add_option("--scaling", texts.scalings,
                 "LIST of block128, tensor: scale factors of fp8 operands (both)");
  app.add_flag("--accumulate", options.accumulate,
               "C += A B in fp32, as for weight gradients, with --m --n --k or --search");
  app.add_flag("--fp32_out", options.fp32_out,
               "C in fp32 instead of bf16, with --m --n --k or --search");
  app.add_option("--batch", texts.batch, "LIST of batch sizes, for --m --n --k or --search (1)");
  app.add_option("--groups", texts.groups,
                 "grouped GEMM: so many experts share the tokens of --m (with --accumulate: of "
                 "--k)");
  app.add_option("--skew", texts.skews,
                 "LIST of balanced, zipf, hot: how tokens fall on --groups (balanced)");
  app.add_option("--models", texts.models, "ID,...: also the GEMMs of these models' steps");
  app.add_option("--tokens", texts.tokens, of_a_micro_batch("for --models ", kStepTokens));
  app.add_option("--decode", texts.decode,
                 "LIST of batch sizes: instead, decode steps of --models, forward alone");
  app.add_option("--tp", texts.tp, "tensor-parallel GPUs of --models (1)");
  app.add_option("--ep", texts.ep,
                 "GPUs that share the experts of --models (64, or as many of these as divide "
                 "them)");
  app.add_option("--published", texts.published,
                 "ID,...: instead, the shapes of published figures whose ids begin so (deepgemm)");
  app.add_flag("--search{60}", texts.search,
               "instead, search for the fastest shapes for a minute, or =N seconds");
  app.add_option("--sms", texts.sms, "use so many of the GPU's SMs (all)");
}

void add_memory_flags(CLI::App& app, Options& options, FlagTexts& texts) {
  app.add_option("--kernels", texts.kernels,
                 fmt::format("LIST of copy, triad, read, write; with --models: {}",
                             fmt::join(step_kernel_names(), ", ")));
  app.add_option("--bytes", texts.bytes, "LIST: bytes of one array (4 x the last-level cache)");
  app.add_option("--models", texts.models,
                 "ID,...: also the memory-bound kernels of these models' steps");
  app.add_option("--tokens", texts.tokens, of_a_micro_batch("for --models ", kStepTokens));
  app.add_option("--threads", texts.threads, "LIST of numbers of a CPU's cores, or all (all)");
  app.add_flag("--numa", options.numa, "each NUMA node by itself: its memory, its cores");
}

void add_attention_flags(CLI::App& app, FlagTexts& texts) {
  app.add_option("--models", texts.models, "ID,...: instead, the heads of these models");
  app.add_option("--heads", texts.heads, "query heads, instead of the default ones");
  app.add_option("--kv_heads", texts.kv_heads, "with --heads: key and value heads (as many)");
  app.add_option("--head_dim", texts.head_dim, "with --heads: width of queries and keys (128)");
  app.add_option("--value_dim", texts.value_dim, "with --heads: width of values (head_dim)");
  app.add_option("--seq_len", texts.seq_lens,
                 "LIST: tokens of a sequence (512 to 2048 on a CPU, 2048 to 16384 on a GPU)");
  app.add_option("--tokens", texts.tokens,
                 "tokens of all sequences together (2048 on a CPU, 16384 on a GPU)");
  app.add_option("--sequences", texts.sequences, "number of sequences, instead of --tokens");
  app.add_option("--pass", texts.passes, "LIST of forward, backward, decode (all)");
}

void add_layer_flags(CLI::App& app, FlagTexts& texts) {
  app.add_option("--models", texts.models,
                 "ID,...: whose layers (gpt2-124m on a CPU, deepseek-v3 and llama-3-8b on a GPU)");
  app.add_option("--tokens", texts.tokens, of_a_micro_batch("", kLayerTokens));
  app.add_option("--experts", texts.experts,
                 "experts of a model on this device (those of one GPU of 64)");
  app.add_option("--pass", texts.passes, "LIST of forward, backward (both)");
  app.add_option("--prefer", texts.prefer,
                 "LIST of backends for GEMMs and attention, where they can (the vendor's library)");
  app.add_option("--co_sms", texts.co_sms,
                 "SMs (cores) of a co-runner that moves dispatch's and combine's bytes: the layer "
                 "and its parts are measured on all SMs, on those left, and beside it");
  app.add_option("--rate", texts.rate, "most bytes a second that it moves, read and written");
}

void add_overlap_flags(CLI::App& app, FlagTexts& texts) {
  app.add_option(
      "--beside", texts.beside,
      list_of(co_runner_names()) + " (all; the last two between GPUs, where there are two)");
  app.add_option("--co_sms", texts.co_sms,
                 "LIST of SMs (cores) that a co-runner holds (4 to 32; on a CPU up to half)");
  app.add_option("--rate", texts.rate, "most bytes a second that it moves, read and written");
  app.add_option("--m", texts.m, "with --n and --k: instead, this GEMM and a cast of m x k");
  app.add_option("--n", texts.n, "with --m and --k");
  app.add_option("--k", texts.k, "with --m and --n");
  app.add_option("--models", texts.models,
                 "ID,...: instead, the forward GEMM with most of their layers' FLOPs, a cast of "
                 "its m x k, and on a GPU the largest GEMM of their experts");
  app.add_option("--tokens", texts.tokens, of_a_micro_batch("for --models ", kLayerTokens));
}

void add_collective_flags(CLI::App& app, FlagTexts& texts) {
  texts.collective.add(app);
  app.add_option("--bytes", texts.bytes, "LIST: payload of one rank (1 KiB up in steps of 4)");
  app.add_option("--models", texts.models,
                 "ID,...: whose experts dispatch and combine go to (deepseek-v3)");
  app.add_option("--tokens", texts.tokens, "tokens of each rank, for dispatch and combine (4096)");
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

void add_case_flags(CLI::App& app, Options& options, FlagTexts& texts) {
  app.option_defaults()->group("What is measured");
  app.add_option("--dtype", texts.dtypes,
                 list_of(dtypes_of(options.program)) + ", as far as the backends have them");
  switch (options.program) {
    case Program::gemm:
      return add_gemm_flags(app, options, texts);
    case Program::memory:
      return add_memory_flags(app, options, texts);
    case Program::attention:
      return add_attention_flags(app, texts);
    case Program::layer:
      return add_layer_flags(app, texts);
    case Program::overlap:
      return add_overlap_flags(app, texts);
    case Program::collective:
      return add_collective_flags(app, texts);
  }
}

}  // namespace

std::vector<std::string> dtypes_of(Program program) {
  if (program == Program::layer) return {"bf16", "fp32", "fp8"};
  return dtype_names();
}

void add_flags(CLI::App& app, Options& options, FlagTexts& texts) {
  app.formatter(std::make_shared<HelpText>());
  app.set_help_flag();  // ours comes below; CLI11's would end parsing before other mistakes show
  add_case_flags(app, options, texts);
  add_method_flags(app, options, texts);
  add_record_flags(app, options, texts);
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

}  // namespace trainmeter
