// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A channel whose topic, group or broker is changed under it from outside.
#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <mutex>
#include <numeric>
#include <stop_token>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lrpc/queue.hpp>

#include "client_fixture.hpp"
#include "kafka/channel.hpp"
#include "kafka/topic.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// What was logged at warning and above.
class Warnings {
 public:
  [[nodiscard]] Logger logger() {
    return [this](LogLevel level, std::string_view text) {
      if (level < LogLevel::warning) return;
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(text);
    };
  }
  [[nodiscard]] std::vector<std::string> with(std::string_view part) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> found;
    std::ranges::copy_if(lines_, std::back_inserter(found), [part](const auto& line) { return line.contains(part); });
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

Config queue_config(const Broker& broker, const std::string& prefix) {
  Config config;
  config.storage_type = StorageType::kafka;
  config.kafka_config = config_for(broker.address());
  config.kafka_config.topic_prefix = prefix;
  return config;
}

/// A topic with a channel, on a broker of the test's choice; everything bears the prefix.
struct Fixture {
  explicit Fixture(Broker& on = shared_broker(), const std::function<void(Config&)>& change = {})
      : broker(on), config([&] {
          Config made = queue_config(on, prefix);
          made.logger = warnings.logger();
          if (change) change(made);
          return made;
        }()) {}
  void publish(int first, int end) {
    for (int i = first; i < end; ++i) good(topic.pub(i));
  }
  Message<int> next() { return good(channel.try_next(kPatience)); }
  /// Without the queue's own ideas of the topic.
  void produce(int first, int end) {
    RawProducer producer(broker.settings());
    for (int i = first; i < end; ++i) producer.produce(prefix + "t", {.value = std::to_string(i), .partition = 0});
  }
  [[nodiscard]] RawAdmin admin() const { return RawAdmin(broker.settings()); }
  [[nodiscard]] std::string group() const { return prefix + "t-c"; }
  /// What the group has committed of the topic.
  [[nodiscard]] std::int64_t committed() const {
    const auto found = admin().committed(group(), prefix + "t", 0);
    return found ? found->offset : -1;
  }

