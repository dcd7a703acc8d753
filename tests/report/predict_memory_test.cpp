// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a prediction says of a device's memory, and a device that only its datasheet tells of.
#include "report/story.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

TEST(Predict, OfMemorySaysHowMuchOfHowMuch) {
  const Prediction full = predicted(llama_by_memory(4), kMiddle);
  ASSERT_TRUE(full.memory);
  EXPECT_EQ(full.memory->of, 80e9);
  EXPECT_GT(full.memory->need, 80e9);
  const std::string beyond = beyond_memory(full);
  EXPECT_THAT(beyond, HasSubstr("of a device's 80.0 GB by our count"));
  EXPECT_THAT(full.assumptions, testing::Contains(beyond));
  const Prediction fits = predicted(llama_by_memory(1), kMiddle);
  EXPECT_LT(fits.memory->need, 80e9);
  EXPECT_EQ(beyond_memory(fits), "");
  EXPECT_EQ(to_json(fits).at("memory_bytes").at("need"), fits.memory->need);
  EXPECT_THAT(to_text(to_document(fits, "Mine"), {}), HasSubstr("GB of a device's 80.0 GB."));
  EXPECT_TRUE(to_json(predicted(gpt2(), kMiddle)).at("memory_bytes").is_null());  // on a CPU
}

TEST(Predict, AnAmdGpuIsTakenAtItsDatasheet) {
  nlohmann::json run = {{"id", "mine"},
                        {"title", "Mine"},
                        {"gpus", 8},
                        {"seq_len", 6144},
                        {"model", "llama-3-8b"},
                        {"system", "mi300x"},
                        {"global_batch_sequences", 8}};
  EXPECT_GT(predicted(run, kMiddle).estimates.step_time_s.p50, 0);
}
