// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "figures.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace lrpc::queue::soak {
namespace {

TEST(SoakQuantiles, OfNothingAreNothing) {
  const Quantiles none = Histogram().quantiles();
  EXPECT_EQ(none.count, 0U);
  EXPECT_EQ(none.p99, 0);
  EXPECT_EQ(none.max, 0);
}

TEST(SoakQuantiles, OfSmallNumbersAreExact) {
  Histogram histogram;
  for (int i = 1; i <= 30; ++i) histogram.add(i);
  EXPECT_EQ(histogram.quantiles().p50, 15);
  EXPECT_EQ(histogram.quantiles().p99, 30);
  EXPECT_EQ(histogram.quantiles().max, 30);
}

TEST(SoakQuantiles, OfAnySizeAreAtMostAThirtySecondTooHigh) {
  for (const std::int64_t unit : {1, 77, 1'000, 123'457, 1'000'000'000}) {
    Histogram histogram;
    for (std::int64_t i = 1; i <= 1'000; ++i) histogram.add(i * unit);
    const Quantiles quantiles = histogram.quantiles();
    EXPECT_EQ(quantiles.count, 1'000U);
    EXPECT_EQ(quantiles.max, 1'000 * unit);
    for (const auto& [value, exact] : {std::pair{quantiles.p50, 500 * unit}, std::pair{quantiles.p99, 990 * unit},
                                       std::pair{quantiles.p999, 999 * unit}}) {
      EXPECT_GE(value, exact);
      EXPECT_LE(value, exact + exact / 32 + 1);
    }
  }
}

TEST(SoakQuantiles, TakeTheLargestNumber) {
  Histogram histogram;
  histogram.add(INT64_MAX);
  histogram.add(-5);  // a clock that was read on two processors
  EXPECT_EQ(histogram.quantiles().p99, INT64_MAX);
  EXPECT_EQ(histogram.quantiles().p50, 0);
}

TEST(SoakQuantiles, OfAnIntervalAreGoneWithIt) {
  Meter meter;
  meter.add(10);
  EXPECT_EQ(meter.take_interval().p50, 10);
  EXPECT_EQ(meter.take_interval().count, 0U);
  EXPECT_EQ(meter.total().count, 1U);
}

/// Memory in KiB of an hour, a reading a second.
std::vector<double> hour(double start_kib, double kib_an_hour, double noise_kib = 0) {
  std::vector<double> readings;
  readings.reserve(3'600);
  for (int second = 0; second < 3'600; ++second) {
    readings.push_back(start_kib + kib_an_hour * second / 3'600 + noise_kib * std::sin(second * 0.7));
  }
  return readings;
}

bool memory_grows(const std::vector<double>& readings, double hours = 1) {
  return grows(quarters_of(readings), hours, kMemoryLimit);
}

TEST(SoakGrowth, TheQuartersHaveTheirMedians) {
  const Quarters quarters = quarters_of(std::vector<double>{1, 1, 2, 2, 9, 9, 4, 4});
  EXPECT_EQ(quarters, (Quarters{1, 2, 9, 4}));
}

TEST(SoakGrowth, AHundredBytesAMessageAreNoticed) {
  // 200 messages a second.
  EXPECT_TRUE(memory_grows(hour(60'000, 100.0 * 200 * 3'600 / 1'024)));
  EXPECT_TRUE(memory_grows(hour(60'000, 100.0 * 200 * 3'600 / 1'024, 4'000)));
  // Ten minutes at 300 a second, which are the shortest run that is judged.
  std::vector<double> short_run = hour(12'000, 100.0 * 300 * 3'600 / 1'024);
  short_run.resize(600);
  EXPECT_TRUE(memory_grows(short_run, kHoursToJudge));
}

TEST(SoakGrowth, WhatIsFlatOrNoisyDoesNotGrow) {
  EXPECT_FALSE(memory_grows(hour(60'000, 0)));
  EXPECT_FALSE(memory_grows(hour(60'000, 0, 10'000)));
}

TEST(SoakGrowth, WhatIsMadeInTheFirstQuarterDoesNotCount) {
  std::vector<double> readings = hour(60'000, 0);
  for (std::size_t i = 0; i < 900; ++i) readings[i] = 10'000;
  EXPECT_FALSE(memory_grows(readings));
}

TEST(SoakGrowth, OneStepIsNoSteadyGrowth) {
  std::vector<double> readings = hour(60'000, 0);
  for (std::size_t i = 1'800; i < readings.size(); ++i) readings[i] = 90'000;
  EXPECT_FALSE(memory_grows(readings));
}

TEST(SoakGrowth, LittleOfMuchIsNone) { EXPECT_FALSE(memory_grows(hour(4'000'000, 20'000))); }

TEST(SoakGrowth, SlowlyIsNotYetALeak) { EXPECT_FALSE(memory_grows(hour(10'000, 6'000))); }

TEST(SoakGrowth, AThreadLeftEveryFewMinutesIsNoticed) {
  EXPECT_TRUE(grows({30, 34, 38, 42}, 1, kHandleLimit));
  EXPECT_FALSE(grows({30, 34, 35, 37}, 1, kHandleLimit));
  EXPECT_FALSE(grows({30, 34, 40, 34}, 1, kHandleLimit));
}

}  // namespace
}  // namespace lrpc::queue::soak
