// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command line: what is accepted, and the one line that each mistake gives.
#include "bench/options.hpp"

#include "bench/backend_names.hpp"
#include "bench/exit_code.hpp"
#include "bench/numbers.hpp"
#include "bench/progress.hpp"
#include "bench/session.hpp"
#include "kernels/backends.hpp"
#include "kernels/operation.hpp"
#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Options read(std::vector<std::string> words, Program program = Program::gemm) {
  words.insert(words.begin(), program_name(program));
  return read_options(program, words);
}

std::string mistake(const std::vector<std::string>& words, Program program = Program::gemm) {
  try {
    (void)read(words, program);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "accepted";
}

// So that a backend that this build or machine lacks isn't taken for a mistake.
TEST(Options, EveryBackendThatIsBuiltCanBeNamed) {
  const auto known = [](Program program, std::string_view name) {
    const std::vector<std::string>& names = backend_names(program);
    return std::ranges::find(names, name) != names.end();
  };
  for (const Program of_gemms : {Program::gemm, Program::layer, Program::overlap}) {
    for (const auto& b : gemm_backends()) EXPECT_TRUE(known(of_gemms, b.name)) << b.name;
    for (const auto& b : grouped_gemm_backends()) EXPECT_TRUE(known(of_gemms, b.name)) << b.name;
  }
  for (const auto& b : memory_backends()) EXPECT_TRUE(known(Program::memory, b.name)) << b.name;
  for (const auto& b : transfer_backends()) EXPECT_TRUE(known(Program::memory, b.name)) << b.name;
  for (const auto& b : step_backends()) EXPECT_TRUE(known(Program::memory, b.name)) << b.name;
  for (const auto& b : attention_backends())
    EXPECT_TRUE(known(Program::attention, b.name)) << b.name;
}

TEST(Options, Defaults) {
  const Options options = read({});
  EXPECT_EQ(options.device, "auto");
  EXPECT_EQ(options.google.repetitions, 1);
  EXPECT_DOUBLE_EQ(options.rules().min_time_s, 0.2);
  EXPECT_EQ(options.rules().min_samples, 10);
  EXPECT_EQ(options.rules().max_samples, 10'000);
}

// So that a collective's percentiles are those of single runs.
TEST(Options, OnlyACollectivesRunsStaySingleUnlessATimeIsAskedFor) {
  EXPECT_TRUE(read({}).rules().batch_for_time);
  EXPECT_FALSE(read({}, Program::collective).rules().batch_for_time);
  for (const char* word : {"--benchmark_min_time=3", "--regime=sustained"})
    EXPECT_TRUE(read({word}, Program::collective).rules().batch_for_time) << word;
}

TEST(Options, ReadsOurFlags) {
  const Options options =
      read({"--device=cpu", "--models=gpt2-124m,deepseek-v3", "--tokens=2048", "--out=a.jsonl",
            "--resume", "--max_seconds=1.5", "--versus=openblas", "--m=1,2", "--n", "3", "--k=4",
            "--layout=tn,nn", "--dtype=fp32,bf16"});
  EXPECT_EQ(options.device, "cpu");
  EXPECT_THAT(options.models, ElementsAre("gpt2-124m", "deepseek-v3"));
  EXPECT_EQ(options.tokens, 2048);
  EXPECT_EQ(options.out, "a.jsonl");
  EXPECT_TRUE(options.resume);
  EXPECT_DOUBLE_EQ(options.max_seconds.value_or(0), 1.5);
  EXPECT_EQ(options.versus, "openblas");
  EXPECT_THAT(options.m, ElementsAre(1, 2));
  EXPECT_THAT(read({"--published=deepgemm,mamf"}).published, ElementsAre("deepgemm", "mamf"));
  EXPECT_THAT(options.n, ElementsAre(3));
  EXPECT_THAT(options.layouts, ElementsAre("tn", "nn"));
  EXPECT_THAT(options.dtypes, ElementsAre("fp32", "bf16"));
}

TEST(Options, WhatIsNamedTwiceIsMeasuredOnce) {
  const Options options = read({"--models=gpt2-124m,deepseek-v3,gpt2-124m", "--decode=8,1,8"});
  EXPECT_THAT(options.models, ElementsAre("gpt2-124m", "deepseek-v3"));
  EXPECT_THAT(options.decode, ElementsAre(8, 1));
  EXPECT_THAT(read({"--m=1,1", "--n=2,02", "--k=3"}).n, ElementsAre(2));
}

TEST(Options, MemoryReadsModelsAndKernels) {
  const Options options =
      read({"--models=gpt2-124m", "--tokens=64", "--kernels=rmsnorm,copy"}, Program::memory);
  EXPECT_THAT(options.models, ElementsAre("gpt2-124m"));
  EXPECT_EQ(options.tokens, 64);
  EXPECT_THAT(options.kernels, ElementsAre("rmsnorm", "copy"));
}

TEST(Options, ASearchTakesSecondsOrItsDefault) {
  EXPECT_FALSE(read({}).search_s);
  EXPECT_DOUBLE_EQ(read({"--search"}).search_s.value(), 60);
  const Options options = read({"--search=1.5", "--layout=tn", "--benchmark_min_time=0.1"});
  EXPECT_DOUBLE_EQ(options.search_s.value(), 1.5);
  EXPECT_LT(options.quick_rules().min_time_s, options.rules().min_time_s);
  EXPECT_LT(options.quick_rules().warmup_s, options.rules().warmup_s);
  for (const auto& words : {std::vector<std::string>{"--search", "--models=gpt2-124m"},
                            {"--search", "--m=1", "--n=1", "--k=1"},
                            {"--search", "--versus=openblas"},
                            {"--search", "--benchmark_list_tests"}}) {
    EXPECT_THAT(mistake(words), HasSubstr("--search: ")) << words[1];
  }
}

TEST(Options, MemoryTakesThreadsAndPlaces) {
  EXPECT_THAT(read({}, Program::memory).threads, ElementsAre(0));
  const Options options = read({"--threads=1,4,all", "--numa"}, Program::memory);
  EXPECT_THAT(options.threads, ElementsAre(1, 4, 0));
  EXPECT_TRUE(options.numa);
  EXPECT_EQ(read({"--cache=l2"}, Program::memory).cache, "l2");
}

TEST(Options, CollectivesTakeNcclTestsFlags) {
  const Options ours = read({"--operation=allgather,alltoallv", "--place=out,in", "--split=4",
                             "--backend=shm", "--bytes=64"},
                            Program::collective);
  EXPECT_THAT(ours.collective.operations, ElementsAre("allgather", "alltoallv"));
  EXPECT_THAT(ours.collective.in_place, ElementsAre(false, true));
  EXPECT_EQ(ours.collective.split.size, 4);
  EXPECT_THAT(ours.bytes, ElementsAre(64));
  EXPECT_FALSE(ours.collective.nccl_tests);
  const Options theirs = read({"--format=nccl-tests", "-b", "8", "-e", "1.5K", "-f", "8", "-n", "5",
                               "-w", "0", "-c", "0", "-d", "half", "-o", "sum", "-g", "1"},
                              Program::collective);
  EXPECT_THAT(theirs.bytes, ElementsAre(8, 64, 512));
  EXPECT_THAT(theirs.dtypes, ElementsAre("fp16"));
  EXPECT_EQ(theirs.rules().max_samples, 5);
  EXPECT_EQ(theirs.rules().min_samples, 5);
  EXPECT_EQ(theirs.rules().warmup_samples, 0);
  EXPECT_FALSE(theirs.rules().check);
  EXPECT_TRUE(read({"-c", "5"}, Program::collective).rules().check);
  const Options defaults = read({"--format=nccl-tests"}, Program::collective);
  EXPECT_THAT(defaults.bytes, ElementsAre(32 << 20));
  EXPECT_EQ(defaults.rules().max_samples, 20);
  // Without its format, 4 times the last where neither a step nor a factor is given.
  const auto sizes = [](const std::vector<std::string>& words) {
    return read(words, Program::collective).bytes;
  };
  constexpr std::int64_t kMiB = 1 << 20;
  EXPECT_THAT(sizes({"-b", "1K"}), ElementsAre(1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10,
                                               kMiB, 4 * kMiB, 16 * kMiB));
  EXPECT_THAT(sizes({"-e", "1G"}), ElementsAre(32 * kMiB, 128 * kMiB, 512 * kMiB));
  EXPECT_EQ(sizes({"-b", "1K", "-i", "1M"}).size(), 32U);
  EXPECT_EQ(sizes({"-b", "1K", "-f", "1"}).size(), 32U);
  EXPECT_EQ(sizes({"-b", "1K", "--format=nccl-tests"}).size(), 32U);
  EXPECT_THAT(sizes({"-n", "5"}), ::testing::IsEmpty());
  for (const auto& [words, said] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"-b", "x"}, "-b: 'x'"},
           {{"-b", "1Q"}, "-b: '1Q': expected bytes, such as 8 or 32M"},
           {{"-b", "0"}, "-b: '0': expected bytes, such as 8 or 32M"},
           {{"-b", "2M", "-e", "1M"}, "-b and -e: expected the least before the most"},
           {{"-b", "8", "--bytes=8"}, "expected one of them"},
           {{"-d", "int32"}, "-d: 'int32': expected one of float"},
           {{"-o", "max"}, "-o: 'max': expected one of sum"},
           {{"-c", "x"}, "-c: 'x'"},
           {{"--split=1"}, "--split: '1': expected node, rail or ranks of a group"},
           {{"--split=x"}, "--split: 'x'"},
           {{"--operation=gossip"}, "--operation: 'gossip': expected one of allreduce"},
           {{"--place=up"}, "--place: 'up': expected one of out, in"},
           {{"--format=nccl-tests", "--operation=reduce,broadcast"}, "expected one --operation"},
           {{"--format=nccl-tests", "--operation=dispatch"}, "it knows no dispatch"},
           {{"--format=nccl-tests", "--out=r.jsonl", "--resume"},
            "--resume: expected without --format=nccl-tests"},
           {{"--format=text"}, "--format: 'text': expected one of google, nccl-tests"}}) {
    EXPECT_THAT(mistake(words, Program::collective), HasSubstr(said));
  }
}

