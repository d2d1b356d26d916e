// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A broker that dies, stalls or is not there, under publishers and consumers: what was accepted stays, nothing comes
// twice, and all goes on by itself (D1, D22). Closing ends in its time meanwhile (D20, D21).
#include <signal.h>

#include <functional>

#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct End {
  const char* name;
  void (Broker::*end)();
};

std::string name_of_end(const ::testing::TestParamInfo<End>& end) { return end.param.name; }

class BrokerDeath : public ::testing::TestWithParam<End> {};

TEST_P(BrokerDeath, D1_D22_nothing_accepted_is_lost_or_comes_twice) {
  Broker broker;
  Config config = queue_config(broker.address());
  Party consumer(config);
  Party publisher(config);
  Witness witness;
  const Subscription subscription = witness.watch(consumer.channel);
  Publisher stream(publisher.topic, [](int number) {
    PubOptions options = keyed(number);
    options.timeout = seconds(1);
    return options;
  });
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(stream.goes_on(20, kPatience));
    const std::size_t errors = stream.errors().size();
    (broker.*GetParam().end)();
    EXPECT_TRUE(eventually([&] { return stream.errors().size() > errors; }));
    broker.start();
    const std::size_t handled = witness.ledger.distinct();
    ASSERT_TRUE(stream.goes_on(20, kPatience));
    EXPECT_TRUE(eventually([&] { return witness.ledger.distinct() > handled + 20; }));
  }
  expect_all(witness.ledger, stream.stop());
  expect_passing(stream.errors());
  expect_empty(consumer.channel);
  EXPECT_THAT(witness.ledger.repeated(), IsEmpty());
  EXPECT_TRUE(witness.keys_are_in_order(kKeys));
  EXPECT_EQ(witness.clashes(), 0);
}
INSTANTIATE_TEST_SUITE_P(, BrokerDeath,
                         ::testing::Values(End{"killed", &Broker::kill}, End{"restarted", &Broker::stop}), name_of_end);

class BrokerFault : public ::testing::Test {
 protected:
  Broker broker_;
  Config config_ = queue_config(broker_.address());
};

TEST_F(BrokerFault, D22_a_blocked_next_goes_on_after_a_restart) {
  Party consumer(config_);
  Party publisher(config_);
  good(publisher.topic.pub("before"));
  good(consumer.channel.ack(good(consumer.channel.try_next(kPatience))));
  std::atomic<bool> came{false};
  const std::jthread waiting([&](const std::stop_token& stop) {
    const auto message = consumer.channel.next(stop);
    came = message && message->body() == "after" && consumer.channel.ack(*message);
  });
  broker_.kill();
  broker_.start();
  EXPECT_TRUE(eventually([&] { return publisher.topic.pub("after").has_value(); }));
  EXPECT_TRUE(eventually([&] { return came.load(); }));
}

// What is held when the broker dies is still held afterwards, and can be settled.
TEST_F(BrokerFault, D10_a_delivery_outlives_the_broker) {
  Party party(config_);
  good(party.topic.pub_batch({"acked", "retried"}));
  const auto first = good(party.channel.try_next(kPatience));
  const auto second = good(party.channel.try_next(kPatience));
  broker_.kill();
  EXPECT_TRUE(party.channel.ack(first).has_value());  // an ack is recorded here (D10)
  broker_.start();
  EXPECT_TRUE(eventually([&] { return party.channel.nack(second, {.delay = Duration(0)}).has_value(); }));
  const auto again = good(party.channel.try_next(kPatience));
  EXPECT_EQ(again.body(), "retried");
  EXPECT_EQ(again.attempts(), 2);
  good(party.channel.ack(again));
  expect_empty(party.channel);
}

// Retries and dead letters that a subscription could not write while the broker was away are written then.
TEST_F(BrokerFault, D1_failures_of_handlers_outlive_the_broker) {
  config_.max_retries = 1;
  config_.kafka_config.write_timeout = seconds(2);
  Party party(config_);
  Ledger ledger;
  std::atomic<bool> away{false};
  std::atomic<int> begun{0};
  const Subscription subscription = good(party.channel.subscribe([&](const Message<std::string>& message) {
    ++begun;
    EXPECT_TRUE(eventually([&] { return away.load(); }));
    ledger.saw(message.body());
    return ProcessRsp{.retry = true};
  }));
  good(party.topic.pub_batch({"0", "1", "2"}));
  ASSERT_TRUE(eventually([&] { return begun == 3; }));
  broker_.kill();
  away = true;
  std::this_thread::sleep_for(milliseconds(500));
  broker_.start();
  EXPECT_TRUE(eventually([&] {
    const auto letters = party.channel.dead_letters();
    return letters && letters->items.size() == 3;
  }));
  for (const char* const body : {"0", "1", "2"}) EXPECT_EQ(ledger.times(body), 2) << body;
  expect_empty(party.channel);
}

