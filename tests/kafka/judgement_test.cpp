// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What no broker of the tests shows: old releases, and findings of many. The rest: tests/cli/cli_kafka_doctor_test.cpp.
#include "kafka/judgement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lrpc::queue::kafka {
namespace {

using Level = Finding::Level;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<Finding> about_broker(const Wishes& wishes, const BrokerSettings& settings) {
  Findings findings;
  judge_broker(wishes, "1", settings, findings);
  return std::move(findings).take();
}

TEST(Judgement, TheReleaseIsReadFromASettingThatEndedWith4) {
  EXPECT_EQ(to_string(version_of({{"inter.broker.protocol.version", "3.9-IV0"}})), "3.9");
  EXPECT_EQ(to_string(version_of({{"inter.broker.protocol.version", "0.10.2-IV0"}})), "0.10");
  EXPECT_EQ(to_string(version_of({{"offset.metadata.max.bytes", "4096"}})), "4.0 or newer");
}

TEST(Judgement, OldReleasesLackWhatIsAskedOfThem) {
  const auto of = [](const char* version, const Wishes& wishes) {
    return about_broker(wishes, {{"inter.broker.protocol.version", version}}).at(0);
  };
  Wishes wishes;
  EXPECT_EQ(of("0.10.2-IV0", wishes).level, Level::error);
  EXPECT_EQ(of("2.0-IV1", wishes).level, Level::ok);
  wishes.config.compression_type = Compression::zstd;
  EXPECT_THAT(of("2.0-IV1", wishes).what, HasSubstr("zstd"));
  EXPECT_EQ(of("2.0-IV1", wishes).level, Level::error);
  EXPECT_EQ(of("2.1-IV2", wishes).level, Level::ok);
  wishes.config.instance_id = "one";
  EXPECT_THAT(of("2.2-IV1", wishes).what, HasSubstr("instance_id"));
  EXPECT_EQ(of("2.3-IV1", wishes).level, Level::ok);
}

TEST(Judgement, ASettingThatIsNotToldIsNotJudged) {
  const auto found = about_broker({}, {});
  ASSERT_EQ(found.size(), 1U);  // the release
  EXPECT_EQ(found[0].level, Level::ok);
}

TEST(Judgement, RoomForTheNotesOfCommits) {
  const auto of = [](const char* bytes) {
    return about_broker({}, {{"offset.metadata.max.bytes", bytes}}).at(1).level;
  };
  EXPECT_EQ(of("4096"), Level::ok);
  EXPECT_EQ(of("1024"), Level::warning);
  EXPECT_EQ(of("100"), Level::error);
}

TEST(Judgement, MessagesThatNeverExpireOutliveAnyRetention) {
  const TopicCopies topic{.name = "t", .partitions = 1, .fewest_replicas = 1, .fewest_in_sync = 1};
  const BrokerSettings week{{"retention.ms", "604800000"}, {"retention.bytes", "-1"}};
  Findings day;
  judge_topic({}, version_of({}), topic, week, false, day);
  EXPECT_THAT(std::move(day).take(), IsEmpty());
  Findings never;
  judge_topic({.message_ttl = Duration(0)}, version_of({}), topic, week, false, never);
  EXPECT_EQ(std::move(never).take().at(0).level, Level::warning);
}

TEST(Judgement, MoreCopiesInStepThanThereAre) {
  const auto of = [](const char* version, int copies) {
    Findings findings;
    judge_topic({}, version_of({{"inter.broker.protocol.version", version}}),
                {.name = "t", .partitions = 1, .fewest_replicas = copies, .fewest_in_sync = copies},
                {{"min.insync.replicas", "2"}}, false, findings);
    return std::move(findings).take();
  };
  EXPECT_EQ(of("3.6-IV2", 1).at(0).level, Level::error);
  EXPECT_THAT(of("3.6-IV2", 1).at(0).what, HasSubstr("every publish is refused"));
  EXPECT_EQ(of("3.7-IV0", 1).at(0).level, Level::warning);
  EXPECT_THAT(of("3.6-IV2", 2), IsEmpty());
}

TEST(Judgement, CopiesThatAreMissing) {
  Findings findings;
  judge_copies({.name = "a", .partitions = 2, .fewest_replicas = 3, .fewest_in_sync = 3}, findings);
  judge_copies({.name = "b", .partitions = 2, .fewest_replicas = 3, .fewest_in_sync = 2}, findings);
  judge_copies({.name = "c", .partitions = 2, .fewest_replicas = 3, .fewest_in_sync = 0, .without_leader = 1},
               findings);
  const auto found = std::move(findings).take();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].level, Level::warning);
  EXPECT_THAT(found[0].what, HasSubstr("topic b: in step are only 2 of 3"));
  EXPECT_EQ(found[1].level, Level::error);
  EXPECT_THAT(found[1].what, HasSubstr("topic c"));
}

TEST(Judgement, WhatHoldsForSeveralIsSaidOnce) {
  Findings findings;
  for (int i = 1; i <= 7; ++i) findings.add_of("topic", "t" + std::to_string(i), Level::warning, "bad");
  findings.add_of("broker", "1", Level::warning, "bad");
  findings.add(Level::ok, "good");
  std::vector<std::string> said;
  for (const Finding& each : std::move(findings).take()) said.push_back(each.what);
  EXPECT_THAT(said, ElementsAre("topics t1, t2, t3, t4, t5 and 2 more: bad", "broker 1: bad", "good"));
}

}  // namespace
}  // namespace lrpc::queue::kafka
