// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/names.hpp"

#include <gtest/gtest.h>

namespace lrpc::queue::kafka {
namespace {

TEST(KafkaNames, AreThoseOfTheManual) {
  const Names names("lrpc-queue-", "");
  EXPECT_EQ(names.topic("orders"), "lrpc-queue-orders");
  EXPECT_EQ(names.group("orders", "mail"), "lrpc-queue-orders-mail");
  EXPECT_EQ(names.retry_topic("orders", "mail"), "lrpc-queue-orders-mail-retry");
  EXPECT_EQ(names.dead_topic("orders", "mail"), "lrpc-queue-orders-mail-dlq");
}

TEST(KafkaNames, AGroupIdReplacesThePrefixOfWhatIsTheChannels) {
  const Names names("p-", "mine");
  EXPECT_EQ(names.topic("orders"), "p-orders");
  EXPECT_EQ(names.group("orders", "mail"), "mine-orders-mail");
  EXPECT_EQ(names.retry_topic("orders", "mail"), "mine-orders-mail-retry");
}

TEST(KafkaNames, NoTwoChannelsShareATopic) {
  const Names names("p-", "");
  EXPECT_NE(names.retry_topic("a-b", "c"), names.retry_topic("a", "b-c"));
  EXPECT_EQ(names.retry_topic("a-b", "c-d"), "p-a--b-c--d-retry");
}

TEST(KafkaNames, TopicsOfChannelsAreNoTopics) {
  const Names names("p-", "");
  EXPECT_EQ(names.topic_of("p-orders"), "orders");
  EXPECT_EQ(names.topic_of("p-orders-mail-retry"), std::nullopt);
  EXPECT_EQ(names.topic_of("p-orders-mail-dlq"), std::nullopt);
  EXPECT_EQ(names.topic_of("q-orders"), std::nullopt);
  EXPECT_EQ(names.topic_of("p-"), std::nullopt);
}

TEST(KafkaNames, ChannelsAreFoundInTheirGroups) {
  const Names names("p-", "");
  EXPECT_EQ(names.channel_of("orders", "p-orders-mail"), "mail");
  EXPECT_EQ(names.channel_of("orders", "p-orders-"), std::nullopt);
  EXPECT_EQ(names.channel_of("orders", "p-other-mail"), std::nullopt);
}

TEST(KafkaNames, D23_what_a_broker_would_refuse_is_refused) {
  const Names names("p-", "");
  EXPECT_TRUE(names.check_topic("orders"));
  EXPECT_EQ(names.check_topic("orders-retry").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(names.check_topic("orders-dlq").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(names.check_topic(std::string(248, 'x')).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(names.check_channel("orders", "mail"));
  const std::string longest(199, 'x');
  EXPECT_TRUE(names.check_channel("a", longest));
  EXPECT_EQ(names.check_channel(longest, std::string(48, 'x')).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace lrpc::queue::kafka