TEST_F(BrokerFault, D22_a_stalled_broker) {
  config_.kafka_config.write_timeout = seconds(1);
  Party consumer(config_);
  Party publisher(config_);
  Witness witness;
  const Subscription subscription = witness.watch(consumer.channel);
  Publisher stream(publisher.topic, keyed);
  ASSERT_TRUE(stream.goes_on(20, kPatience));
  broker_.pause();
  const bool failed = eventually([&] { return stream.errors().size() >= 2; });
  broker_.resume();
  EXPECT_TRUE(failed);
  ASSERT_TRUE(stream.goes_on(20, kPatience));
  expect_all(witness.ledger, stream.stop());
  expect_passing(stream.errors());
  expect_empty(consumer.channel);
  EXPECT_THAT(witness.ledger.repeated(), IsEmpty());
}

// -- closing without a broker ----------------------------------------------------------------------------------------

/// Whether a call ends by itself in time; one that does not has the test wait for it, and fail.
bool ends_within(Duration time, const std::function<void()>& call) {
  const Duration taken = took(call);
  EXPECT_LE(taken, time);
  return taken <= time;
}

class CloseWithoutBroker : public ::testing::TestWithParam<End> {};

TEST_P(CloseWithoutBroker, D20_ends_within_its_time_out) {
  Broker broker;
  Config config = queue_config(broker.address());
  config.close_timeout = seconds(6);
  config.kafka_config.write_timeout = seconds(2);
  Party party(config);
  Party next(config);
  Witness witness;
  const Subscription subscription = witness.watch(party.channel);
  Publisher stream(party.topic, keyed);
  ASSERT_TRUE(stream.goes_on(20, kPatience));
  ASSERT_TRUE(eventually([&] { return witness.ledger.distinct() > 20; }));
  std::atomic<bool> told{false};
  const std::jthread waiting([&](const std::stop_token& stop) {
    while (!stop.stop_requested() && !told) {
      const auto message = next.channel.next(stop);
      told = !message && message.error().code == ErrorCode::channel_closed;
    }
  });
  (broker.*GetParam().end)();
  const Duration bound = *config.close_timeout;
  EXPECT_TRUE(ends_within(bound, [&] { static_cast<void>(next.queue.close()); }));
  EXPECT_TRUE(eventually([&] { return told.load(); }));
  EXPECT_TRUE(ends_within(bound, [&] { static_cast<void>(party.queue.close()); }));
  stream.stop();
  EXPECT_EQ(error_of_call(party.topic.pub("late")).code, ErrorCode::topic_closed);
  broker.resume();
}
INSTANTIATE_TEST_SUITE_P(, CloseWithoutBroker,
                         ::testing::Values(End{"killed", &Broker::kill}, End{"stalled", &Broker::pause}), name_of_end);

// -- opening without a broker ----------------------------------------------------------------------------------------

TEST(OpenWithoutBroker, D22_a_refused_connection_is_told_at_once) {
  Config config = queue_config("127.0.0.1:" + std::to_string(support::free_port()));
  config.kafka_config.dial_timeout = seconds(30);
  Error error;
  EXPECT_TRUE(ends_within(seconds(15), [&] { error = error_of_call(Queue::open(config)); }));
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_TRUE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr(config.kafka_config.brokers.front()));
  EXPECT_THAT(error.message, HasSubstr("refused"));
}

TEST(OpenWithoutBroker, D22_an_unknown_host_is_told_by_its_name) {
  Config config = queue_config("no-such-host.invalid:9092");
  config.kafka_config.dial_timeout = seconds(5);
  const Error error = error_of_call(Queue::open(config));
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_THAT(error.message, HasSubstr("no-such-host.invalid"));
}

// One that takes the connection and says nothing costs the time-out, not more.
TEST_F(BrokerFault, D21_opening_on_a_stalled_broker_ends_in_time) {
  config_.kafka_config.dial_timeout = seconds(2);
  broker_.pause();
  Error error;
  EXPECT_TRUE(ends_within(seconds(4), [&] { error = error_of_call(Queue::open(config_)); }));
  broker_.resume();
  EXPECT_THAT(error.code, AnyOf(ErrorCode::unavailable, ErrorCode::timeout)) << error.message;
  EXPECT_TRUE(error.retryable);
  EXPECT_TRUE(Queue::open(config_).has_value());
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
