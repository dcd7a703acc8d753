// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Draws each token's experts.
#include "kernels/moe_routing.hpp"

#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::int64_t kBestOfNode = 2;

void require(bool holds, const char* expected) {
  if (!holds) throw std::invalid_argument(expected);
}

void require_fit(const Routing& r) {
  require(r.tokens > 0 && r.experts > 0 && r.top_k > 0, "tokens, experts and top_k: at least 1");
  require(r.experts % r.ranks == 0, "experts: expected a multiple of the ranks");
  require(r.nodes > 0 && r.ranks % r.nodes == 0, "nodes: expected a divisor of the ranks");
  require(r.group_limit > 0 && r.group_limit <= r.nodes, "group_limit: expected 1 to the nodes");
  require(r.top_k <= r.experts / r.nodes * r.group_limit,
          "top_k: expected no more than the experts on the nodes that a token may go to");
}

// (score, expert), the best `count` first.
using Scores = std::vector<std::pair<double, std::int64_t>>;

void best_first(Scores& scores, std::int64_t count) {
  std::partial_sort(scores.begin(), scores.begin() + count, scores.end(), std::greater<>());
}

class Router {
 public:
  explicit Router(const Routing& r) : r_(r), random_(r.seed), popularity_(r.experts) {
    std::vector<std::int64_t> place(static_cast<std::size_t>(r.experts));
    std::iota(place.begin(), place.end(), 1);
    for (std::size_t i = place.size(); i > 1; --i) std::swap(place[i - 1], place[random_() % i]);
    for (std::size_t e = 0; e < place.size(); ++e) {
      popularity_[e] = -r.skew * std::log(static_cast<double>(place[e]));
    }
  }

  // The experts of one token.
  Scores token() {
    std::vector<Scores> nodes(static_cast<std::size_t>(r_.nodes));
    const std::int64_t on_node = r_.experts / r_.nodes;
    for (std::int64_t e = 0; e < r_.experts; ++e) {
      const double noise = -std::log(-std::log(uniform()));
      nodes[static_cast<std::size_t>(e / on_node)].emplace_back(
          popularity_[static_cast<std::size_t>(e)] + noise, e);
    }
    if (r_.group_limit < r_.nodes) {
      std::vector<std::pair<double, std::size_t>> chosen;
      for (std::size_t n = 0; n < nodes.size(); ++n) {
        const std::int64_t best = std::min(kBestOfNode, on_node);
        best_first(nodes[n], best);
        double sum = 0;
        for (std::int64_t i = 0; i < best; ++i) sum += nodes[n][static_cast<std::size_t>(i)].first;
        chosen.emplace_back(sum, n);
      }
      std::ranges::sort(chosen, std::greater<>());
      for (auto n = static_cast<std::size_t>(r_.group_limit); n < chosen.size(); ++n) {
        nodes[chosen[n].second].clear();
      }
    }
    Scores all;
    for (const Scores& scores : nodes) all.insert(all.end(), scores.begin(), scores.end());
    best_first(all, r_.top_k);
    all.resize(static_cast<std::size_t>(r_.top_k));
    return all;
  }

 private:
  double uniform() { return (static_cast<double>(random_() >> 11) + 0.5) * 0x1p-53; }

  const Routing& r_;
  std::mt19937_64 random_;
  std::vector<double> popularity_;  // logarithm, but for a constant
};

}  // namespace

std::int64_t fewest_ranks(const Routing& r) {
  require_fit(r);
  return ceil_div(r.top_k, r.experts / r.ranks);
}

bool sent_with_scales(DType type) {
  return type == DType::fp8 || type == DType::fp8_e5m2;
}

std::int64_t sent_elements(DType type, std::int64_t values) {
  if (!sent_with_scales(type)) return values;
  return values + cast_blocks(values) * size_of(DType::fp32) / size_of(type);
}

std::vector<std::int64_t> route(const Routing& r) {
  require_fit(r);
  Router router(r);
  const auto ranks = static_cast<std::size_t>(r.ranks);
  const std::int64_t on_rank = r.experts / r.ranks;
  std::vector<std::int64_t> counts(ranks * ranks);
  for (std::size_t from = 0; from < ranks; ++from) {
    for (std::int64_t token = 0; token < r.tokens; ++token) {
      std::set<std::size_t> to;
      for (const auto& [score, expert] : router.token()) {
        to.insert(static_cast<std::size_t>(expert / on_rank));
      }
      for (const std::size_t rank : to) ++counts[from * ranks + rank];
    }
  }
  return counts;
}

}  // namespace trainmeter
