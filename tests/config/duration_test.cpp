// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "config/duration.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>
#include <string>

namespace lrpc::queue::config_impl {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsEveryUnitAndTheirSum) {
  EXPECT_EQ(parse_duration("30s"), Duration(30s));
  EXPECT_EQ(parse_duration("1m30s"), Duration(90s));
  EXPECT_EQ(parse_duration("24h"), Duration(24h));
  EXPECT_EQ(parse_duration("250ms"), Duration(250ms));
  EXPECT_EQ(parse_duration("1.5s"), Duration(1500ms));
  EXPECT_EQ(parse_duration("0.1s"), Duration(100ms));
  EXPECT_EQ(parse_duration("1h2m3s4ms"), Duration(1h + 2min + 3s + 4ms));
  EXPECT_EQ(parse_duration("1h4ms"), Duration(1h + 4ms));
  EXPECT_EQ(parse_duration("0s"), Duration(0));
  EXPECT_EQ(parse_duration("007s"), Duration(7s));
}

TEST(Duration, RefusesWhatIsNoDuration) {
  for (const char* text : {"",     " ",    "s",    "30",    "0",      "30 s",  " 30s",
                           "30s ", "-30s", "+30s", "30S",   "30sec",  "30s1m", "1m1m",
                           "1d",   "1.s",  ".5s",  "1..5s", "1.5.5s", "1e3s",  "0x1s",
                           "infs", "nans", "1,5s", "s30",   "1h-5m",  "1h.5m", "99999999999999h",
                           "1us",  "1m30"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_duration(std::string(400, '9') + "h"), std::nullopt);
  EXPECT_EQ(parse_duration(std::string("1s\0", 3)), std::nullopt);
}

TEST(Duration, ReadsSeconds) {
  EXPECT_EQ(duration_from_seconds(0), Duration(0));
  EXPECT_EQ(duration_from_seconds(-0.0), Duration(0));
  EXPECT_EQ(duration_from_seconds(1.5), Duration(1500));
  EXPECT_EQ(duration_from_seconds(0.07), Duration(70));
  for (const double seconds : {-1.0, -1e-9, 1e300, std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(duration_from_seconds(seconds), std::nullopt) << seconds;
  }
}

TEST(Duration, IsRoundedButNeverToZero) {
  EXPECT_EQ(parse_duration("1.0006s"), Duration(1001));
  EXPECT_EQ(parse_duration("1.0004s"), Duration(1000));
  EXPECT_EQ(parse_duration("0.1ms"), Duration(1));
  EXPECT_EQ(duration_from_seconds(1e-9), Duration(1));
}

TEST(Duration, IsWrittenAsItIsRead) {
  EXPECT_EQ(format_duration(Duration(0)), "0s");
  EXPECT_EQ(format_duration(24h), "24h");
  EXPECT_EQ(format_duration(90s), "1m30s");
  EXPECT_EQ(format_duration(1h + 4ms), "1h4ms");
  EXPECT_EQ(format_duration(-1500ms), "-1s500ms");
  EXPECT_EQ(format_duration(Duration::min()), "-2562047788015h12m55s808ms");

  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const Duration duration(static_cast<std::int64_t>(random() >> (13 + random() % 50)));
    const std::string text = format_duration(duration);
    ASSERT_EQ(parse_duration(text), duration) << text;
  }
}

}  // namespace
}  // namespace lrpc::queue::config_impl
