// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What lies on a broker, seen by plain librdkafka: docs/wire-format.md, and the manual's names and records.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "broker.hpp"
#include "raw.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;
using testing::Pair;
using testing::SizeIs;

struct Event {
  std::string type{};
  std::string data{};
};
void to_json(nlohmann::json& json, const Event& event) { json = {{"Type", event.type}, {"Data", event.data}}; }
void from_json(const nlohmann::json& json, Event& event) {
  json.at("Type").get_to(event.type);
  json.at("Data").get_to(event.data);
}

class Records : public testing::Test {
 protected:
  /// Of a prefix that no other test has.
  Config config(int partitions = 1) {
    Config config{.storage_type = StorageType::kafka};
    config.kafka_config.brokers = {shared_broker().address()};
    config.kafka_config.topic_prefix = prefix;
    config.kafka_config.partition = partitions;
    return config;
  }
  Settings raw_settings() { return {{"bootstrap.servers", shared_broker().address()}}; }
  std::vector<RawRecord> read(const std::string& topic) { return RawConsumer(raw_settings()).read_all(topic); }

  std::string prefix = unique_name("myapp") + "-";
};

using Texts = std::map<std::string, std::string>;

Texts headers_of(const RawRecord& record) { return {record.headers.begin(), record.headers.end()}; }

TEST_F(Records, AreTheManuals) {
  Queue q = Queue::open(config()).value();
  auto topic = q.topic<Event>("events").value();
  auto channel = topic.get_or_add_channel("handler").value();
  const Message<Event> message = Message<Event>::with_id("01ARZ3NDEKTSV4RRFFQ69G5FAV", {"user.login", "john"});
  ASSERT_TRUE(topic.pub_msg(message, {.expires = 0ms}));

  const auto records = read(prefix + "events");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].value, R"({"Data":"john","Type":"user.login"})");
  EXPECT_EQ(records[0].key, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_THAT(headers_of(records[0]), ElementsAre(Pair("attempts", "0"), Pair("channel", ""), Pair("expires_at", "0"),
                                                  Pair("id", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                                                  Pair("timestamp", std::to_string(message.timestamp()))));
  EXPECT_EQ(records[0].headers.size(), 5U);
  EXPECT_TRUE(RawAdmin(raw_settings()).committed(prefix + "events-handler", prefix + "events", 0));
}

TEST_F(Records, BearTheUsersKeyAndHeaders) {
  Queue q = Queue::open(config()).value();
  auto topic = q.topic<std::string>("events").value();
  ASSERT_TRUE(topic.pub("x", {.key = "john", .headers = {{"trace", "4bf9"}}, .expires = 30min}));
  for (const char* reserved : {"id", "channel", "retry_x", "dlq_x"}) {
    const auto refused = topic.pub("x", {.headers = {{reserved, "1"}}});
    ASSERT_FALSE(refused) << reserved;
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  }
  const auto records = read(prefix + "events");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].key, "john");
  EXPECT_EQ(records[0].header("trace"), "4bf9");
  const auto life =
      std::stoll(records[0].header("expires_at").value()) - std::stoll(records[0].header("timestamp").value());
  EXPECT_GE(life, 1800);
  EXPECT_LE(life, 1802);
}

// What the manual says of its Key holds with `hash`.
TEST_F(Records, OfOneIdLieInOnePartitionWithHash) {
  Config with_hash = config(8);
  with_hash.kafka_config.balancer = Balancer::hash;
  Queue q = Queue::open(with_hash).value();
  auto topic = q.topic<std::string>("events").value();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(topic.pub_msg(Message<std::string>::with_id("the-id", "x")));
  const auto records = read(prefix + "events");
  ASSERT_THAT(records, SizeIs(10));
  for (const RawRecord& record : records) EXPECT_EQ(record.partition, records[0].partition);
}

