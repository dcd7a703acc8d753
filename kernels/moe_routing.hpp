// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which ranks the tokens of a mixture of experts go to: the traffic of dispatch, and backwards of
// combine. Host arithmetic, the same on every rank.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>
#include <vector>

namespace trainmeter {

struct Routing {
  std::int64_t tokens = 0;  // of each rank
  std::int64_t experts = 0, top_k = 0;
  int ranks = 1;                 // each has experts / ranks of the experts
  std::int64_t nodes = 1;        // the ranks lie on, as many on each
  std::int64_t group_limit = 1;  // nodes that a token may go to
  double skew = 0;  // the k-th most wanted expert is chosen as k^-skew; 0: all alike (Zipf)
  std::uint64_t seed = 1;
};

// Tokens that rank i sends to rank j, at [i * ranks + j]: a token goes to a rank once, however many
// of its experts are there. A token's scores are the logarithms of the experts' popularity and
// Gumbel noise, so that its top_k are drawn by popularity without replacement; before that it
// chooses its nodes by the sum of the two best scores on each (DeepSeek-V3 report, 2.1.2, whose K /
// M is 2). std::invalid_argument, with the reason, for sizes that don't fit each other.
std::vector<std::int64_t> route(const Routing& routing);

// Ranks that a token goes to at least: its experts may all be on as few. It throws as `route` does,
// and takes no time.
std::int64_t fewest_ranks(const Routing& routing);

// Whether tokens of this type are sent with their scales: fp8's, one in fp32 for each 1 x 128, as
// DeepSeek-V3 sends them (its report, 3.3.3).
bool sent_with_scales(DType type);
// Elements of `type` that a token of so many values takes on the wire, its scales among them.
std::int64_t sent_elements(DType type, std::int64_t values);

}  // namespace trainmeter