TEST(Options, ReadsGooglesFlags) {
  for (const char* text : {"--benchmark_min_time=0.5", "--benchmark_min_time=0.5s"}) {
    EXPECT_DOUBLE_EQ(read({text}).rules().min_time_s, 0.5) << text;
  }
  EXPECT_DOUBLE_EQ(read({"--benchmark_min_warmup_time=3"}).rules().warmup_s, 3);
  EXPECT_GE(read({"--benchmark_min_warmup_time=3"}).rules().max_warmup_s, 3);
  const Options options = read({"--benchmark_list_tests", "--benchmark_format=json",
                                "--benchmark_repetitions=3", "--benchmark_context=a=b"});
  EXPECT_TRUE(options.google.list_tests);
  EXPECT_EQ(options.google.format, "json");
  EXPECT_EQ(options.google.repetitions, 3);
  EXPECT_THAT(
      options.google.forward,
      ElementsAre("--benchmark_list_tests", "--benchmark_format=json", "--benchmark_context=a=b"));
  EXPECT_FALSE(read({"--benchmark_list_tests=false"}).google.list_tests);
}

TEST(Options, EveryMistakeIsOneLineThatNamesTheFlag) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"--nosuch", "unknown flag '--nosuch' (try --help)"},
      {"-z", "unknown flag '-z' (try --help)"},
      {"nonsense", "unexpected argument 'nonsense' (try --help)"},
      {"--devcie=cpu", "unknown flag '--devcie' (did you mean '--device'?)"},
      {"--benchmark_filtr=x",
       "unknown flag '--benchmark_filtr' (did you mean '--benchmark_filter'?)"},
      {"--device=tpu", "--device: 'tpu': expected one of auto, gpu, cpu"},
      {"--max_seconds=-1", "--max_seconds: '-1': expected a number of at least 0"},
      {"--max_seconds=nan", "--max_seconds: 'nan': expected a number of at least 0"},
      {"--m=1,2", "--m, --n and --k: expected all three"},
      {"--m=-5", "--m: -5: expected at least 1"},
      {"--m=0", "--m: 0: expected at least 1"},
      {"--m=abc", "--m: 'abc': expected a whole number"},
      {"--m=1.5", "--m: '1.5': expected a whole number"},
      {"--m=99999999999999999999", "expected at most"},
      {"--m=1,,2", "--m: '1,,2': expected values between commas"},
      {"--layout=nt", "--layout: expected together with --m, --n and --k"},
      {"--batch=16", "--batch: expected together with --m, --n and --k"},
      {"--batch=0", "--batch: 0: expected at least 1"},
      {"--fp32_out", "--fp32_out: expected together with --m, --n and --k"},
      {"--search=soon", "--search: 'soon': expected a number of at least 0"},
      {"--layout=tt", "--layout: 'tt': expected one of nt, nn, tn"},
      {"--dtype=fp31", "--dtype: 'fp31': expected one of fp64"},
      {"--tokens=5", "--tokens: expected together with --models"},
      {"--resume", "--resume: expected together with --out"},
      {"stray", "unexpected argument 'stray'"},
      {"--benchmark_filter", "--benchmark_filter: expected --benchmark_filter=VALUE"},
      {"--benchmark_filter=[", "not a regular expression"},
      {"--benchmark_format=xml", "expected one of console, json, csv"},
      {"--benchmark_repetitions=0", "--benchmark_repetitions: 0: expected at least 1"},
      {"--benchmark_min_time=soon", "--benchmark_min_time: 'soon': expected a number"},
      {"--benchmark_min_time=-1", "expected a number of at least 0"},
      {"--benchmark_list_tests=maybe", "expected true or false"},
      {"--benchmark_context=a", "expected KEY=VALUE"},
      {"--benchmark_out=/no/such/folder/x.json", "/no/such/folder/x.json: cannot be written"},
  };
  for (const auto& [words, text] : mistakes) {
    const std::string found = mistake({words});
    EXPECT_THAT(found, HasSubstr(text)) << words;
    EXPECT_EQ(found.find('\n'), std::string::npos) << words;
  }
  EXPECT_THAT(mistake({"--out", ""}), HasSubstr("--out: expected a value, found an empty one"));
  EXPECT_THAT(mistake({"--kernels=copy"}), HasSubstr("unknown flag '--kernels'"));
  EXPECT_THAT(mistake({"--tokens=4"}, Program::memory), HasSubstr("together with --models"));
  EXPECT_THAT(mistake({"--tokens=4"}, Program::overlap), HasSubstr("together with --models"));
  EXPECT_THAT(mistake({"--models=gpt2-124m", "--m=4", "--n=4", "--k=4"}, Program::overlap),
              HasSubstr("--models and --m, --n, --k: expected one of them"));
  EXPECT_THAT(mistake({"--m=4"}, Program::memory), HasSubstr("unknown flag '--m'"));
  EXPECT_THAT(mistake({"--cache=cold"}, Program::collective),
              HasSubstr("--cache: 'cold': expected one of rotate, hot"));
  EXPECT_THAT(mistake({"--cache=l3"}, Program::memory),
              HasSubstr("--cache: 'l3': expected one of rotate, hot, cold, l2"));
  EXPECT_THAT(mistake({"--cache=l2", "--bytes=4096"}, Program::memory),
              HasSubstr("--cache=l2: expected without --bytes"));
  EXPECT_THAT(mistake({"--threads=1,some"}, Program::memory), HasSubstr("--threads: 'some'"));
  EXPECT_THAT(mistake({"--bytes=0"}, Program::memory),
              HasSubstr("--bytes: 0: expected at least 1"));
}

