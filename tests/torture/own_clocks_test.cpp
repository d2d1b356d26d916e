// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "report.hpp"
#include "story.hpp"

/// What may still be demanded where each process has a wall clock of its own, and the nemesis moves it.

namespace lrpc::queue::torture {
namespace {

Rules own_clocks() {
  Rules rules = Story::rules();
  rules.own_clocks_ms = 3'000;
  rules.attempts_exact = false;
  return rules;
}

void jump(Story& story, std::int64_t at, const std::string& whose) {
  Fault& fault = story.fault("clock-jumps", at, at, whose);
  fault.moves_clock = true;
  fault.redelivers = false;
}

/// Due at 1,000, and here at 100 by the clock of its consumer.
Verdict early(const std::string& whose, std::int64_t jumped_at) {
  Story story;
  story.published("p0.0:0", 10).due_tick_ms = 1'000;
  story.handled_elsewhere("p0.0:0", 1'100);
  story.delivered("p0.0:0", "work", "w0.0", 1, 100);
  jump(story, jumped_at, whose);
  return story.verdict(own_clocks());
}

TEST(OwnClocks, D17_OnlyAJumpOfWhoHandsItOutOrPublishesItExcusesThatItIsEarly) {
  EXPECT_TRUE(early("w0.0", 50).ok()) << findings_of(early("w0.0", 50));
  EXPECT_TRUE(early("p0.0", 10).ok());  // in the call
  EXPECT_TRUE(early("w0.0", 5).failed("early"));
  EXPECT_TRUE(early("w0.0", 101).failed("early"));
  EXPECT_TRUE(early("w1.0", 50).failed("early"));
  EXPECT_TRUE(early("p0.0", 50).failed("early"));
  EXPECT_TRUE(early("p0.0", 5).failed("early"));
}

/// Expired at 2,000, and here at 5,000.
Verdict late(const std::string& whose, std::int64_t jumped_at) {
  Story story;
  story.published("p0.0:0", 10).expires_s = 2;
  story.handled_elsewhere("p0.0:0", 20);
  story.delivered("p0.0:0", "work", "w0.0", 1, 5'000);
  jump(story, jumped_at, whose);
  return story.verdict(own_clocks());
}

TEST(OwnClocks, D12_OnlyAJumpJustBeforeExcusesThatItHadExpired) {
  EXPECT_TRUE(late("w0.0", 4'900).ok()) << findings_of(late("w0.0", 4'900));
  EXPECT_TRUE(late("p0.0", 11).ok());  // in the call
  EXPECT_TRUE(late("w0.0", 3'900).failed("late"));
  EXPECT_TRUE(late("w1.0", 4'900).failed("late"));
  EXPECT_TRUE(late("p0.0", 4'900).failed("late"));
}

TEST(OwnClocks, D12_AnExpiredLetterIsDatedByWhoGaveItUp) {
  const auto tell = [](std::int64_t jumped_at) {
    Story story;
    story.published("p0.0:0", 10).expires_s = 4;
    story.handled_elsewhere("p0.0:0", 20);
    story.dead("p0.0:0", "expired", 0, 2'000);
    jump(story, jumped_at, "w0.0");
    return story.verdict(own_clocks());
  };
  EXPECT_TRUE(tell(1'500).ok()) << findings_of(tell(1'500));
  EXPECT_TRUE(tell(7'500).ok());  // 5,500 apart: the clocks may be
  EXPECT_TRUE(tell(8'500).failed("dead_letter"));
  EXPECT_TRUE(tell(5).failed("dead_letter"));
}

TEST(OwnClocks, D12_WhatTheFastestClockFindsExpiredMayBeDropped) {
  const auto tell = [](std::int64_t ended_at) {
    Story story;
    story.published("p0.0:0", 10).expires_s = 4;
    story.delivered("p0.0:0", "work", "w0.0", 1, 11);  // "pull" drops it
    story.ended_at(ended_at);
    return story.verdict(own_clocks());
  };
  EXPECT_TRUE(tell(1'000).ok()) << findings_of(tell(1'000));
  EXPECT_TRUE(tell(900).failed("lost"));
}

TEST(OwnClocks, D9_AJumpExplainsNoRedelivery) {
  Story story;
  story.published("p0.0:0", 0);
  story.handled_elsewhere("p0.0:0", 1);
  story.delivered("p0.0:0", "work", "w0.0", 1, 10);
  jump(story, 15, "w0.0");
  story.delivered("p0.0:0", "work", "w0.0", 2, 20);
  EXPECT_EQ(story.verdict(own_clocks()).unexplained, 1);
}

TEST(OwnClocks, D8_OneOfAKeyThatExpiredInAJumpHoldsNobody) {
  const auto tell = [](bool jumped) {
    Story story;
    for (const char* const token : {"p0.0:0", "p0.0:1"}) {
      Intent& intent = story.published(token, 0);
      intent.key = "k";
      intent.expires_s = 4;
      story.handled_elsewhere(token, 1);
    }
    story.delivered("p0.0:0", "work", "w0.0", 1, 10, Ending::retry);
    if (jumped) jump(story, 50, "w0.0");
    story.dead("p0.0:0", "expired", 1, 4'050);
    story.delivered("p0.0:1", "work", "w0.0", 1, 60);
    return story.verdict(own_clocks());
  };
  EXPECT_TRUE(tell(true).ok()) << findings_of(tell(true));
  EXPECT_TRUE(tell(false).failed("key_order"));
}

}  // namespace
}  // namespace lrpc::queue::torture
