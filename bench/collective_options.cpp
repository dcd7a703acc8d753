// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads collective_bench's own flags; nccl-tests' mean here what they mean there.
#include "bench/collective_options.hpp"

#include "bench/backend_names.hpp"
#include "bench/numbers.hpp"
#include "kernels/allreduce_plan.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/nccl_names.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace trainmeter {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 52;
constexpr std::int64_t kMostCount = 1 << 24;
constexpr std::int64_t kNcclDefault = 32 << 20;  // -b and -e
constexpr std::int64_t kNcclStep = 1 << 20;      // -i
constexpr std::int64_t kOwnFactor = 4;  // without their table, where neither -i nor -f is given
constexpr std::int64_t kMostSkew = 100;
constexpr std::int64_t kNcclIterations = 20, kNcclWarmup = 1;

void require_known(const char* flag, const std::string& word,
                   const std::vector<std::string>& known) {
  if (std::ranges::find(known, word) != known.end()) return;
  throw BadInput(fmt::format("{}: '{}': expected one of {}", flag, word, fmt::join(known, ", ")));
}

// 8, 32M, 1.5g: K, M and G are powers of 1024.
std::int64_t size(const char* flag, const std::string& text) {
  double unit = 1;
  std::string digits = text;
  if (!digits.empty()) {
    const char last = static_cast<char>(std::tolower(static_cast<unsigned char>(digits.back())));
    if (last == 'k') unit = 1024;
    if (last == 'm') unit = 1024.0 * 1024;
    if (last == 'g') unit = 1024.0 * 1024 * 1024;
    if (unit > 1) digits.pop_back();
  }
  double bytes = 0;
  try {
    bytes = std::floor(parse_non_negative(flag, digits) * unit);
  } catch (const BadInput&) {  // said below
  }
  if (!(bytes >= 1 && bytes <= static_cast<double>(kMost))) {
    throw BadInput(fmt::format("{}: '{}': expected bytes, such as 8 or 32M", flag, text));
  }
  return static_cast<std::int64_t>(bytes);
}

std::int64_t or_zero(const char* flag, const std::string& text) {
  return text == "0" ? 0 : parse_count(flag, text, kMostCount);
}

// In hundredths, as records have it.
std::int64_t read_skew(const std::string& text) {
  constexpr double kRoundingOfBinary = 1e-9;
  const double hundredths = 100 * parse_non_negative("--skew", text);
  const double whole = std::round(hundredths);
  if (!(whole <= 100 * kMostSkew && std::abs(hundredths - whole) < kRoundingOfBinary)) {
    throw BadInput(
        fmt::format("--skew: '{}': expected 0 to {}, in steps of 0.01", text, kMostSkew));
  }
  return static_cast<std::int64_t>(whole);
}

Split read_split(const std::string& text) {
  if (text.empty()) return {};
  if (text == "node") return {.by = Split::By::node};
  if (text == "rail") return {.by = Split::By::rail};
  std::int64_t ranks = 0;
  try {
    ranks = parse_count("--split", text, kMostCount);
  } catch (const BadInput&) {
  }
  if (ranks < 2) {
    throw BadInput(fmt::format("--split: '{}': expected node, rail or ranks of a group", text));
  }
  return {.by = Split::By::count, .size = static_cast<int>(ranks)};
}

std::vector<std::int64_t> sizes_of(const CollectiveOptions& o) {
  constexpr std::size_t kMostSizes = 10'000;
  std::vector<std::int64_t> sizes;
  std::int64_t bytes = o.least_bytes;
  while (bytes <= o.most_bytes && sizes.size() < kMostSizes) {
    sizes.push_back(bytes);
    if (o.factor > 1 && bytes > o.most_bytes / o.factor) break;
    bytes = o.factor > 1 ? bytes * o.factor : bytes + o.step_bytes;
  }
  return sizes;
}

}  // namespace

bool of_experts(const std::string& operation) {
  return operation == "dispatch" || operation == "combine";
}

