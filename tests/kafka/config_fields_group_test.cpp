// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Fields of KafkaConfig whose effect takes several brokers.
#include <algorithm>

#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

TEST(ConfigFieldsGroup, ReplicationFactor) {
  const BrokerGroup group;
  Config config = queue_config(group.addresses());
  config.kafka_config.replication_factor = 2;  // the brokers' own default is 3
  const Party party(config);
  const RawAdmin admin(group.settings());
  for (const std::string& name : {party.topic_name, party.group + "-retry", party.group + "-dlq"}) {
    const auto partitions = admin.partitions(name);
    ASSERT_EQ(partitions.size(), 1U) << name;
    EXPECT_EQ(partitions[0].replicas.size(), 2U) << name;
  }
}

// Topics of two copies, both of which must have a message (min.insync.replicas); one is lost.
TEST(ConfigFieldsGroup, RequiredAcks) {
  BrokerGroup group;
  Config config = queue_config(group.addresses());
  config.kafka_config.replication_factor = 2;
  config.kafka_config.write_timeout = std::chrono::seconds(4);
  config.kafka_config.required_acks = 1;
  Party one(config);
  config.kafka_config.required_acks = -1;
  Party all(config);
  good(one.topic.pub("x"));
  good(all.topic.pub("x"));
  const std::size_t leader = group.await_leader(one.topic_name, 0);
  const auto copies = RawAdmin(group.broker(leader).settings()).partitions(one.topic_name).at(0).replicas;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (i != leader && std::ranges::find(copies, group.broker(i).id()) != copies.end()) group.broker(i).kill();
  }
  EXPECT_TRUE(eventually(
      [&] { return RawAdmin(group.broker(leader).settings()).partitions(one.topic_name).at(0).in_sync.size() == 1; }));
  EXPECT_TRUE(one.topic.pub("y").has_value());
  EXPECT_TRUE(error_of_call(all.topic.pub("y")).retryable);
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