TEST(Options, HelpShowsOursAndGooglesFlags) {
  const Options options = read({"--help"});
  EXPECT_TRUE(options.help);
  for (const char* flag : {"--device", "--models", "--versus", "--resume", "--benchmark_filter",
                           "--benchmark_out_format", "--benchmark_time_unit"}) {
    EXPECT_THAT(options.help_text, HasSubstr(flag));
  }
}

TEST(Options, HelpIsInPlainWords) {
  for (const Program program : {Program::gemm, Program::memory, Program::attention, Program::layer,
                                Program::collective, Program::overlap}) {
    const std::string text = read({"--help"}, program).help_text;
    EXPECT_THAT(text, ::testing::Not(HasSubstr("TEXT")));
    EXPECT_EQ(text.find('{'), std::string::npos) << text;
    EXPECT_THAT(text, ::testing::ContainsRegex("--device=auto.gpu.cpu +auto is the GPU"));
    const char* types = program == Program::layer ? "of bf16, fp32, fp8," : "of fp64, fp32, tf32,";
    EXPECT_THAT(text, ::testing::ContainsRegex(std::string("--dtype=LIST +") + types));
    EXPECT_THAT(text, ::testing::ContainsRegex("--max_seconds=N +start no further case"));
    EXPECT_THAT(text, ::testing::ContainsRegex("--no_sentinel +don't check"));
    EXPECT_THAT(text, HasSubstr("Exit codes: 0 fine; 1 a wrong result"));
    const std::size_t page = text.rfind("docs/");
    const std::string file = text.substr(page, text.find('\n', page) - page);
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(TRAINMETER_SOURCE_DIR) / file))
        << file;
  }
}

