// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads the command line: Google's flags are taken out first, CLI11 reads ours.
#include "bench/options.hpp"

#include "bench/numbers.hpp"
#include "bench/option_flags.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/strict_json.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace trainmeter {
namespace {

// Sizes above are no size of this world; memory is checked against the machine later (exit 3).
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 40;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 52;
constexpr std::int64_t kMaxTokens = 1 << 24;  // of attention's sizes, as its kernels index them
constexpr std::int64_t kMaxThreads = 1 << 20;
constexpr std::int64_t kMaxSms = 1024;
constexpr std::int64_t kMaxGpus = 1 << 20;  // that a model is divided among

std::string description(Program program) {
  switch (program) {
    case Program::gemm:
      return "Measures matrix multiplication (and, on a CPU, the peak of its registers).";
    case Program::memory:
      return "Measures memory bandwidth: copy, read, write, triad, and the memory-bound kernels of "
             "a training step.";
    case Program::attention:
      return "Measures the attention core: forward, backward, and a decode step.";
    case Program::layer:
      return "Measures a transformer layer composed of the suite's operations: the whole, each "
             "operation in place, and the same alone, in turn.";
    case Program::collective:
      return "Measures collectives: between processes (mpirun -n 2 collective_bench), or between "
             "the GPUs of this process.";
    case Program::overlap:
      return "Measures how much an operation and a co-runner (data mover, poller, all-reduce) on "
             "SMs (cores) of its own slow each other down.";
  }
  return {};
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

void interpret(const FlagTexts& texts, Options& options) {
  if (!texts.max_seconds.empty()) {
    options.max_seconds = parse_non_negative("--max_seconds", texts.max_seconds);
  }
  if (!texts.target.empty()) options.target = parse_non_negative("--target", texts.target) / 100;
  if (!texts.case_seconds.empty()) {
    options.case_seconds = parse_non_negative("--case_seconds", texts.case_seconds);
  }
  if (!texts.dtypes.empty()) options.dtypes = parse_list("--dtype", texts.dtypes);
  for (const std::string& dtype : options.dtypes)
    one_of("--dtype", dtype, dtypes_of(options.program));
  if (!texts.models.empty()) options.models = parse_list("--models", texts.models);
  if (!texts.published.empty()) options.published = parse_list("--published", texts.published);
  if (!texts.tokens.empty()) options.tokens = parse_count("--tokens", texts.tokens, kMaxDimension);
  if (!texts.decode.empty()) options.decode = parse_counts("--decode", texts.decode, kMaxTokens);
  if (!texts.tp.empty()) options.tp = parse_count("--tp", texts.tp, kMaxGpus);
  if (!texts.ep.empty()) options.ep = parse_count("--ep", texts.ep, kMaxGpus);
  if (!texts.m.empty()) options.m = parse_counts("--m", texts.m, kMaxDimension);
  if (!texts.n.empty()) options.n = parse_counts("--n", texts.n, kMaxDimension);
  if (!texts.k.empty()) options.k = parse_counts("--k", texts.k, kMaxDimension);
  if (!texts.layouts.empty()) options.layouts = parse_list("--layout", texts.layouts);
  for (const std::string& layout : options.layouts) one_of("--layout", layout, {"nt", "nn", "tn"});
  if (!texts.scalings.empty()) options.scalings = parse_list("--scaling", texts.scalings);
  for (const std::string& one : options.scalings) one_of("--scaling", one, {"block128", "tensor"});
  if (!texts.sms.empty()) options.sms = parse_count("--sms", texts.sms, kMaxSms);
  if (!texts.groups.empty()) options.groups = parse_count("--groups", texts.groups, kMaxDimension);
  if (!texts.skews.empty()) options.skews = parse_list("--skew", texts.skews);
  for (const std::string& one : options.skews) one_of("--skew", one, {"balanced", "zipf", "hot"});
  if (!texts.kernels.empty()) options.kernels = parse_list("--kernels", texts.kernels);
  if (!texts.batch.empty()) options.batch = parse_counts("--batch", texts.batch, kMaxDimension);
  if (!texts.concurrent.empty()) {
    options.concurrent =
        texts.concurrent == "0"
            ? 0
            : static_cast<int>(parse_count("--concurrent", texts.concurrent, kMaxThreads));
    if (*options.concurrent == 1) throw BadInput("--concurrent: expected at least 2, found 1");
  }
  if (!texts.search.empty()) options.search_s = parse_non_negative("--search", texts.search);
  if (!texts.threads.empty()) {
    options.threads.clear();
    for (const std::string& word : parse_list("--threads", texts.threads)) {
      options.threads.push_back(
          word == "all" ? 0 : static_cast<int>(parse_count("--threads", word, kMaxThreads)));
    }
  }
  if (!texts.seq_lens.empty())
    options.seq_lens = parse_counts("--seq_len", texts.seq_lens, kMaxTokens);
  if (!texts.passes.empty()) options.passes = parse_list("--pass", texts.passes);
  if (!texts.prefer.empty()) options.prefer = parse_list("--prefer", texts.prefer);
  std::vector<std::string> passes = {"forward", "backward"};
  if (options.program == Program::attention) passes.emplace_back("decode");
  for (const std::string& pass : options.passes) one_of("--pass", pass, passes);
  if (!texts.experts.empty())
    options.experts = parse_count("--experts", texts.experts, kMaxDimension);
  const auto count = [](const char* flag, const std::string& text,
                        std::optional<std::int64_t>& value) {
    if (!text.empty()) value = parse_count(flag, text, kMaxTokens);
  };
  count("--sequences", texts.sequences, options.sequences);
  count("--heads", texts.heads, options.heads);
  count("--kv_heads", texts.kv_heads, options.kv_heads);
  count("--head_dim", texts.head_dim, options.head_dim);
  count("--value_dim", texts.value_dim, options.value_dim);
  if (!texts.beside.empty()) options.beside = parse_list("--beside", texts.beside);
  for (const std::string& one : options.beside) one_of("--beside", one, co_runner_names());
  if (!texts.co_sms.empty()) options.co_sms = parse_counts("--co_sms", texts.co_sms, kMaxSms);
  if (!texts.rate.empty()) options.co_bytes_per_s = parse_count("--rate", texts.rate, kMaxBytes);
  if (!texts.bytes.empty()) options.bytes = parse_counts("--bytes", texts.bytes, kMaxBytes);
  if (options.program == Program::collective) {
    options.collective = texts.collective.read(options.bytes, options.dtypes);
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
    if (command[i].empty()) {  // --out "$UNSET" would measure, and keep nothing
      throw BadInput(fmt::format("{}: expected a value, found an empty one",
                                 i > 1 ? command[i - 1] : "first argument"));
    }
    if (is_google_flag(command[i])) {
      read_google_flag(command[i], options.google);
    } else {
      ours.push_back(command[i]);
    }
  }
  CLI::App app(description(program), program_name(program));
  app.allow_extras();
  FlagTexts texts;
  add_flags(app, options, texts);
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
  interpret(texts, options);
  require_consistent(options);
  return options;
}

}  // namespace trainmeter
