// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Topics that an operator deletes, widens or makes narrow while they are used (D1, D15, D22).
#include <algorithm>
#include <set>

#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class TopicFault : public ::testing::Test {
 protected:
  Config config_ = queue_config(shared_broker().address());
  RawAdmin admin_{shared_broker().settings()};
};

// -- deleted ---------------------------------------------------------------------------------------------------------

TEST_F(TopicFault, D22_a_topic_that_was_deleted_under_use_is_told_and_goes_on_when_it_is_back) {
  config_.kafka_config.write_timeout = seconds(2);
  Party publisher(config_);
  Party consumer(config_);
  Witness witness;
  const Subscription subscription = witness.watch(consumer.channel);
  Publisher stream(publisher.topic, PubOptions{}, milliseconds(1));
  ASSERT_TRUE(stream.goes_on(50, kPatience));
  ASSERT_TRUE(eventually([&] { return witness.ledger.distinct() > 50; }));

  admin_.delete_topic(publisher.topic_name);
  ASSERT_TRUE(eventually([&] { return stream.errors().size() > 2; }));
  const auto gone = stream.errors();
  EXPECT_THAT(gone.back().message, HasSubstr(publisher.topic_name));
  EXPECT_THAT(gone.back().message, HasSubstr("does not exist"));
  stream.stop();

  // What lay in the old topic went with it. Fewer than before, until the consumer is in the new one (docs/kafka.md).
  admin_.create_topic(publisher.topic_name);
  const std::vector<std::string> first{"new-0", "new-1", "new-2"};
  for (const std::string& body : first) {
    EXPECT_TRUE(eventually([&] { return publisher.topic.pub(body).has_value(); }));
  }
  expect_all(witness.ledger, first);
  std::vector<std::string> more;
  for (int i = 0; i < 300; ++i) more.push_back("more-" + std::to_string(i));
  good(publisher.topic.pub_batch(more));
  expect_all(witness.ledger, more);
  EXPECT_THAT(witness.ledger.repeated(), IsEmpty());
  expect_empty(consumer.channel);
}

// -- widened ---------------------------------------------------------------------------------------------------------

TEST_F(TopicFault, D4_partitions_that_are_added_under_use_are_read_from_their_start) {
  config_.kafka_config.extra = {{"topic.metadata.refresh.interval.ms", "500"}};
  config_.max_retries = 3;
  Party publisher(config_);
  Party consumer(config_);
  Ledger ledger;
  std::mutex mutex;
  std::map<std::string, int> attempts;
  // Each message fails once: retries of the new partitions have a place, too.
  const Subscription subscription =
      good(consumer.channel.subscribe([&](const Message<std::string>& message) -> ProcessRsp {
        const std::lock_guard lock(mutex);
        attempts[message.body()] = std::max(attempts[message.body()], message.attempts());
        if (message.attempts() == 1) return {.retry = true};
        ledger.saw(message.body());
        return {};
      }));
  Publisher stream(publisher.topic, PubOptions{}, milliseconds(5));
  ASSERT_TRUE(stream.goes_on(20, kPatience));
  admin_.add_partitions(publisher.topic_name, 3);
  // By another program, before the consumer knows of them.
  RawProducer other(shared_broker().settings());
  std::vector<std::string> bodies;
  for (const int partition : {1, 2}) {
    const std::string body = "new-" + std::to_string(partition);
    other.produce(publisher.topic_name, RawRecord{.value = '"' + body + '"', .partition = partition});
    bodies.push_back(body);
  }
  expect_all(ledger, bodies);
  expect_all(ledger, stream.stop());
  EXPECT_THAT(stream.errors(), IsEmpty());
  expect_empty(consumer.channel);
  EXPECT_THAT(ledger.repeated(), IsEmpty());
  const std::lock_guard lock(mutex);
  for (const auto& [body, most] : attempts) EXPECT_EQ(most, 2) << body;
}

TEST_F(TopicFault, D4_publishers_use_partitions_that_were_added) {
  Party party(config_);
  Witness witness;
  const Subscription subscription = witness.watch(party.channel);
  good(party.topic.pub("0"));
  admin_.add_partitions(party.topic_name, 2);
  Publisher stream(party.topic, PubOptions{}, milliseconds(100));
  const RawAdmin& admin = admin_;
  // Within the time that a topic's shape is believed (30 s).
  const auto end = in(seconds(45));
  while (admin.watermarks(party.topic_name, 1).second == 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_GT(admin.watermarks(party.topic_name, 1).second, 0);
  const auto accepted = stream.stop();
  // Consumers look after new partitions once in a minute (topic.metadata.refresh.interval.ms).
  const auto limit = in(seconds(80));
  while (!witness.ledger.has(accepted) && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_THAT(witness.ledger.missing(accepted), IsEmpty());
}

// -- narrow ----------------------------------------------------------------------------------------------------------

TEST_F(TopicFault, D15_a_message_larger_than_the_broker_takes_is_refused_and_the_next_ones_pass) {
  admin_.create_topic(config_.kafka_config.topic_prefix + "orders", 1, {{"max.message.bytes", "5000"}});
  Party party(config_);
  Ledger ledger;
  const Subscription subscription =
      good(party.channel.subscribe([&](const Message<std::string>& message) { ledger.saw(message.body()); }));
  const std::string large(20'000, 'x');
  const Error error = error_of_call(party.topic.pub(large));
  EXPECT_EQ(error.code, ErrorCode::body_too_large) << error.message;
  EXPECT_FALSE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr(party.topic_name));
  EXPECT_THAT(error.message, HasSubstr("max.message.bytes"));
  good(party.topic.pub("next"));
  // In a batch the others are stored, and named (D2).
  const Error batch = error_of_call(party.topic.pub_batch({std::string("a"), large, std::string("b")}));
  EXPECT_EQ(batch.code, ErrorCode::body_too_large) << batch.message;
  EXPECT_THAT(batch.accepted, ::testing::SizeIs(2));
  // Those that come together with it are not refused for it.
  std::vector<std::jthread> crowd;
  std::atomic<int> passed{0};
  for (int i = 0; i < 8; ++i) {
    crowd.emplace_back([&, i] {
      for (int turn = 0; turn < 20; ++turn) {
        const std::string body = std::to_string(i) + "-" + std::to_string(turn);
        if (i == 0) {
          EXPECT_EQ(error_of_call(party.topic.pub(large)).code, ErrorCode::body_too_large);
        } else if (party.topic.pub(body)) {
          ++passed;
        }
      }
    });
  }
  crowd.clear();
  EXPECT_EQ(passed, 7 * 20);
  EXPECT_TRUE(eventually([&] { return ledger.distinct() == 3 + 7 * 20; }));
  EXPECT_EQ(ledger.times(large), 0);
  expect_empty(party.channel);
  EXPECT_THAT(ledger.repeated(), IsEmpty());
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
