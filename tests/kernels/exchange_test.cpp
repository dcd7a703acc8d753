// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own collectives between threads as ranks, in both places. Built a second time with the thread
// sanitizer.
#include "kernels/exchange_shm.hpp"

#include "shm_threads.hpp"
#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

// Small whole numbers: their sums are exact.
double value_of(int rank, std::int64_t index) {
  return static_cast<double>((rank * 7 + index * 3) % 11 - 5);
}

void run_and_check(ShmGroup& group, const CollectiveProblem& problem) {
  const CollectiveLayout layout = layout_of(problem, group.rank(), group.ranks());
  std::vector<double> apart(static_cast<std::size_t>(layout.send));
  std::vector<double> buffer(
      static_cast<std::size_t>(problem.in_place ? layout.whole : layout.receive), -99);
  double* const send = problem.in_place ? buffer.data() + layout.send_at : apart.data();
  double* const receive = buffer.data() + (problem.in_place ? layout.receive_at : 0);
  for (std::int64_t i = 0; i < layout.send; ++i) send[i] = value_of(group.rank(), i);
  shm_exchange(group, problem.dtype, layout)(send, receive);
  for (const CollectiveLayout::Part& part : layout.parts) {
    for (std::int64_t i = 0; i < part.at.count; ++i) {
      double expected = 0;
      for (int rank = 0; rank < group.ranks(); ++rank) {
        if (part.from == CollectiveLayout::kSum || part.from == rank) {
          expected += value_of(rank, part.read + i);
        }
      }
      if (receive[part.at.first + i] != expected) {
        throw std::runtime_error(std::string(to_string(problem.what)) + ", " +
                                 std::to_string(problem.bytes) + " bytes, element " +
                                 std::to_string(part.at.first + i));
      }
    }
  }
}

// Up to more than a block of each section, and with a rest.
TEST(ShmExchange, EveryCollectiveIsRightInBothPlaces) {
  using enum CollectiveKind;
  for (const int ranks : {2, 3, 4}) {
    const auto thrown = as_threads(ranks, 60, [&](ShmGroup& group) {
      for (const std::int64_t bytes : {8 * ranks, 1200 * ranks, 540'000 * ranks}) {
        if (ranks > 3 && bytes > 100'000) continue;  // the thread sanitizer takes its time
        for (const CollectiveKind what :
             {all_gather, reduce_scatter, broadcast, reduce, all_to_all, send_recv}) {
          run_and_check(group, {DType::fp64, bytes, what, false, {}});
          run_and_check(group, {DType::fp64, bytes, what, true, {}});
        }
        run_and_check(group, {DType::fp64, bytes, all_to_all_v, false,
                              distance_weighted(DType::fp64, bytes, ranks)});
      }
    });
    for (const std::string& what : thrown) EXPECT_EQ(what, "") << ranks;
  }
}

TEST(ShmExchange, RanksThatSendNothingKeepStep) {
  const auto thrown = as_threads(3, 60, [](ShmGroup& group) {
    // Rank 0 sends to rank 2 alone, more than a block; rank 1 neither sends nor gets.
    const std::vector<std::int64_t> counts = {0, 0, 100'000, 0, 0, 0, 5, 0, 7};
    for (int again = 0; again < 3; ++again) {
      run_and_check(group, {DType::fp64, 0, CollectiveKind::all_to_all_v, false, counts});
    }
  });
  for (const std::string& what : thrown) EXPECT_EQ(what, "");
}

TEST(ShmExchange, AMissingRankEndsTheOthers) {
  const auto thrown = as_threads(2, 0.2, [](ShmGroup& group) {
    if (group.rank() == 1) return;
    run_and_check(group, {DType::fp64, 64, CollectiveKind::all_to_all, false, {}});
  });
  EXPECT_NE(thrown[0].find("rank 1"), std::string::npos) << thrown[0];
}

}  // namespace
}  // namespace trainmeter