// What a flag takes is learnt from its own refusal: "expected one of a, b, c".
TEST(Options, HelpNamesEveryWordThatAFlagTakes) {
  const std::string expected_one_of = "expected one of ";
  for (const Program program : {Program::gemm, Program::memory, Program::attention, Program::layer,
                                Program::collective, Program::overlap}) {
    const std::string help = read({"--help"}, program).help_text;
    const std::regex with_value("(--[a-z_]+)=");
    int choices = 0;
    for (auto flag = std::sregex_iterator(help.begin(), help.end(), with_value);
         flag != std::sregex_iterator(); ++flag) {
      std::string refusal;
      try {
        read({(*flag)[1].str() + "=nosuch"}, program);
        continue;
      } catch (const BadInput& error) {
        refusal = error.what();
      }
      const std::size_t words = refusal.find(expected_one_of);
      if (words == std::string::npos) continue;
      ++choices;
      std::istringstream list(refusal.substr(words + expected_one_of.size()));
      std::string word;
      while (std::getline(list >> std::ws, word, ',')) {
        EXPECT_TRUE(std::regex_search(help, std::regex("[ =|]" + word + "[ |,;:)\n]")))
            << program_name(program) << " " << (*flag)[1] << ": --help doesn't name " << word;
      }
    }
    EXPECT_GE(choices, 4) << program_name(program);
  }
}

