// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(BrokerGroup, AnotherLeadsAfterAKill) {
  BrokerGroup group;
  RawAdmin admin(group.settings());
  EXPECT_THAT(admin.brokers(), ElementsAre(1, 2, 3));
  admin.create_topic("led", 1);
  group.await_in_sync("led");
  const Settings settings = group.settings();
  RawProducer producer(settings);
  producer.produce("led", std::vector(100, RawRecord{.value = "before"}));

  const std::size_t old = group.await_leader("led", 0);
  group.broker(old).kill();
  EXPECT_NE(group.await_leader_other_than("led", 0, old), old);
  producer.produce("led", std::vector(100, RawRecord{.value = "after"}));
  EXPECT_THAT(RawConsumer(settings).read("led", 0), SizeIs(200));

  group.broker(old).start();
  group.await_in_sync("led");
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
