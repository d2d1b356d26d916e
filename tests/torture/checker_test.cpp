// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report.hpp"
#include "story.hpp"

/// What the checker must let pass, and how it counts.

namespace lrpc::queue::torture {
namespace {

TEST(Checker, AGoodHistoryIsGood) {
  Story story;
  for (int i = 0; i < 10; ++i) story.good("p0:" + std::to_string(i), 10 * i);
  const Verdict verdict = story.verdict();
  EXPECT_TRUE(verdict.ok()) << findings_of(verdict);
  EXPECT_EQ(verdict.attempted, 10);
  EXPECT_EQ(verdict.accepted, 10);
  EXPECT_EQ(verdict.handled, 20);  // in two channels
  EXPECT_EQ(verdict.deliveries, 20);
}

TEST(Checker, D1_AnUnknownOutcomeMayBeEither) {
  Story story;
  story.published("p0:0", 0, Published::unknown);
  story.published("p0:1", 2, Published::unknown);
  story.handled_elsewhere("p0:1", 4);
  story.delivered("p0:1", "work", "w0.0", 1, 4);
  const Verdict verdict = story.verdict();
  EXPECT_TRUE(verdict.ok()) << findings_of(verdict);
  EXPECT_EQ(verdict.unknown, 2);
  EXPECT_EQ(verdict.recovered, 1);
}

TEST(Checker, D7_ARetryIsNoDuplicateAndEndsAsDeadLetter) {
  Story story;
  story.published("p0:0", 0);
  story.handled_elsewhere("p0:0", 1);
  for (int i = 1; i <= 3; ++i) story.delivered("p0:0", "work", "w0.0", i, 100 * i, Ending::retry);
  story.dead("p0:0", "max_retries", 3, 301);
  const Verdict verdict = story.verdict();
  EXPECT_TRUE(verdict.ok()) << findings_of(verdict);
  EXPECT_EQ(verdict.asked_again, 2);
  EXPECT_EQ(verdict.duplicated, 0);
  EXPECT_EQ(verdict.dead, 1);
}

TEST(Checker, D6_ASkippedAttemptIsNotCounted) {
  Story story;
  story.published("p0:0", 0);
  story.handled_elsewhere("p0:0", 1);
  story.delivered("p0:0", "work", "w0.0", 1, 10, Ending::retry_same);
  story.delivered("p0:0", "work", "w0.0", 1, 110);
  EXPECT_TRUE(story.verdict().ok()) << findings_of(story.verdict());
}

TEST(Checker, ADuplicateIsExplainedByAFaultOfItsConsumer) {
  const auto tell = [](const std::string& target, std::int64_t at) {
    Story story;
    story.published("p0:0", 0);
    story.handled_elsewhere("p0:0", 1);
    story.delivered("p0:0", "work", "w0.0", 1, 10, Ending::handled, 5);
    story.delivered("p0:0", "work", "w1.0", 2, 9'000);
    story.fault("kill-consumer", at, at + 1, target);
    return story.verdict();
  };
  EXPECT_EQ(tell("w0.0", 16).duplicated, 1);
  EXPECT_TRUE(tell("w0.0", 16).ok());
  EXPECT_EQ(tell("w1.0", 16).unexplained, 1);     // another consumer
  EXPECT_EQ(tell("w0.0", 5'000).unexplained, 1);  // another time
}

TEST(Checker, AFaultWhileAMessageIsSentBackLeavesTwoCopies) {
  const auto tell = [](std::int64_t at, int attempt_of_the_second) {
    Story story;
    story.published("p0:0", 0);
    story.handled_elsewhere("p0:0", 1);
    story.fault("kill-broker", at, at + 100);
    story.delivered("p0:0", "work", "w0.0", 1, 3'000, Ending::retry);
    story.delivered("p0:0", "work", "w1.0", 2, 20'000);
    story.delivered("p0:0", "work", "w1.0", attempt_of_the_second, 21'000);
    Rules rules = Story::rules();
    rules.attempts_exact = false;
    return story.verdict(rules);
  };
  EXPECT_EQ(tell(3'000, 2).duplicated, 1);
  EXPECT_EQ(tell(3'000, 2).unexplained, 0);
  EXPECT_EQ(tell(3'000, 3).unexplained, 1);   // it came again after the second
  EXPECT_EQ(tell(10'000, 2).unexplained, 1);  // another time
}

TEST(Checker, AFaultWhileADelayedMessageWaitsLeavesTwoCopies) {
  const auto tell = [](bool delayed) {
    Story story;
    story.published("p0:0", 0).due_tick_ms = delayed ? 20'000 : 0;
    story.handled_elsewhere("p0:0", 20'001);
    story.fault("kill-broker", 3'000, 3'100);
    story.delivered("p0:0", "work", "w1.0", 1, 20'000);
    story.delivered("p0:0", "work", "w1.0", 1, 20'000);
    Rules rules = Story::rules();
    rules.attempts_exact = false;
    return story.verdict(rules);
  };
  EXPECT_EQ(tell(true).duplicated, 1);
  EXPECT_TRUE(tell(true).ok()) << findings_of(tell(true));
  EXPECT_EQ(tell(false).unexplained, 1);
}

TEST(Checker, OneOfTwoCopiesHasTheCapOfItsOwn) {
  const auto tell = [](std::int64_t fault_at, int last) {
    Story story;
    story.published("p0:0", 0);
    story.handled_elsewhere("p0:0", 1);
    story.fault("kill-broker", fault_at, fault_at + 100);
    story.delivered("p0:0", "work", "w0.0", 1, 3'000, Ending::retry);
    story.delivered("p0:0", "work", "w1.0", 2, 20'000, Ending::retry);
    story.delivered("p0:0", "work", "w1.0", last, 21'000, Ending::retry);
    story.dead("p0:0", "max_retries", 2, 22'000);
    Rules rules = Story::rules();
    rules.attempts_exact = false;
    rules.max_retries = 1;
    return story.verdict(rules);
  };
  EXPECT_FALSE(tell(3'000, 2).failed("cap")) << findings_of(tell(3'000, 2));
  EXPECT_TRUE(tell(10'000, 2).failed("cap"));
  EXPECT_TRUE(tell(3'000, 3).failed("cap"));
}

TEST(Checker, AFaultReachesAsFarAsItSays) {
  const auto tell = [](std::int64_t reach) {
    Story story;
    story.published("p0:0", 0);
    story.handled_elsewhere("p0:0", 1);
    story.fault("black-hole", 100, 200).reach_ms = reach;
    story.delivered("p0:0", "work", "w0.0", 1, 3'000);
    story.delivered("p0:0", "work", "w1.0", 2, 9'000);
    return story.verdict();
  };
  EXPECT_EQ(tell(2'500).duplicated, 1);
  EXPECT_EQ(tell(500).unexplained, 1);
}

TEST(Checker, OneThatForgetsExplainsOnlyWhatItMayForget) {
  const auto tell = [](std::int64_t published_at) {
    Story story;
    story.published("p0:0", published_at);
    story.fault("kill-server-aof-everysec", 5'000, 5'100).may_lose_ms = 2'000;
    return story.verdict();
  };
  EXPECT_EQ(tell(4'000).lost_allowed, 2);
  EXPECT_EQ(tell(4'000).lost, 0);
  EXPECT_EQ(tell(2'000).lost, 2);
}

TEST(Checker, D9_AConsumerThatKeepsAMessageTooLongLosesIt) {
  Story story;
  story.published("p0:0", 0);
  story.delivered("p0:0", "work", "w0.0", 1, 1);
  Delivered& slow = story.delivered("p0:0", "pull", "n0.0", 1, 10, Ending::handled, 2'500);
  slow.answer = Answer::refused;
  slow.settle_begin_us = slow.end_us;
  Delivered& again = story.delivered("p0:0", "pull", "n1.0", 2, 2'100);
  again.answer = Answer::ok;
  again.settle_begin_us = again.end_us;
  const Verdict verdict = story.verdict();
  EXPECT_TRUE(verdict.ok()) << findings_of(verdict);
  EXPECT_EQ(verdict.duplicated, 1);
}

TEST(Checker, D12_ExpiredCountsAsAnEnd) {
  Story story;
  story.published("p0:0", 0).expires_s = 1;
  story.dead("p0:0", "expired", 0, 1'000);  // in "work"; "pull" drops it
  story.good("p0:1", 3'000);
  const Verdict verdict = story.verdict();
  EXPECT_TRUE(verdict.ok()) << findings_of(verdict);
  EXPECT_EQ(verdict.expired, 1);
  EXPECT_EQ(verdict.dead, 1);
}

TEST(Checker, D12_ADeadLetterMayBeDatedByAnotherClock) {
  Story story;
  story.published("p0:0", 0).expires_s = 4;
  story.handled_elsewhere("p0:0", 1);
  story.dead("p0:0", "expired", 0, 2'000);
  Rules rules = Story::rules();
  EXPECT_TRUE(story.verdict(rules).failed("dead_letter"));
  rules.clocks_apart_ms = 3'000;
  EXPECT_TRUE(story.verdict(rules).ok()) << findings_of(story.verdict(rules));
}

TEST(Checker, D12_D17_AMovedClockExcusesTimes) {
  const auto tell = [](bool moved) {
    Story story;
    story.published("p0:0", 0).due_tick_ms = 900;
    story.handled_elsewhere("p0:0", 100);
    story.delivered("p0:0", "work", "w0.0", 1, 100);
    Fault& fault = story.fault("clock-jumps-forward", 50, 50);
    fault.moves_clock = moved;
    return story.verdict();
  };
  EXPECT_TRUE(tell(true).ok());
  EXPECT_TRUE(tell(false).failed("early"));
}

TEST(Checker, D8_AKeyGoesOnAfterItsRetry) {
  Story story;
  for (const char* const token : {"p0:0", "p0:1"}) {
    story.published(token, 0).key = "k";
    story.handled_elsewhere(token, 1);
  }
  story.delivered("p0:0", "work", "w0.0", 1, 10, Ending::retry);
  story.delivered("p0:0", "work", "w0.0", 2, 110);
  story.delivered("p0:1", "work", "w0.0", 1, 120);
  EXPECT_TRUE(story.verdict().ok()) << findings_of(story.verdict());
}

TEST(Checker, WhereAttemptsAreNotExactTheyAreNotChecked) {
  Story story;
  story.published("p0:0", 0);
  story.handled_elsewhere("p0:0", 1);
  story.delivered("p0:0", "work", "w0.0", 1, 10, Ending::none, -1);
  story.fault("kill-consumer", 12, 13, "w0.0");
  story.delivered("p0:0", "work", "w1.0", 1, 2'500);
  Rules rules = Story::rules();
  EXPECT_TRUE(story.verdict(rules).failed("attempts"));
  rules.attempts_exact = false;
  EXPECT_TRUE(story.verdict(rules).ok());
}

TEST(Checker, ADepthThatNobodyAskedForIsAFinding) {
  Story story;
  story.good("p0:0", 0);
  Rules rules = Story::rules();
  rules.channels.push_back({.name = "third"});
  EXPECT_TRUE(story.verdict(rules).failed("depth"));
}

TEST(Checker, OneCheckDoesNotHideTheOthers) {
  Story story;
  for (int i = 0; i < 500; ++i) story.published("p0:" + std::to_string(i), i);
  story.delivered("p7:7", "work", "w0.0", 1, 10);
  const Verdict verdict = story.verdict();
  EXPECT_EQ(verdict.lost, 1'000);
  EXPECT_TRUE(verdict.failed("lost"));
  EXPECT_TRUE(verdict.failed("unexpected"));
}

}  // namespace
}  // namespace lrpc::queue::torture
