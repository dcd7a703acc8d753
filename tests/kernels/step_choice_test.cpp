// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The check of a router's choice takes what roundings allow, and finds each kind of wrong choice.
#include "kernels/step_arrays.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/step_verify.hpp"
#include "kernels/step_verify_choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using step_verify::Candidate;
using step_verify::may_choose;

constexpr double kOff = 1e-6;
constexpr double kLess = 1e-7;  // within kOff

// Experts of these scores, whose biases make each another one.
std::vector<Candidate> experts(const std::vector<double>& scores) {
  std::vector<Candidate> out;
  for (const double score : scores)
    out.push_back({{score, kOff}, 0, static_cast<double>(out.size())});
  return out;
}

bool chooses(const std::vector<Candidate>& of, const std::vector<std::int32_t>& chosen,
             std::int64_t groups = 1, std::int64_t limit = 1) {
  return may_choose(of, chosen,
                    {.kernel = StepKernel::topk_sigmoid,
                     .experts = static_cast<std::int64_t>(of.size()),
                     .top_k = static_cast<std::int64_t>(chosen.size()),
                     .groups = groups,
                     .group_limit = limit});
}

}  // namespace

TEST(StepChoice, IsOfTheHighestInFallingOrder) {
  const auto four = experts({0.1, 0.4, 0.3, 0.2});
  EXPECT_TRUE(chooses(four, {1, 2}));
  EXPECT_FALSE(chooses(four, {2, 1}));
  EXPECT_FALSE(chooses(four, {1, 3}));
  EXPECT_FALSE(chooses(four, {1, 1}));
  EXPECT_FALSE(chooses(four, {1, 4}));
  EXPECT_FALSE(chooses(four, {-1, 2}));
  EXPECT_FALSE(chooses(experts({0.1, std::nan(""), 0.3, 0.2}), {2, 3}));
}

TEST(StepChoice, IsOpenWhereRoundingsAre) {
  const auto close = experts({0.4, 0.4 + kLess, 0.1, 0.4 + 4 * kOff});
  EXPECT_TRUE(chooses(close, {3, 0, 1}));
  EXPECT_TRUE(chooses(close, {3, 1, 0}));
  EXPECT_TRUE(chooses(close, {3, 0}));
  EXPECT_FALSE(chooses(close, {0, 3}));
  auto equal = experts({0.1, 0.4, 0.4});
  EXPECT_TRUE(chooses(equal, {2}));
  equal[2] = equal[1];  // by the same logit and bias
  EXPECT_TRUE(chooses(equal, {1}));
  EXPECT_TRUE(chooses(equal, {1, 2}));
  EXPECT_FALSE(chooses(equal, {2}));
  EXPECT_FALSE(chooses(equal, {2, 1}));
}

TEST(StepChoice, IsInGroupsOfTheHighestTwo) {
  const auto six = experts({0.9, 0.0, 0.5, 0.5, 0.7, 0.35});  // 0.9, 1.0, 1.05
  EXPECT_TRUE(chooses(six, {4, 2, 3}, 3, 2));
  EXPECT_FALSE(chooses(six, {0, 4, 2}, 3, 2));  // by the highest one
  EXPECT_FALSE(chooses(six, {0, 4, 5}, 3, 2));
  EXPECT_FALSE(chooses(six, {4, 5}, 3, 2));  // one group too few
  EXPECT_TRUE(chooses(six, {4, 5}, 3, 1));
  EXPECT_TRUE(chooses(six, {0, 4, 2}, 3, 3));
  EXPECT_TRUE(chooses(experts({0.1, 0.3, 0.2}), {1, 2}, 3, 2));  // of lone experts
}

TEST(StepChoice, IsOfEitherGroupWhereTheyAreAsGood) {
  const auto six = experts({0.6, 0.4, 0.9, 0.1 + kLess, 0.8, 0.7});  // 1.0, 1.0, 1.5
  EXPECT_TRUE(chooses(six, {4, 5, 0}, 3, 2));
  EXPECT_TRUE(chooses(six, {2, 4, 5}, 3, 2));
  EXPECT_FALSE(chooses(six, {2, 4, 0}, 3, 2));  // both
  EXPECT_TRUE(chooses(six, {4, 5}, 3, 2));      // the first, of which none is among the best
  EXPECT_FALSE(chooses(six, {4, 0}, 3, 2));
}

// Whole results of the CPU's kernel, each wrong in one way.
TEST(StepChoice, AWrongRouterIsFound) {
  const StepProblem problem = {.kernel = StepKernel::topk_sigmoid,
                               .dtype = DType::fp32,
                               .rows = 20,
                               .experts = 64,
                               .top_k = 6,
                               .groups = 8,
                               .group_limit = 3};
  std::vector<float> x(20 * 64);
  std::vector<float> bias(64);
  fill_step_array(problem, 0, x.data(), 1);
  fill_step_array(problem, 1, bias.data(), 1);
  struct Result {
    std::vector<std::int32_t> chosen = std::vector<std::int32_t>(20 * 6);
    std::vector<float> w = std::vector<float>(20 * 6), affinity = w;
  };
  const auto routed = [&](const std::vector<float>& with, RouterRows rows) {
    Result out;
    topk_sigmoid({out.chosen.data(), out.w.data(), out.affinity.data()}, x.data(), with.data(),
                 rows);
    return out;
  };
  const RouterRows rows = {20, 64, 6, 8, 3};
  const auto error = [&](const Result& r) {
    return verify_step(problem, {x.data(), bias.data(), nullptr, nullptr, nullptr},
                       {nullptr, nullptr, r.chosen.data(), r.w.data(), r.affinity.data()})
        .error;
  };
  const Result right = routed(bias, rows);
  EXPECT_LT(error(right), 1);
  EXPECT_GT(error(routed(std::vector<float>(64), rows)), 1) << "no bias";
  EXPECT_GT(error(routed(bias, {20, 64, 6})), 1) << "no groups";
  EXPECT_GT(error(routed(bias, {20, 64, 6, 8, 4})), 1) << "a group too many";
  EXPECT_GT(error(routed(bias, {20, 64, 6, 8, 2})), 1) << "a group too few";
  EXPECT_GT(error(routed(bias, {20, 64, 6, 4, 3})), 1) << "other groups";
  const auto changed = [&](const std::function<void(Result&)>& change) {
    Result out = right;
    change(out);
    return error(out);
  };
  EXPECT_GT(changed([](Result& r) {
              for (float& w : r.w) w /= 2.5F;
            }),
            1)
      << "no scale";
  EXPECT_GT(changed([](Result& r) { r.w = r.affinity; }), 1) << "gates that sum to anything";
  EXPECT_GT(changed([&](Result& r) {
              for (std::size_t i = 0; i < r.w.size(); ++i)
                r.w[i] *= 1 + bias[static_cast<std::size_t>(r.chosen[i])] / r.affinity[i];
            }),
            1)
      << "biased gates";
  EXPECT_GT(changed([](Result& r) {
              for (float& a : r.affinity) a = std::log(a / (1 - a));
            }),
            1)
      << "logits for affinities";
  EXPECT_GT(changed([](Result& r) {
              std::swap(r.chosen[6], r.chosen[7]);
              std::swap(r.w[6], r.w[7]);
              std::swap(r.affinity[6], r.affinity[7]);
            }),
            1)
      << "another order";
}

}  // namespace trainmeter
