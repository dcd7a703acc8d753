// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The search for the fastest shape, with rates that a formula makes up.
#include "bench/shape_search.hpp"
#include "record/formulas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <vector>

namespace trainmeter {
namespace {

using Rates = std::function<double(const GemmShape&)>;

double flops_of(const GemmShape& shape) {
  return gemm_flops(shape[0], shape[1], shape[2]);
}

// A single hill, its top at `top`.
Rates hill(const GemmShape& top) {
  return [top](const GemmShape& shape) {
    double distance = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const double ratio = std::log(static_cast<double>(shape[i]) / static_cast<double>(top[i]));
      distance += ratio * ratio;
    }
    return 1e12 * std::exp(-0.2 * distance);
  };
}

std::vector<GemmShape> run(ShapeSearch& search, const Rates& rate, int probes) {
  std::vector<GemmShape> shapes;
  for (int i = 0; i < probes; ++i) {
    const auto shape = search.next();
    if (!shape) break;
    shapes.push_back(*shape);
    search.take(*shape, rate(*shape));
  }
  return shapes;
}

TEST(ShapeSearch, FindsTheTopOfAHill) {
  for (const GemmShape top : {GemmShape{4096, 512, 1024}, {128, 2048, 2048}, {768, 768, 4096}}) {
    ShapeSearch search({}, 1);
    run(search, hill(top), 150);
    EXPECT_GT(search.rate(search.best(1).front()), 0.99e12) << top[0];
  }
}

TEST(ShapeSearch, KeepsToTheSpaceAndProposesNothingTwice) {
  const SearchSpace space{.step = 64, .most = 2048, .first = {256, 256, 256}};
  ShapeSearch search(space, 7);
  const auto shapes = run(search, hill({512, 512, 512}), 300);
  EXPECT_EQ(shapes.size(), 300U);
  EXPECT_EQ(shapes.front(), space.first);
  EXPECT_EQ(std::set<GemmShape>(shapes.begin(), shapes.end()).size(), shapes.size());
  for (const GemmShape& shape : shapes) {
    for (const std::int64_t dimension : shape) {
      EXPECT_EQ(dimension % 64, 0);
      EXPECT_GE(dimension, 64);
      EXPECT_LE(dimension, 2048);
    }
  }
}

TEST(ShapeSearch, NoRunTakesMuchLongerThanAllowed) {
  const SearchSpace space{.step = 64, .most = 8192, .first = {512, 512, 512}, .max_run_s = 0.05};
  ShapeSearch search(space, 3);
  const double rate = 1e11;
  for (const GemmShape& shape : run(
           search, [&](const auto&) { return rate; }, 200)) {
    // Rounding to the step adds a little.
    EXPECT_LT(flops_of(shape) / rate, 0.05 * 1.4) << shape[0] << "x" << shape[1] << "x" << shape[2];
  }
}

TEST(ShapeSearch, TheSameSeedAndRatesGiveTheSameShapes) {
  ShapeSearch a({}, 5);
  ShapeSearch b({}, 5);
  ShapeSearch other({}, 6);
  const Rates rate = hill({1024, 1024, 1024});
  const auto shapes = run(a, rate, 80);
  EXPECT_EQ(shapes, run(b, rate, 80));
  EXPECT_NE(shapes, run(other, rate, 80));
}

TEST(ShapeSearch, EndsWhereThereIsNothingNew) {
  ShapeSearch search({.step = 64, .most = 128, .first = {64, 64, 64}}, 1);
  EXPECT_EQ(run(search, hill({64, 64, 64}), 1000).size(), 8U);
}

TEST(ShapeSearch, GoesOnWhereShapesCannotBeMeasured) {
  ShapeSearch search({}, 1);
  std::set<GemmShape> shapes;
  for (int i = 0; i < 50; ++i) shapes.insert(search.next().value());  // none is ever taken
  EXPECT_EQ(shapes.size(), 50U);
  EXPECT_TRUE(search.best(3).empty());
}

TEST(ShapeSearch, KnowsTheBest) {
  ShapeSearch search({}, 1);
  search.take({64, 64, 64}, 1);
  search.take({128, 64, 64}, 3);
  search.take({64, 128, 64}, 2);
  search.take({64, 64, 64}, 9);  // a repetition: the first counts
  EXPECT_THAT(search.best(2),
              ::testing::ElementsAre(GemmShape{128, 64, 64}, GemmShape{64, 128, 64}));
  EXPECT_EQ(search.best(9).size(), 3U);
  EXPECT_EQ(search.taken(), 3U);
}

}  // namespace
}  // namespace trainmeter