void CollectiveFlags::add(CLI::App& app) {
  app.add_option("--operation", operations,
                 "LIST of allreduce, allgather, reducescatter, broadcast, reduce, alltoall, "
                 "alltoallv, sendrecv, dispatch, combine (allreduce)");
  app.add_option(
      "--backend", backends,
      "LIST of shm, mpi, gloo, nccl, peer (all there are; gloo beside shm only where named)");
  app.add_option("--place", places, "LIST of out, in: into another buffer, or in place (out)");
  app.add_option("--split", split,
                 "node|rail|N: groups of ranks that work at once: those of a host, those at the "
                 "same place of each host, or N in a row");
  app.add_option("--virtual_ranks", virtual_ranks,
                 "2 to 8: so many ranks' payloads on one GPU, reduced by our own all-reduce; its "
                 "times say nothing of links");
  app.add_option("--system", system,
                 "ID of results/published/systems: whose link rates are expected where NVML tells "
                 "none, and between hosts");
  app.add_option("--nodes", nodes, "dispatch, combine: as if the ranks lay on so many (1)");
  app.add_option("--group_limit", group_limit,
                 "dispatch, combine: nodes that a token may go to (the model's)");
  app.add_option(
      "--skew", skew,
      "dispatch, combine: the k-th most wanted expert is chosen as k^-SKEW (0; at most 100, "
      "in steps of 0.01)");
  app.add_option("--format", format, "google|nccl-tests: what stdout gets");
  app.add_option("-b,--minbytes", least, "nccl-tests: least size, as 8 or 32M (32M)");
  app.add_option("-e,--maxbytes", most, "nccl-tests: most (32M)");
  app.add_option("-i,--stepbytes", step, "nccl-tests: from one to the next (with its --format 1M)");
  app.add_option("-f,--stepfactor", factor,
                 "nccl-tests: instead, how many times as much, from 2 on (4; with its --format 1: "
                 "-i counts)");
  app.add_option("-n,--iters", iterations, "nccl-tests: samples of a case, exactly (20)");
  app.add_option("-w,--warmup_iters", warmup, "nccl-tests: and runs before them (1)");
  app.add_option("-c,--check", check, "nccl-tests: 0: don't check results (1)");
  app.add_option("-g,--ngpus", gpus, "nccl-tests: GPUs of this process (all; on a CPU 1)");
  app.add_option("-o,--op", reduction, "OP: nccl-tests: sum");
  app.add_option("-d,--datatype", type,
                 "TYPE: nccl-tests: float, double, half, bfloat16, int8, f8e4m3, f8e5m2 (float)");
}