TEST(NameFilter, MatchesWithAndWithoutGooglesSuffix) {
  const std::string name = "gemm/fp32/onednn/m:512/n:512/k:512";
  EXPECT_TRUE(NameFilter("").matches(name));
  EXPECT_TRUE(NameFilter("all").matches(name));
  EXPECT_TRUE(NameFilter("k:512$").matches(name));
  EXPECT_TRUE(NameFilter("manual_time$").matches(name));
  EXPECT_TRUE(NameFilter("fp32|bf16").matches(name));
  EXPECT_FALSE(NameFilter("-fp32").matches(name));
  EXPECT_FALSE(NameFilter("fp64").matches(name));
}

TEST(ExitCode, EachErrorHasItsOwn) {
  const auto code = [](const std::function<int()>& body) { return run_program("test", body); };
  EXPECT_EQ(code([] { return 0; }), 0);
  EXPECT_EQ(code([]() -> int { throw BadInput("x"); }), 2);
  EXPECT_EQ(code([]() -> int { throw Unavailable("x"); }), 3);
  EXPECT_EQ(code([]() -> int { throw std::bad_alloc(); }), 3);
  EXPECT_EQ(code([]() -> int { throw EnvironmentFailed("x"); }), 4);
  EXPECT_EQ(code([]() -> int { throw std::runtime_error("x"); }), 4);
}

TEST(Progress, SaysWhereItIsAndHowLong) {
  EXPECT_EQ(progress_line(0, 4, 0, "a"), "1/4  0 %  a");
  EXPECT_EQ(progress_line(1, 4, 10, "b"), "2/4  25 %  about 30 s left  b");
  EXPECT_EQ(progress_line(1, 4, 100, "c"), "2/4  25 %  about 5 min left  c");
}

TEST(Session, KeepsOnlyAllowedVariables) {
  const char* const variables[] = {"OMP_NUM_THREADS=2",  "HOME=/root",   "API_TOKEN=x",
                                   "SLURM_JOB_ID=7",     "NOTHING",      "SLURM_JWT=x",
                                   "NCCL_X_TOKEN=x",     "UCX_SECRET=x", "TRAINMETER_TOKEN=x",
                                   "XOMP_NUM_THREADS=2", nullptr};
  const auto found = allowed_environment(variables);
  EXPECT_EQ(found.size(), 2U);
  EXPECT_EQ(found.at("OMP_NUM_THREADS"), "2");
  EXPECT_EQ(found.at("SLURM_JOB_ID"), "7");
}

TEST(Session, KnowsRevisionAndVersion) {
  EXPECT_FALSE(git_revision().empty());
  EXPECT_THAT(std::string(program_version()), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}

}  // namespace
}  // namespace trainmeter
