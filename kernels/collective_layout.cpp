// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Who gets what from whom, collective by collective.
#include "kernels/collective_layout.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

using enum CollectiveKind;

constexpr std::int64_t kUnit = 16;  // bytes, of nccl-tests' equal parts

bool cuts(CollectiveKind what) {
  return what == all_gather || what == reduce_scatter || what == all_to_all;
}

std::int64_t count_between(const CollectiveProblem& problem, int from, int to, int ranks) {
  return problem.counts[static_cast<std::size_t>(from) * static_cast<std::size_t>(ranks) +
                        static_cast<std::size_t>(to)];
}

void lay_out_v(const CollectiveProblem& problem, int rank, int ranks, CollectiveLayout& out) {
  const auto wanted = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
  if (problem.counts.size() != wanted || std::ranges::min(problem.counts) < 0) {
    throw std::invalid_argument("alltoallv takes a count of at least 0 for each pair of ranks");
  }
  if (problem.in_place) throw std::invalid_argument("alltoallv can't work in place");
  for (int other = 0; other < ranks; ++other) {
    out.sections.push_back({out.send, count_between(problem, rank, other, ranks)});
    out.send += out.sections.back().count;
    std::int64_t before = 0;  // in the other's send buffer
    for (int to = 0; to < rank; ++to) before += count_between(problem, other, to, ranks);
    const Piece at{out.receive, count_between(problem, other, rank, ranks)};
    out.parts.push_back({.at = at, .from = other, .read = before});
    out.receive += at.count;
  }
  out.longest = std::ranges::max(problem.counts);
}

}  // namespace

std::string_view to_string(CollectiveKind what) {
  switch (what) {
    case all_reduce:
      return "allreduce";
    case all_gather:
      return "allgather";
    case reduce_scatter:
      return "reducescatter";
    case broadcast:
      return "broadcast";
    case reduce:
      return "reduce";
    case all_to_all:
      return "alltoall";
    case all_to_all_v:
      return "alltoallv";
    case send_recv:
      return "sendrecv";
  }
  throw std::invalid_argument("no such collective");
}

bool adds(CollectiveKind what) {
  return what == all_reduce || what == reduce_scatter || what == reduce;
}

CollectiveLayout layout_of(const CollectiveProblem& problem, int rank, int ranks) {
  CollectiveLayout out;
  if (problem.what == all_to_all_v) {
    lay_out_v(problem, rank, ranks, out);
    return out;
  }
  if (problem.bytes < 1 || problem.bytes % size_of(problem.dtype) != 0) {
    throw std::invalid_argument("bytes is a positive multiple of the element size, not " +
                                std::to_string(problem.bytes));
  }
  const std::int64_t count = problem.bytes / size_of(problem.dtype);
  if (cuts(problem.what) && count % ranks != 0) {
    throw std::invalid_argument(std::to_string(problem.bytes) + " bytes are not equal parts for " +
                                std::to_string(ranks) + " ranks");
  }
  const std::int64_t part = count / ranks;
  const std::int64_t mine = rank * part;
  const auto one_section = [&](std::int64_t length) {
    out.send = out.longest = length;
    out.sections = {{0, length}};
  };
  const auto section_each = [&] {
    out.send = count;
    out.longest = part;
    for (int other = 0; other < ranks; ++other) out.sections.push_back({other * part, part});
  };
  out.receive = count;
  const Piece all{0, count};
  switch (problem.what) {
    case all_reduce:
      one_section(count);
      out.parts = {{.at = all, .from = CollectiveLayout::kSum}};
      break;
    case all_gather:
      one_section(part);
      out.send_at = mine;
      for (int other = 0; other < ranks; ++other) {
        out.parts.push_back({.at = {other * part, part}, .from = other});
      }
      break;
    case reduce_scatter:
      section_each();
      out.receive = part;
      out.receive_at = mine;
      out.parts = {{.at = {0, part}, .from = CollectiveLayout::kSum, .read = mine}};
      break;
    case broadcast:
      one_section(count);
      if (rank != 0) out.sections.clear();
      out.parts = {{.at = all, .from = 0}};
      break;
    case reduce:
      one_section(count);
      if (rank == 0) out.parts = {{.at = all, .from = CollectiveLayout::kSum}};
      break;
    case all_to_all:
      section_each();
      for (int other = 0; other < ranks; ++other) {
        out.parts.push_back({.at = {other * part, part}, .from = other, .read = mine});
      }
      break;
    case send_recv:
      one_section(count);
      out.parts = {{.at = all, .from = (rank + ranks - 1) % ranks}};
      break;
    case all_to_all_v:
      break;
  }
  out.whole = std::max(out.send, out.receive);
  return out;
}

std::int64_t even_bytes(CollectiveKind what, DType dtype, std::int64_t bytes, int ranks) {
  if (cuts(what)) return bytes / ranks / kUnit * kUnit * ranks;
  return bytes / size_of(dtype) * size_of(dtype);
}

std::vector<std::int64_t> distance_weighted(DType dtype, std::int64_t bytes, int ranks) {
  std::vector<std::int64_t> counts;
  const std::int64_t even = bytes / ranks / kUnit * kUnit * ranks;
  const std::int64_t distances = std::int64_t{ranks} * (ranks - 1) / 2;
  for (int from = 0; from < ranks; ++from) {
    for (int to = 0; to < ranks; ++to) {
      const int distance = (to - from + ranks) % ranks;
      const double share = static_cast<double>(distance) * static_cast<double>(even) /
                           static_cast<double>(std::max<std::int64_t>(distances, 1));
      counts.push_back(static_cast<std::int64_t>(share) / kUnit * kUnit / size_of(dtype));
    }
  }
  return counts;
}

std::int64_t busiest(const std::vector<std::int64_t>& counts, int ranks, bool own) {
  std::int64_t most = 0;
  const auto n = static_cast<std::size_t>(ranks);
  for (std::size_t rank = 0; rank < n; ++rank) {
    std::int64_t sent = 0;
    std::int64_t received = 0;
    for (std::size_t other = 0; other < n; ++other) {
      if (other == rank && !own) continue;
      sent += counts[rank * n + other];
      received += counts[other * n + rank];
    }
    most = std::max({most, sent, received});
  }
  return most;
}

}  // namespace trainmeter
