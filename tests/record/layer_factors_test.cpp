// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a layer's parts lose beside a co-runner, from rows by hand.
#include "record/layer_factors.hpp"

#include "../layer_beside.hpp"
#include <gtest/gtest.h>

#include <vector>

using namespace trainmeter;

// A layer of one GEMM, in two places, its attention core and one norm.
TEST(LayerFactors, MultiplyToTheTimeBesideTheCoRunner) {
  LayerBeside layer;
  layer.part("gemm", 2, {1.1, 1, 1.5, 1.25, 1.8, 1.3});
  layer.part("rmsnorm", 1, {3, 2, 3, 2.5, 6, 5});
  layer.part("attention_forward", 1, {0.5, 0.4, 0.6, 0.5, 0.9, 0.6});
  EXPECT_TRUE(layer_factors(layer.record).empty());  // no layer yet
  layer.whole({4, 5, 6, 0.1, 0.2});

  EXPECT_EQ(interferences(layer.record).size(), 1U);  // of the layer, not of its parts
  const std::vector<LayerFactors> found = layer_factors(layer.record);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_DOUBLE_EQ(found[0].whole.sms.median, 1.25);
  EXPECT_DOUBLE_EQ(found[0].whole.traffic.median, 1.2);
  const LayerFactor& gemms = found[0].gemms;
  EXPECT_DOUBLE_EQ(gemms.alone_s, 2);
  EXPECT_DOUBLE_EQ(gemms.sms, 1.25);
  EXPECT_DOUBLE_EQ(gemms.in_place, 1.2);
  EXPECT_DOUBLE_EQ(gemms.traffic, 1.2);
  EXPECT_DOUBLE_EQ(gemms.beside_s(), 3.6);
  EXPECT_DOUBLE_EQ(gemms.in_place_s, 2.2);
  EXPECT_DOUBLE_EQ(gemms.sms_in_place(), 1.5 / 1.1);
  EXPECT_DOUBLE_EQ(found[0].attention.beside_s(), 0.9);
  EXPECT_DOUBLE_EQ(found[0].others.beside_s(), 6);
  EXPECT_EQ(found[0].sums().size(), 3U);
  ASSERT_EQ(found[0].parts.size(), 3U);
  EXPECT_EQ(found[0].parts[0].what, "rmsnorm/x");      // the longest first
  EXPECT_EQ(found[0].lines.size(), 15U);               // of six rows a part all but alone beside it
  layer.record.lines[3].measurement.verified = false;  // a row of the GEMM
  EXPECT_TRUE(layer_factors(layer.record).empty());
}