  Broker& broker;
  const std::string prefix = unique_name("channel") + "-";
  Warnings warnings;
  const Config config;
  Queue queue = good(Queue::open(config));
  Topic<int> topic = good(queue.topic<int>("t"));
  Channel<int> channel = good(topic.get_or_add_channel("c"));
};

TEST(KafkaChannel, D1_a_topic_made_anew_under_its_consumer_is_read_from_its_start) {
  Fixture f;
  f.publish(0, 20);
  for (int i = 0; i < 15; ++i) good(f.channel.ack(f.next()));
  const Message<int> held = f.next();
  ASSERT_TRUE(eventually([&] { return f.committed() == 15; }));
  RawAdmin admin = f.admin();
  admin.delete_topic(f.prefix + "t");
  admin.create_topic(f.prefix + "t");
  f.produce(100, 103);
  std::vector<int> got;
  while (got.size() < 3) {
    const auto message = f.channel.try_next(kPatience);
    ASSERT_TRUE(message) << message.error().message;
    if (message->body() < 100) continue;  // what was read ahead of the old one
    got.push_back(message->body());
    good(f.channel.ack(*message));
  }
  EXPECT_THAT(got, ElementsAre(100, 101, 102));
  EXPECT_FALSE(f.channel.ack(held)) << "D10: it was another topic's";
  EXPECT_TRUE(eventually([&] { return f.committed() == 3; }));
  good(f.queue.close());
}

TEST(KafkaChannel, D1_what_retention_took_before_it_was_read_is_counted_and_logged) {
  Fixture f(shared_broker(), [](Config& config) {  // little is read ahead
    config.kafka_config.extra = {{"queued.min.messages", "100"}, {"max.partition.fetch.bytes", "20000"}};
  });
  constexpr int kAll = 10'000;
  for (int i = 0; i < kAll; i += 100) {
    std::vector<int> bodies(100);
    std::iota(bodies.begin(), bodies.end(), i);
    good(f.topic.pub_batch(bodies));
  }
  std::int64_t delivered = 0;
  good(f.channel.ack(f.next()));
  ++delivered;
  // Reads ahead so far and no further.
  std::int64_t ready = 0;
  ASSERT_TRUE(eventually([&] { return f.committed() == 1; }));
  f.admin().delete_records(f.prefix + "t", 0, kAll - 500);
  while (true) {
    const auto batch = f.channel.next_batch(500, 5s);
    if (!batch) break;
    good(f.channel.ack(std::span(*batch)));
    delivered += static_cast<std::int64_t>(batch->size());
    ready = batch->back().body();
    if (ready == kAll - 1) break;
  }
  EXPECT_EQ(ready, kAll - 1);
  EXPECT_LT(delivered, kAll);
  EXPECT_EQ(delivered + good(f.channel.stats()).dropped, kAll);
  EXPECT_THAT(f.warnings.with("retention"), SizeIs(1));
  EXPECT_EQ(good(f.channel.depth()), 0);
  good(f.queue.close());
}

TEST(KafkaChannel, D22_commits_that_are_always_refused_are_said_once_and_told_to_who_waits) {
  Broker broker({.properties = {{"offset.metadata.max.bytes", "8"}}});
  Fixture f(broker);
  f.publish(0, 1);
  // Nothing is handed out that is not committed before (D6). The first waits are for the group.
  Error refused;
  ASSERT_TRUE(eventually([&] {
    const auto message = f.channel.try_next(1s);
    if (!message) refused = message.error();
    return refused.native_code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE;
  })) << refused.message;
  EXPECT_THAT(refused.message, HasSubstr("channel c of topic t: commit"));
  EXPECT_FALSE(f.channel.try_next(1s));
  EXPECT_THAT(f.warnings.with(": commit"), SizeIs(1));
  static_cast<void>(f.queue.close());
}

TEST(KafkaChannel, D1_a_broker_that_takes_short_notes_gets_short_ones) {
  Broker broker({.properties = {{"offset.metadata.max.bytes", "200"}}});
  Fixture f(broker);
  f.publish(0, 400);
  std::vector<Message<int>> held;
  while (held.size() < 400) {
    auto batch = good(f.channel.next_batch(400, kPatience));
    std::ranges::move(batch, std::back_inserter(held));
  }
  for (std::size_t i = 1; i < held.size(); i += 2) good(f.channel.ack(held[i]));
  ASSERT_TRUE(eventually([&] {
    const auto found = f.admin().committed(f.group(), f.prefix + "t", 0);
    const auto note = found ? read_note(found->metadata, found->offset) : std::nullopt;
    return note && !note->settled.empty();
  }));
  EXPECT_THAT(f.warnings.with(": commit"), IsEmpty());
  for (std::size_t i = 0; i < held.size(); i += 2) good(f.channel.ack(held[i]));
  EXPECT_TRUE(eventually([&] { return f.committed() == 400; }));
  good(f.queue.close());
}

/// A channel that has a message ready and must commit before it hands it out, which its broker does not answer.
struct Stuck {
  Broker broker;
  Fixture f{broker, [](Config& config) { config.kafka_config.write_timeout = 5min; }};
  Stuck() {
    f.publish(0, 1);
    good(f.channel.ack(f.next()));
    f.publish(1, 3);
    while (good(f.channel.stats()).ready < 2) {  // it is read
    }
    broker.pause();
  }
};

TEST(KafkaChannel, D21_a_stop_token_ends_the_wait_for_the_first_commit) {
  Stuck stuck;
  std::stop_source stop;
  auto result = std::async(std::launch::async, [&] { return stuck.f.channel.next(stop.get_token()); });
  EXPECT_EQ(result.wait_for(300ms), std::future_status::timeout);
  stop.request_stop();
  ASSERT_EQ(result.wait_for(kPatience), std::future_status::ready);
  const auto message = result.get();
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, ErrorCode::cancelled);
  stuck.broker.resume();
  EXPECT_EQ(stuck.f.next().body(), 1) << "it was not handed out";
  good(stuck.f.queue.close());
}

