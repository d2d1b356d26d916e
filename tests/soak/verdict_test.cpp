// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lrpc::queue::soak {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// An hour without a change.
std::vector<Sample> quiet_hour() {
  std::vector<Sample> samples;
  for (int second = 1; second <= 3'600; ++second) {
    samples.push_back({.seconds = static_cast<double>(second),
                       .rss_kib = 50'000,
                       .threads = 30,
                       .descriptors = 20,
                       .server_kib = 3'000,
                       .published = std::int64_t{second} * 100});
  }
  return samples;
}

Outcomes good() {
  return {.tally = {.accepted = 1'000, .handled = 970, .dead = 10, .unseen = 20},
          .dead_kept = 4,
          .dead_counted = 30,
          .expired_counted = 15,
          .requeued = 15,
          .purged = 11,
          .server_memory = "used_memory of Redis",
          .server_judged = true};
}

TEST(SoakVerdict, AGoodRunPasses) {
  EXPECT_THAT(findings(quiet_hour(), good()), IsEmpty());
  EXPECT_THAT(summary(quiet_hour(), good()), ::testing::HasSubstr("PASSED"));
}

TEST(SoakVerdict, WhatIsMissingFails) {
  const auto one = [](auto change) {
    Outcomes outcomes = good();
    change(outcomes);
    return findings(quiet_hour(), outcomes);
  };
  EXPECT_THAT(one([](Outcomes& o) { o.tally.missing = 2; }), ElementsAre("2 messages missing"));
  EXPECT_THAT(one([](Outcomes& o) { o.expired_counted = 14; }),
              ElementsAre("1 messages expired or dead without being counted"));
  EXPECT_THAT(one([](Outcomes& o) { o.dead_counted = 32; }), ElementsAre("2 dead letters missing"));
  EXPECT_THAT(one([](Outcomes& o) { o.dropped = 1; }), ElementsAre("1 messages dropped"));
  EXPECT_THAT(one([](Outcomes& o) { o.out_of_order = 1; }), ElementsAre("1 messages of a key out of order"));
  EXPECT_THAT(one([](Outcomes& o) { o.errors = 3; }), ElementsAre("3 calls that failed"));
  EXPECT_THAT(one([](Outcomes& o) { o.after.threads = 2; }), ElementsAre("2 threads left behind"));
  EXPECT_THAT(one([](Outcomes& o) { o.after.descriptors = 1; }), ElementsAre("1 descriptors left behind"));
  EXPECT_THAT(one([](Outcomes& o) { o.depth = 5; }), ElementsAre("a depth of 5 at the end"));
  EXPECT_THAT(one([](Outcomes& o) { o.depth = -1; }), ElementsAre("a depth of -1 at the end"));
  EXPECT_THAT(one([](Outcomes& o) { o.tally.handled = 0; }), ElementsAre("nothing was handled"));
}

TEST(SoakVerdict, WhatGrowsFails) {
  const auto one = [](double Sample::* figure, double an_hour, const Outcomes& outcomes) {
    std::vector<Sample> samples = quiet_hour();
    for (Sample& sample : samples) sample.*figure += an_hour * sample.seconds / 3'600;
    return findings(samples, outcomes);
  };
  EXPECT_THAT(one(&Sample::rss_kib, 20'000, good()), ElementsAre("RSS grows"));
  EXPECT_THAT(one(&Sample::threads, 30, good()), ElementsAre("threads grows"));
  EXPECT_THAT(one(&Sample::descriptors, 30, good()), ElementsAre("descriptors grows"));
  EXPECT_THAT(one(&Sample::server_kib, 20'000, good()), ElementsAre("used_memory of Redis grows"));
  Outcomes not_judged = good();
  not_judged.server_judged = false;
  EXPECT_THAT(one(&Sample::server_kib, 20'000, not_judged), IsEmpty());
}

TEST(SoakVerdict, AShortRunIsNotJudgedByGrowth) {
  std::vector<Sample> samples = quiet_hour();
  samples.resize(30);
  for (Sample& sample : samples) sample.rss_kib += sample.seconds * 1'000;
  EXPECT_THAT(findings(samples, good()), IsEmpty());
  EXPECT_THAT(summary(samples, good()), ::testing::HasSubstr("too short to judge growth"));
}

TEST(SoakSamples, AreThinnedToMediansMaximaAndLastCounts) {
  std::vector<Sample> samples = quiet_hour();
  samples[5].rss_kib = 1'000'000;
  samples[5].handle.max = 77;
  const auto few = thinned(samples, 300);
  ASSERT_EQ(few.size(), 300U);
  EXPECT_EQ(few[0].rss_kib, 50'000);
  EXPECT_EQ(few[0].handle.max, 77);
  EXPECT_EQ(few[0].published, 1'200);
  EXPECT_EQ(few.back().seconds, 3'600);
  EXPECT_EQ(thinned(samples, 10'000).size(), samples.size());
}

}  // namespace
}  // namespace lrpc::queue::soak
