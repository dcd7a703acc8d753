// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The collectives by what each rank holds before and after: the same arithmetic runs them over
// shared memory and checks every backend. Pure arithmetic.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace trainmeter {

// The root of broadcast and reduce is rank 0; in sendrecv each rank sends to the next one, the last
// to the first, all at once.
enum class CollectiveKind {
  all_reduce,
  all_gather,
  reduce_scatter,
  broadcast,
  reduce,
  all_to_all,
  all_to_all_v,
  send_recv
};
std::string_view to_string(CollectiveKind what);  // as in a record: "allreduce"
bool adds(CollectiveKind what);                   // sums; the others only move

struct CollectiveProblem {
  DType dtype = DType::fp32;
  // Payload as nccl-tests counts it, a multiple of the element size: of one rank; of allgather what
  // each rank gets, of reducescatter and alltoall what each rank gives.
  std::int64_t bytes = 0;
  CollectiveKind what = CollectiveKind::all_reduce;
  bool in_place = false;
  // Of all_to_all_v: elements that rank i sends to rank j, at [i * ranks + j]; `bytes` is unused.
  std::vector<std::int64_t> counts;
};

// Elements [first, first + count).
struct Piece {
  std::int64_t first = 0, count = 0;
};

// What one rank holds and gets, in elements.
struct CollectiveLayout {
  static constexpr int kSum = -1;
  struct Part {             // of the result
    Piece at;               // in the receive buffer
    int from = 0;           // a rank, or kSum: of all ranks
    std::int64_t read = 0;  // where it begins in each sender's send buffer
  };

  std::int64_t send = 0, receive = 0;        // of the two buffers
  std::int64_t whole = 0;                    // in place: of the one buffer that both lie in,
  std::int64_t send_at = 0, receive_at = 0;  // and where
  std::vector<Piece> sections;  // of the send buffer: one for all, or one for each rank;
                                // none where it isn't read
  std::vector<Part> parts;
  std::int64_t longest = 0;  // section of any rank
};

// std::invalid_argument where the sizes don't fit each other, or in place has no meaning.
CollectiveLayout layout_of(const CollectiveProblem& problem, int rank, int ranks);

// `bytes` rounded down to what can be cut into equal parts, each of whole 16 bytes as in
// nccl-tests, where the collective does so. May be 0.
std::int64_t even_bytes(CollectiveKind what, DType dtype, std::int64_t bytes, int ranks);

// nccl-tests' default pattern of alltoallv: every rank sends `bytes` in all, to the d-th rank after
// it in proportion to d, each part whole 16 bytes; nothing to itself.
std::vector<std::int64_t> distance_weighted(DType dtype, std::int64_t bytes, int ranks);

// The most elements that a rank sends or receives. `own`: what it sends to itself counts.
std::int64_t busiest(const std::vector<std::int64_t>& counts, int ranks, bool own);

}  // namespace trainmeter