TEST_F(Records, OfRetriesAndDeadLettersLieInTopicsOfTheChannel) {
  Queue q = Queue::open(config(3)).value();
  auto topic = q.topic<std::string>("order-steps").value();
  auto channel = topic.get_or_add_channel("shop", {.max_retries = 1, .retry_delay = 10ms}).value();
  const std::string id = topic.pub("a book", {.headers = {{"trace", "4bf9"}}}).value();
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const auto message = channel.try_next(20s);
    ASSERT_TRUE(message) << message.error().message;
    EXPECT_EQ(message->attempts(), attempt);
    ASSERT_TRUE(channel.nack(*message, {.reason = "sold out"}));
  }
  const auto origin = read(prefix + "order-steps");
  const auto retries = read(prefix + "order--steps-shop-retry");
  const auto dead = read(prefix + "order--steps-shop-dlq");
  ASSERT_THAT(origin, SizeIs(1));
  ASSERT_THAT(retries, SizeIs(1));
  ASSERT_THAT(dead, SizeIs(1));
  EXPECT_EQ(retries[0].partition, origin[0].partition);
  EXPECT_THAT(headers_of(retries[0]),
              IsSupersetOf(Texts{{"id", id}, {"attempts", "1"}, {"channel", "shop"}, {"trace", "4bf9"}}));
  EXPECT_TRUE(retries[0].header("retry_due_ms"));
  EXPECT_EQ(dead[0].value, "\"a book\"");
  EXPECT_THAT(headers_of(dead[0]), IsSupersetOf(Texts{{"id", id},
                                                      {"channel", "shop"},
                                                      {"trace", "4bf9"},
                                                      {"dlq_reason", "max_retries"},
                                                      {"dlq_error", "sold out"},
                                                      {"dlq_topic", prefix + "order--steps-shop-retry"},
                                                      {"dlq_partition", std::to_string(retries[0].partition)},
                                                      {"dlq_offset", std::to_string(retries[0].offset)},
                                                      {"dlq_attempts", "2"}}));
  EXPECT_TRUE(dead[0].header("dlq_failed_at"));
  EXPECT_THAT(q.topics().value(), ElementsAre("order-steps"));
  RawAdmin admin(raw_settings());
  EXPECT_THAT(admin.partitions(prefix + "order--steps-shop-retry"), SizeIs(3));
  EXPECT_THAT(admin.partitions(prefix + "order--steps-shop-dlq"), SizeIs(1));
  EXPECT_EQ(admin.config(prefix + "order--steps-shop-retry").at("retention.ms"), "-1");
}

TEST_F(Records, OfADelayedPublishLieInTheTopicAtOnce) {
  Queue q = Queue::open(config()).value();
  auto topic = q.topic<std::string>("events").value();
  ASSERT_TRUE(topic.pub("later", {.delay = 1h}));
  const auto records = read(prefix + "events");
  ASSERT_THAT(records, SizeIs(1));
  const auto due_s = std::stoll(records[0].header("retry_due_ms").value()) / 1000;
  EXPECT_NEAR(static_cast<double>(due_s - std::stoll(records[0].header("timestamp").value())), 3600.0, 1.0);
}

TEST_F(Records, OfOtherProgramsAreRead) {
  Queue q = Queue::open(config()).value();
  auto topic = q.topic<Event>("events").value();
  auto channel = topic.get_or_add_channel("handler").value();
  const std::string body = R"({"Type":"user.login","Data":"john"})";
  RawProducer(raw_settings())
      .produce(prefix + "events", {{.key = "john", .value = body, .headers = {{"id", "A"}, {"trace", "4bf9"}}},
                                   {.key = "B", .value = body},
                                   {.value = body},
                                   {.key = "D", .value = body, .headers = {{"expires_at", "soon"}}}});
  std::vector<Message<Event>> got;
  while (got.size() < 3) {
    auto message = channel.try_next(20s);
    ASSERT_TRUE(message) << message.error().message;
    EXPECT_EQ(message->body().type, "user.login");
    EXPECT_EQ(message->expires_at(), 0);
    ASSERT_TRUE(channel.ack(*message));
    got.push_back(*message);
  }
  EXPECT_EQ(got[0].id(), "A");
  EXPECT_EQ(got[0].key(), "john");
  EXPECT_THAT(got[0].headers(), ElementsAre(Pair("trace", "4bf9")));
  EXPECT_EQ(got[1].id(), "B");
  EXPECT_EQ(got[1].key(), "");
  EXPECT_EQ(got[2].id(), "0-2");
  EXPECT_EQ(channel.try_next(0ms).error().code, ErrorCode::no_message);
  const auto dead = channel.dead_letters().value();
  ASSERT_THAT(dead.items, SizeIs(1));
  EXPECT_EQ(dead.items[0].reason, "undecodable");
  EXPECT_EQ(dead.items[0].id, "D");
}

TEST_F(Records, AGroupIdTakesThePlaceOfThePrefix) {
  Config grouped = config();
  const std::string group = unique_name("workers");
  grouped.kafka_config.consumer_group_id = group;
  Queue q = Queue::open(grouped).value();
  auto topic = q.topic<std::string>("events").value();
  auto channel = topic.get_or_add_channel("handler").value();
  RawAdmin admin(raw_settings());
  EXPECT_TRUE(admin.committed(group + "-events-handler", prefix + "events", 0));
  EXPECT_THAT(admin.partitions(group + "-events-handler-retry"), SizeIs(1));
  EXPECT_THAT(admin.partitions(group + "-events-handler-dlq"), SizeIs(1));
  EXPECT_THAT(admin.topics(), Not(testing::Contains(testing::Key(prefix + "events-handler-dlq"))));
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