CollectiveOptions CollectiveFlags::read(std::vector<std::int64_t>& bytes,
                                        std::vector<std::string>& dtypes) const {
  CollectiveOptions out;
  if (!operations.empty()) out.operations = parse_list("--operation", operations);
  for (const std::string& one : out.operations) {
    require_known("--operation", one, collective_names());
  }
  if (!backends.empty()) out.backends = parse_list("--backend", backends);
  for (const std::string& one : out.backends) {
    require_known("--backend", one, backend_names(Program::collective));
  }
  if (!places.empty()) {
    out.in_place.clear();
    for (const std::string& one : parse_list("--place", places)) {
      require_known("--place", one, {"out", "in"});
      out.in_place.push_back(one == "in");
    }
  }
  out.system = system;
  out.split_text = split;
  out.split = read_split(split);
  if (!virtual_ranks.empty()) {
    out.virtual_ranks = static_cast<int>(parse_count("--virtual_ranks", virtual_ranks, kMostPeers));
    if (out.virtual_ranks < 2) {
      throw BadInput(
          fmt::format("--virtual_ranks: '{}': expected 2 to {}", virtual_ranks, kMostPeers));
    }
    if (!split.empty()) throw BadInput("--virtual_ranks and --split: expected one of them");
    if (!gpus.empty()) throw BadInput("--virtual_ranks and -g: expected one of them");
    if (format != "google") {
      throw BadInput("--virtual_ranks: its rates are no link's, so not as nccl-tests");
    }
  }
  if (!nodes.empty()) out.nodes = parse_count("--nodes", nodes, kMostCount);
  if (!group_limit.empty()) {
    out.group_limit = parse_count("--group_limit", group_limit, kMostCount);
  }
  if (!skew.empty()) out.skew_pct = read_skew(skew);
  const bool any_of_experts = std::ranges::any_of(out.operations, of_experts);
  if (!any_of_experts && (!nodes.empty() || !group_limit.empty() || !skew.empty())) {
    throw BadInput(
        "--nodes, --group_limit and --skew: expected together with --operation=dispatch or "
        "combine");
  }

  require_known("--format", format, {"google", "nccl-tests"});
  out.nccl_tests = format == "nccl-tests";
  if (!reduction.empty()) require_known("-o", reduction, {"sum"});
  if (!check.empty()) out.checks = or_zero("-c", check);
  if (!gpus.empty()) out.gpus = static_cast<int>(parse_count("-g", gpus, kMostCount));
  if (!iterations.empty()) out.iterations = parse_count("-n", iterations, kMostCount);
  if (!warmup.empty()) out.warmup = or_zero("-w", warmup);
  const bool sized = !least.empty() || !most.empty() || !step.empty() || !factor.empty();
  if (sized && !bytes.empty()) throw BadInput("--bytes and -b, -e, -i, -f: expected one of them");
  if ((sized || !bytes.empty()) && std::ranges::all_of(out.operations, of_experts)) {
    throw BadInput(
        "--bytes and -b, -e, -i, -f: expected with another operation than dispatch and combine, "
        "whose sizes follow from --models and --tokens");
  }
  out.least_bytes = least.empty() ? kNcclDefault : size("-b", least);
  out.most_bytes = most.empty() ? std::max(kNcclDefault, out.least_bytes) : size("-e", most);
  out.step_bytes = step.empty() ? kNcclStep : size("-i", step);
  if (!factor.empty()) out.factor = parse_count("-f", factor, kMostCount);
  if (factor.empty() && step.empty() && !out.nccl_tests) out.factor = kOwnFactor;
  if (out.least_bytes > out.most_bytes) {
    throw BadInput(fmt::format("-b and -e: expected the least before the most, not {} and {}",
                               out.least_bytes, out.most_bytes));
  }
  if (sized || (out.nccl_tests && bytes.empty())) {
    bytes = sizes_of(out);
    out.whole_elements = true;
  } else if (!bytes.empty()) {
    out.least_bytes = std::ranges::min(bytes);
    out.most_bytes = std::ranges::max(bytes);
  }
  if (!type.empty()) {
    const std::string dtype = dtype_of_nccl(type);
    if (dtype.empty()) {
      throw BadInput(
          fmt::format("-d: '{}': expected one of float, double, half, bfloat16, int8, "
                      "f8e4m3, f8e5m2",
                      type));
    }
    if (!dtypes.empty()) throw BadInput("--dtype and -d: expected one of them");
    dtypes = {dtype};
  }
  if (!out.nccl_tests) return out;
  if (out.operations.size() > 1 || out.backends.size() > 1 || dtypes.size() > 1) {
    throw BadInput(
        "--format=nccl-tests: expected one --operation, one --backend and one type, as each of "
        "its programs has");
  }
  if (nccl_type(dtypes.empty() ? "fp32" : dtypes.front()).empty()) {
    throw BadInput(fmt::format("--format=nccl-tests: it has no name for {}", dtypes.front()));
  }
  if (any_of_experts) {
    throw BadInput("--format=nccl-tests: it knows no dispatch and combine");
  }
  out.in_place = {false, true};
  if (!out.iterations) out.iterations = kNcclIterations;
  if (!out.warmup) out.warmup = kNcclWarmup;
  return out;
}

}  // namespace trainmeter
