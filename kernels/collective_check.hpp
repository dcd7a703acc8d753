// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a collective's result should be, made again on the rank that has it, piece by piece, from
// the seeds of all ranks.
#pragma once

#include "kernels/collective_layout.hpp"
#include "kernels/rank_groups.hpp"

#include <cstdint>

namespace trainmeter {

// `count` elements from `first` on of the send buffer of `rank` (of the world). Numbers where they
// are added, else random bits.
void fill_payload(void* data, DType type, bool numbers, std::uint64_t seed, int rank,
                  std::int64_t first, std::int64_t count);

struct PayloadError {
  double worst = 0;  // error / bound; infinite where bits that were only moved differ
  std::int64_t wrong = 0;
};

// Every element of `receive`. What was moved has the same bits. A sum is compared with the sum in
// fp64: adding n numbers in any order errs by less than (n - 1) u times the sum of their sizes, to
// first order (Higham 2002, 4.2); one u more covers the higher orders and the reference.
PayloadError check_payload(const void* receive, DType type, const CollectiveLayout& layout,
                           const RankGroup& group, std::uint64_t seed);

}  // namespace trainmeter
