// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The producer and a cluster that loses brokers.
#include <gtest/gtest.h>

#include "tally.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::seconds;

TEST(ProducerGroup, AnotherLeaderTakesOver) {
  BrokerGroup group;
  RawAdmin(group.settings()).create_topic("t", 1, {}, 3);
  const std::size_t first = group.await_leader("t", 0);
  const auto producer = producer_for(config_for(group.addresses()));
  Tally tally(*producer, "t", 4, seconds(20));
  ASSERT_TRUE(eventually([&] { return tally.stored() > 20; }));
  group.broker(first).kill();
  group.await_leader_other_than("t", 0, first);
  const std::size_t before = tally.stored();
  EXPECT_TRUE(eventually([&] { return tally.stored() > before + 20; }));
  tally.stop();
  EXPECT_FALSE(produce(*producer, {.topic = "t", .value = bytes("end")}).error);
  auto records = RawConsumer(group.settings()).read("t", 0);
  EXPECT_EQ(records.back().value, "end");
  records.pop_back();
  tally.check(records);
}

TEST(ProducerGroup, TooFewReplicasAreUnavailable) {
  BrokerGroup group;
  RawAdmin(group.settings()).create_topic("t", 1, {{"min.insync.replicas", "3"}}, 3);
  const std::size_t leader = group.await_leader("t", 0);
  KafkaConfig config = config_for(group.addresses());
  config.write_timeout = seconds(8);
  const auto producer = producer_for(config);
  ASSERT_FALSE(produce(*producer, {.topic = "t"}).error);
  group.broker((leader + 1) % 3).kill();
  Produced done;
  EXPECT_TRUE(eventually([&] {
    done = produce(*producer, {.topic = "t"}, in(config.write_timeout));
    return done.error.has_value();
  }));
  ASSERT_TRUE(done.error);
  EXPECT_TRUE(done.error->code == ErrorCode::unavailable || done.error->code == ErrorCode::outcome_unknown)
      << done.error->message;
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
