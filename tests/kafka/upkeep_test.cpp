// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a channel does for its topics on the broker, besides messages.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lrpc/queue.hpp>

#include "client_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

/// A queue on the shared broker with one topic, all by names of its own.
struct Fixture {
  explicit Fixture(const std::map<std::string, std::string>& extra = {}) : prefix(unique_name("upkeep") + "-") {
    Config config;
    config.storage_type = StorageType::kafka;
    config.kafka_config = shared_config();
    config.kafka_config.topic_prefix = prefix;
    config.kafka_config.commit_interval = Duration(50);
    for (const auto& [name, value] : extra) config.kafka_config.extra[name] = value;
    config.max_retries = -1;
    config.retry_delay = Duration(0);
    config.logger = lines.logger();
    queue = good(Queue::open(std::move(config)));
    topic = good(queue->topic<std::string>("t"));
  }
  ~Fixture() { static_cast<void>(queue->close()); }

  Lines lines;
  std::string prefix;
  std::optional<Queue> queue;
  std::optional<Topic<std::string>> topic;
  RawAdmin admin{shared_broker().settings()};
};

/// Sends every message back once, then acks it, until `count` are acked. Returns how often each was delivered.
std::map<std::string, int> retry_each_once(Channel<std::string>& channel, std::size_t count) {
  std::map<std::string, int> deliveries;
  for (std::size_t acked = 0; acked < count;) {
    auto batch = channel.next_batch(200, kPatience);
    if (!batch) throw std::runtime_error(batch.error().message);
    std::vector<Message<std::string>> first;
    std::vector<Message<std::string>> again;
    for (Message<std::string>& message : *batch) {
      // Not by attempts(): what was to be handed out when the group assigned anew may count one that nobody got (D6).
      (++deliveries[message.body()] == 1 ? first : again).push_back(message);
    }
    if (!first.empty()) good(channel.nack(first));
    if (!again.empty()) good(channel.ack(again));
    acked += again.size();
  }
  return deliveries;
}

TEST(Upkeep, TheRetryTopicIsEmptiedBelowWhatIsCommitted) {
  Fixture f;
  auto channel = good(f.topic->get_or_add_channel("c"));
  const std::string retries = f.prefix + "t-c-retry";
  std::vector<std::string> bodies(1500);
  for (std::size_t i = 0; i < bodies.size(); ++i) bodies[i] = std::to_string(i);
  good(f.topic->pub_batch(std::vector<std::string>(bodies)));
  EXPECT_EQ(retry_each_once(channel, bodies.size()).size(), bodies.size());
  EXPECT_TRUE(eventually([&] { return f.admin.watermarks(retries, 0).first >= 1000; }));
  const auto [low, high] = f.admin.watermarks(retries, 0);
  EXPECT_EQ(high, 1500);
  EXPECT_LE(low, f.admin.committed(f.prefix + "t-c", retries, 0)->offset);
  EXPECT_EQ(good(channel.depth()), 0);
  // And it goes on.
  good(f.topic->pub("one more"));
  EXPECT_EQ(retry_each_once(channel, 1).at("one more"), 2);
}

// A topic that is compacted refuses the deletion of records, as one does to whom an access rule forbids it.
TEST(Upkeep, ARefusedDeletionOfRetriesIsSaidOnceAndHarmsNothing) {
  Fixture f;
  f.admin.create_topic(f.prefix + "t-c-retry", 1, {{"cleanup.policy", "compact"}});
  auto channel = good(f.topic->get_or_add_channel("c"));
  const auto refusals = [&] { return f.lines.with("the retry topic keeps what is finished", LogLevel::warning); };
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> bodies(1200);
    for (std::size_t i = 0; i < bodies.size(); ++i) bodies[i] = std::to_string(round) + "-" + std::to_string(i);
    good(f.topic->pub_batch(std::vector<std::string>(bodies)));
    EXPECT_EQ(retry_each_once(channel, bodies.size()).size(), bodies.size());
    EXPECT_TRUE(eventually([&] { return !refusals().empty(); }));
  }
  EXPECT_EQ(good(channel.depth()), 0);
  EXPECT_THAT(refusals(), testing::SizeIs(1));
}