TEST(KafkaChannel, D20_close_and_pause_end_the_wait_for_the_first_commit) {
  Stuck stuck;
  auto looking = std::async(std::launch::async, [&] { return stuck.f.channel.try_next(1h); });
  EXPECT_EQ(looking.wait_for(300ms), std::future_status::timeout);
  auto closing = std::async(std::launch::async, [&] { return stuck.f.channel.close(); });
  ASSERT_EQ(looking.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(looking.get().error().code, ErrorCode::channel_closed);
  stuck.broker.resume();
  ASSERT_EQ(closing.wait_for(kPatience), std::future_status::ready);
  good(closing.get());
}

TEST(KafkaChannel, D20_a_channel_that_another_process_deleted_is_dead_here) {
  Fixture f;
  f.publish(0, 2);
  Queue other = good(Queue::open(f.config));
  Topic<int> topic = good(other.topic<int>("t"));
  good(topic.delete_channel("c"));
  const auto dead = [](const auto& result) {
    return !result.has_value() && result.error().code == ErrorCode::channel_not_found;
  };
  // Each by a handle that knows nothing yet.
  EXPECT_TRUE(dead(f.channel.stats()));
  EXPECT_TRUE(dead(f.channel.drop_all()));
  EXPECT_TRUE(dead(f.channel.try_next(kPatience)));
  EXPECT_THAT(good(topic.channel_list()), IsEmpty()) << "dropping everything has not made it anew";
  good(topic.get_or_add_channel("c"));
  EXPECT_TRUE(dead(f.channel.try_next(kPatience))) << "it stays dead";
  EXPECT_TRUE(dead(f.channel.stats()));
  good(other.close());
  good(f.queue.close());
}

// Channel b-c of topic a and channel c of topic a-b are one group to the broker.
TEST(KafkaChannel, D20_a_channel_that_shares_its_group_outlives_the_others_deletion) {
  Fixture f;
  Topic<int> short_topic = good(f.queue.topic<int>("a"));
  Topic<int> long_topic = good(f.queue.topic<int>("a-b"));
  Channel<int> kept = good(short_topic.get_or_add_channel("b-c"));
  Channel<int> deleted = good(long_topic.get_or_add_channel("c"));
  for (int i = 0; i < 2; ++i) {
    good(short_topic.pub(i));
    good(long_topic.pub(10 + i));
  }
  const Message<int> first = good(kept.try_next(kPatience));
  EXPECT_EQ(first.body(), 0);
  good(kept.ack(first));
  const Message<int> other = good(deleted.try_next(kPatience));
  EXPECT_EQ(other.body(), 10);
  good(deleted.ack(other));

  good(long_topic.delete_channel("c"));
  EXPECT_THAT(good(long_topic.channel_list()), IsEmpty());
  EXPECT_THAT(good(short_topic.channel_list()), ElementsAre("b-c"));
  const Message<int> second = good(kept.try_next(kPatience));
  EXPECT_EQ(second.body(), 1);
  good(kept.ack(second));
  EXPECT_EQ(good(kept.depth()), 0);
  good(f.queue.close());

  Queue again = good(Queue::open(f.config));
  Topic<int> topic = good(again.topic<int>("a"));
  EXPECT_EQ(good(good(topic.get_or_add_channel("b-c")).depth()), 0) << "where it stood is known";
  good(topic.delete_channel("b-c"));
  EXPECT_THAT(good(topic.channel_list()), IsEmpty());
  good(again.close());
}

TEST(KafkaChannel, D20_the_first_call_of_any_kind_finds_that_the_channel_was_deleted) {
  const std::array<std::function<std::optional<Error>(Channel<int>&)>, 4> calls{
      [](auto& channel) { return channel.drop_all().error(); },
      [](auto& channel) { return channel.try_next(kPatience).error(); },
      [](auto& channel) { return channel.dead_letters().error(); },
      [](auto& channel) { return channel.requeue_dead().error(); }};
  for (const auto& call : calls) {
    Fixture f;
    Queue other = good(Queue::open(f.config));
    good(good(other.topic<int>("t")).delete_channel("c"));
    const auto error = call(f.channel);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, ErrorCode::channel_not_found) << error->message;
    good(other.close());
    good(f.queue.close());
  }
}

TEST(KafkaChannel, D8_retries_with_required_acks_1_come_by_reading) {
  Fixture f(shared_broker(), [](Config& config) { config.kafka_config.required_acks = 1; });
  f.publish(0, 20);
  for (int i = 0; i < 20; ++i) good(f.channel.nack(f.next(), {.delay = Duration(0)}));
  for (int i = 0; i < 20; ++i) {
    const Message<int> again = f.next();
    EXPECT_EQ(again.attempts(), 2);
    good(f.channel.ack(again));
  }
  EXPECT_EQ(good(f.channel.depth()), 0);
  good(f.queue.close());
}

TEST(KafkaChannel, WhatIsOutSurvivesADeletionThatWasRefused) {
  const std::string prefix = unique_name("revive") + "-";
  const Config config = queue_config(shared_broker(), prefix);
  auto cluster = good(Cluster::connect({.config = config, .clock = system_clock(), .logger = silent()}));
  KafkaTopic topic(cluster, "t", {});
  detail::Gate gate;
  good(topic.open(gate));
  const auto channel = std::static_pointer_cast<KafkaChannel>(good(topic.open_channel("c", {}, true)));
  RawProducer producer(shared_broker().settings());
  producer.produce(prefix + "t", std::vector(2, RawRecord{.key = "k", .value = "1", .partition = 0}));
  std::array<Delivery, 1> first;
  ASSERT_EQ(good(channel->receive(first, {.deadline = soon()})), 1U);
  channel->retire();
  EXPECT_THAT(RawAdmin(shared_broker().settings()).members(prefix + "t-c"), IsEmpty());
  std::array<Delivery, 1> second;
  auto receiving = std::async(std::launch::async, [&] { return channel->receive(second, {.deadline = soon()}); });
  EXPECT_EQ(receiving.wait_for(300ms), std::future_status::timeout) << "nothing is received until it is decided";
  channel->revive();
  ASSERT_EQ(good(receiving.get()), 1U);
  std::array<DeliveryTag, 2> tags{first[0].tag, second[0].tag};
  std::array<bool, 2> done{};
  good(channel->ack(tags, done));
  EXPECT_THAT(done, ElementsAre(true, true));
  good(channel->close());
  good(topic.close());
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
