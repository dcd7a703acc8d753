// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rent, ownership and energy, by hand.
#include "report/cost.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Ownership simple() {
  Ownership out;
  out.usd_per_gpu.value = 30'000;
  out.years.value = 5;
  out.utilisation.value = 0.5;
  out.server_power_ratio.value = 2;
  out.pue.value = 1.25;
  out.usd_per_kwh.value = 0.1;
  return out;
}

}  // namespace

TEST(Cost, AProductOfIndependentRanges) {
  const Estimate sure{10, 10, 10};
  const Estimate price{1, 2, 8};
  const Estimate only_price = product(sure, price);
  EXPECT_NEAR(only_price.p05, 10, 1e-9);
  EXPECT_NEAR(only_price.p95, 80, 1e-9);
  // Two equal factors of 2 to either side: 2^sqrt(2), not 4.
  const Estimate both = product({5, 10, 20}, {5, 10, 20});
  EXPECT_NEAR(both.p95, 100 * std::pow(2, std::sqrt(2)), 1e-9);
  EXPECT_NEAR(both.p05, 100 / std::pow(2, std::sqrt(2)), 1e-9);
}

TEST(Cost, EnergyAndOwnershipOfOneHour) {
  EXPECT_DOUBLE_EQ(kwh_per_gpu_hour(700, simple()), 1.75);
  // 30,000 / (5 x 8766 x 0.5) + 1.75 x 0.1
  EXPECT_NEAR(owned_usd_per_gpu_hour(700, simple()), 1.3689 + 0.175, 1e-4);
}

TEST(Cost, FewListingsOfItsOwnAreSaid) {
  const Library library = published_library();
  const auto h100 = listed_prices(library, library.system("h100"));
  const auto h800 = listed_prices(library, library.system("h800"));
  ASSERT_TRUE(h100 && h800);
  EXPECT_THAT(h100->how, HasSubstr("21 listings for h100, 2023-06-20 to 2025-03-17"));
  EXPECT_THAT(h800->how, HasSubstr("23 listings for h800 (2 of its own) and h100"));
  EXPECT_LT(h100->usd_per_gpu_hour.p05, h100->usd_per_gpu_hour.p50);
  EXPECT_FALSE(listed_prices(library, library.system("a100")));
}

TEST(Cost, APriceReplacesTheListingsAndTheMultiplierIsOffByDefault) {
  const Library library = published_library();
  const System h800 = library.system("h800");
  const Estimate hours{147'000, 147'000, 147'000};
  const Cost plain = cost_of(hours, h800, library, {.price_usd_per_gpu_hour = 2, .power_w = {}});
  EXPECT_EQ(plain.beyond_final_run, 1);
  EXPECT_DOUBLE_EQ(plain.rental_usd->p50, 294'000);
  EXPECT_DOUBLE_EQ(plain.rental_usd->p95, 294'000);
  const Cost all = cost_of(hours, h800, library,
                           {.price_usd_per_gpu_hour = 2, .beyond_final_run = 10, .power_w = {}});
  EXPECT_DOUBLE_EQ(all.rental_usd->p50, 2'940'000);
  EXPECT_DOUBLE_EQ(*all.energy_usd, 10 * *plain.energy_usd);
  EXPECT_DOUBLE_EQ(*all.ownership_usd, 10 * *plain.ownership_usd);
  EXPECT_THAT(lines_of(all).back(), HasSubstr("times 10"));
}

TEST(Cost, MeasuredPowerReplacesTheLimit) {
  const Library library = published_library();
  const System h800 = library.system("h800");
  const Estimate hour{1, 1, 1};
  const Cost limit = cost_of(hour, h800, library, {});
  const Cost measured =
      cost_of(hour, h800, library, {.price_usd_per_gpu_hour = {}, .power_w = 350});
  EXPECT_NEAR(*measured.energy_kwh, *limit.energy_kwh / 2, 1e-12);
  EXPECT_THAT(measured.energy_how, HasSubstr("350 W (measured)"));
}

TEST(Cost, OfAServerThatNobodyPricedThatIsSaid) {
  const Library library = published_library();
  const Cost cost = cost_of({1, 1, 1}, library.system("a100"), library, {});
  EXPECT_FALSE(cost.rental_usd);
  EXPECT_FALSE(cost.ownership_usd);
  EXPECT_FALSE(cost.energy_usd);
  EXPECT_EQ(lines_of(cost),
            std::vector<std::string>({"rented: no prices are published for a100",
                                      "owned, energy alone: no server of a100 is published "
                                      "(ownership.json has h100, h800)"}));
  const Cost h200 = cost_of({1, 1, 1}, library.system("h200"), library, {});
  EXPECT_TRUE(h200.rental_usd);
  ASSERT_EQ(h200.missing.size(), 1U);
  EXPECT_THAT(h200.missing.front(), HasSubstr("no server of h200"));
  EXPECT_EQ(to_json(h200).at("missing").size(), 1U);
}