TEST(Upkeep, PartitionsAddedToATopicUnderUseGetRetryPartitions) {
  Fixture f(std::map<std::string, std::string>{{"topic.metadata.refresh.interval.ms", "300"}});
  auto channel = good(f.topic->get_or_add_channel("c"));
  const std::string topic = f.prefix + "t";
  const std::string retries = topic + "-c-retry";
  good(f.topic->pub("before"));
  EXPECT_EQ(retry_each_once(channel, 1).at("before"), 2);
  good(admin_for(shared_config())->create_partitions(topic, 3, soon()));
  EXPECT_TRUE(eventually([&] { return f.admin.partitions(topic).size() == 3; }));
  RawProducer producer(shared_broker().settings());
  std::map<std::string, int> all;
  // The group hears of them by and by; until then the retry may lie with the others'.
  EXPECT_TRUE(eventually([&] {
    const std::string body = "m" + std::to_string(all.size());
    producer.produce(topic, {.key = body, .value = "\"" + body + "\"", .partition = 2});
    all[body] = retry_each_once(channel, 1)[body];
    if (f.admin.partitions(retries).size() < 3) return false;
    try {
      return f.admin.watermarks(retries, 2).second > 0;
    } catch (const RawError&) {  // it has no leader yet
      return false;
    }
  }));
  for (const auto& [body, deliveries] : all) EXPECT_EQ(deliveries, 2) << body;
  EXPECT_TRUE(eventually([&] { return good(channel.depth()) == 0; }));
}

TEST(Upkeep, AChannelThatIsOpenedGetsARetryPartitionForEachOfItsTopic) {
  Fixture f;
  good(good(f.topic->get_or_add_channel("c")).close());
  good(admin_for(shared_config())->create_partitions(f.prefix + "t", 4, soon()));
  EXPECT_TRUE(eventually([&] { return f.admin.partitions(f.prefix + "t").size() == 4; }));
  Config config;
  config.storage_type = StorageType::kafka;
  config.kafka_config = shared_config();
  config.kafka_config.topic_prefix = f.prefix;
  Queue other = good(Queue::open(std::move(config)));
  auto topic = good(other.topic<std::string>("t"));
  good(topic.get_or_add_channel("c"));
  EXPECT_TRUE(eventually([&] { return f.admin.partitions(f.prefix + "t-c-retry").size() == 4; }));
}

// From an assignment to the first message it took half a second more now and then, for two reasons; what a fetch
// brought cannot be seen otherwise than in librdkafka's own log.
TEST(Upkeep, TheFirstFetchAfterAnAssignmentIsOfWhatIsThereAndIsKept) {
  const std::string prefix = unique_name("first") + "-";
  for (int round = 0; round < 5; ++round) {
    Lines lines;
    Config config;
    config.storage_type = StorageType::kafka;
    config.kafka_config = shared_config();
    config.kafka_config.topic_prefix = prefix;
    config.kafka_config.partition = 3;
    config.kafka_config.extra["debug"] = "topic";
    config.logger = lines.logger();
    Queue queue = good(Queue::open(std::move(config)));
    auto topic = good(queue.topic<std::string>("t"));
    auto channel = good(topic.get_or_add_channel("c"));
    good(topic.pub_batch({"a", "b", "c"}));
    for (int i = 0; i < 3; ++i) good(channel.ack(good(channel.try_next(kPatience))));
    const auto started = lines.with("received op FETCH_START");
    ASSERT_THAT(started, testing::SizeIs(6));
    EXPECT_THAT(started.front(), testing::HasSubstr(prefix + "t ["));
    EXPECT_THAT(lines.with("Application resuming"), testing::IsEmpty());
    good(queue.close());
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
