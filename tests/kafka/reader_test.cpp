// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/reader.hpp"

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client_fixture.hpp"
#include "kafka/cluster.hpp"
#include "kafka/topic.hpp"

namespace lrpc::queue::kafka::test {
namespace {

bool never() { return false; }

/// Reads a record and holds the reader in hand until it goes.
class Holder {
 public:
  Holder(Reader& reader, const std::string& topic)
      : thread_([this, &reader, topic] {
          const auto result = reader.read(
              topic, 0, 0, 1, soon(),
              [this](const rd_kafka_message_t&) {
                held_.set_value();
                release_.get_future().wait();
                return true;
              },
              never);
          EXPECT_TRUE(result) << result.error().message;
        }) {
    held_.get_future().wait();
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() { release_.set_value(); }

 private:
  std::promise<void> held_;
  std::promise<void> release_;
  std::jthread thread_;
};

TEST(Reader, D21_who_waits_for_another_call_waits_no_longer_than_his_deadline) {
  const std::string topic = new_topic();
  RawProducer(shared_broker().settings()).produce(topic, {.value = "x"});
  const auto reader = good(Reader::make(shared_config(), silent()));
  const Holder holder(*reader, topic);
  const auto late = reader->read(topic, 0, 0, 1, in(Duration(200)), [](const auto&) { return true; }, never);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::timeout);
  const auto over = reader->read(topic, 0, 0, 1, soon(), [](const auto&) { return true; }, [] { return true; });
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::cancelled);
}

TEST(Reader, D21_a_read_from_a_broker_that_says_nothing_ends_when_its_caller_wants_no_more) {
  Broker broker;
  const std::string topic = unique_name("reader");
  RawAdmin(broker.settings()).create_topic(topic);
  RawProducer(broker.settings()).produce(topic, {.value = "x"});
  const auto reader = good(Reader::make(config_for(broker.address()), silent()));
  good(reader->read(topic, 0, 0, 1, soon(), [](const auto&) { return true; }, never));
  broker.pause();
  std::atomic<int> looks = 0;
  const auto result = reader->read(
      topic, 0, 0, 1, in(std::chrono::minutes(10)), [](const auto&) { return true; }, [&] { return ++looks > 3; });
  broker.resume();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::cancelled);
}

TEST(Reader, D21_a_tail_under_way_does_not_hold_up_the_figures_of_a_channel) {
  Config config;
  config.kafka_config = shared_config();
  config.kafka_config.topic_prefix = unique_name("tail") + "-";
  const auto cluster = good(Cluster::connect({.config = config, .clock = system_clock(), .logger = silent()}));
  detail::Gate gate;
  KafkaTopic topic(cluster, "t", {});
  good(topic.open(gate));
  const auto channel = good(topic.open_channel("c", {}, true));
  const std::string name = cluster->names.topic("t");
  RawProducer(shared_broker().settings()).produce(name, {.value = "\"x\""});
  // A dead letter is there to be read.
  const std::string letters = cluster->names.dead_topic("t", "c");
  RawProducer(shared_broker().settings()).produce(letters, {.value = "\"x\""});
  const auto reader = good(cluster->reader(ReadFor::tail));
  const Holder holder(*reader, name);
  EXPECT_EQ(good(channel->stats()).dead, 1);
}

TEST(Reader, D21_a_tail_that_waits_ends_when_its_topic_is_closed) {
  Config config;
  config.kafka_config = shared_config();
  config.kafka_config.topic_prefix = unique_name("tail") + "-";
  const auto cluster = good(Cluster::connect({.config = config, .clock = system_clock(), .logger = silent()}));
  detail::Gate gate;
  KafkaTopic topic(cluster, "t", {});
  good(topic.open(gate));
  std::jthread closer([&] { good(topic.close()); });
  const auto page = topic.tail("", "", 10, in(std::chrono::minutes(10)));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::topic_closed);
}

TEST(Cluster, D21_waiting_for_a_topic_ends_when_its_caller_is_closed) {
  Config config;
  config.kafka_config = shared_config();
  const auto cluster = good(Cluster::connect({.config = config, .clock = system_clock(), .logger = silent()}));
  detail::Gate gate;
  const std::vector<std::string> names = {unique_name("never")};
  std::jthread closer([&] { gate.shut(); });
  const auto result = cluster->await_topics(names, true, in(std::chrono::minutes(10)), gate);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::cancelled);
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
