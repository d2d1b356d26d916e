// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The producer and brokers that fail it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "client_fixture.hpp"
#include "kafka/errors.hpp"
#include "tally.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// An address of this machine where nobody listens.
constexpr const char* kNobody = "127.0.0.1:9";

/// A broker of the test's own with one topic "t", which a producer has used.
class ProducerFault : public ::testing::Test {
 protected:
  ProducerFault() {
    RawAdmin(broker_.settings()).create_topic("t");
    config_.brokers = {broker_.address()};
  }
  std::unique_ptr<Producer> used_producer() {
    auto producer = producer_for(config_);
    EXPECT_FALSE(produce(*producer, {.topic = "t"}).error);
    return producer;
  }
  std::vector<RawRecord> stored() { return RawConsumer(broker_.settings()).read("t", 0); }

  Broker broker_;
  KafkaConfig config_;
};

TEST(ProducerAlone, NobodyThereIsUnavailable) {
  KafkaConfig config = config_for(kNobody);
  config.write_timeout = milliseconds(1'500);
  const auto producer = producer_for(config);
  Produced done;
  const auto time = took([&] { done = produce(*producer, {.topic = "t"}, in(config.write_timeout)); });
  EXPECT_LE(time, milliseconds(1'900));
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code, ErrorCode::unavailable);
  EXPECT_TRUE(done.error->retryable);
  EXPECT_THAT(done.error->message, HasSubstr("refused"));
}

TEST(ProducerAlone, AShortTimeIsKeptToo) {
  const auto producer = producer_for(config_for(kNobody));
  for (const auto time : {milliseconds(20), milliseconds(300)}) {
    Produced done;
    EXPECT_LE(took([&] { done = produce(*producer, {.topic = "t"}, in(time)); }), time + milliseconds(300));
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code, ErrorCode::unavailable) << done.error->message;
  }
}

TEST(ProducerAlone, WithoutTimeNothingIsSent) {
  const std::string topic = new_topic();
  const auto producer = producer_for(shared_config());
  const Produced done = produce(*producer, {.topic = topic}, in(milliseconds(0)));
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code, ErrorCode::timeout);
  EXPECT_FALSE(produce(*producer, {.topic = topic}).error);
  EXPECT_THAT(RawConsumer(shared_broker().settings()).read(topic, 0), SizeIs(1));
}

TEST(ProducerAlone, AFullBufferIsToldAndNothingIsLostOfIt) {
  KafkaConfig config = config_for(kNobody);
  config.extra = {{"queue.buffering.max.messages", "10"}};
  const auto producer = producer_for(config);
  const std::vector<Record> records(15, Record{.topic = "t"});
  const auto out = produce(*producer, records, in(milliseconds(500)));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(out[i].error->code, ErrorCode::unavailable) << out[i].error->message;
  for (std::size_t i = 10; i < 15; ++i) {
    EXPECT_EQ(out[i].error->code, ErrorCode::queue_full) << out[i].error->message;
    EXPECT_TRUE(out[i].error->retryable);
  }
}

TEST(ProducerAlone, OneThatLeavesEarlyDoesNotTakeTheOthersTime) {
  const auto producer = producer_for(config_for(kNobody));
  std::jthread patient([&] {
    Produced done;
    EXPECT_GE(took([&] { done = produce(*producer, {.topic = "t"}, in(seconds(3))); }), milliseconds(2'000));
    EXPECT_EQ(done.error->code, ErrorCode::unavailable);
  });
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(produce(*producer, {.topic = "t"}, in(milliseconds(100))).error->code, ErrorCode::unavailable);
  }
}

TEST(ProducerAlone, ASmallBufferServesALargeBatch) {
  const std::string topic = new_topic();
  KafkaConfig config = shared_config();
  config.extra = {{"queue.buffering.max.messages", "10"}};
  const auto producer = producer_for(config);
  const std::vector<Record> records(500, Record{.topic = topic});
  for (const Produced& each : produce(*producer, records)) EXPECT_FALSE(each.error);
  EXPECT_THAT(RawConsumer(shared_broker().settings()).read(topic, 0), SizeIs(500));
}

TEST_F(ProducerFault, ABrokerThatSaysNothingLeavesTheOutcomeOpen) {
  const auto producer = used_producer();
  broker_.pause();
  const EnvelopePtr body = Envelope::make_encoded(Bytes(5'000, std::byte{'x'}));
  Produced done;
  const auto time = took([&] {
    done = produce(*producer, {.topic = "t", .value = body->encoded_body(), .keep = body}, in(milliseconds(500)));
  });
  EXPECT_LE(time, milliseconds(800));
  broker_.resume();
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code, ErrorCode::outcome_unknown) << done.error->message;
  EXPECT_FALSE(done.error->retryable);
  EXPECT_TRUE(eventually([&] { return body->unique(); }));  // the late report frees it
  EXPECT_FALSE(produce(*producer, {.topic = "t"}).error);
}

TEST_F(ProducerFault, WhatIsToldUnavailableIsNotStoredLater) {
  const auto producer = used_producer();
  broker_.kill();
  // The first may have been under way when the connection broke.
  for (int i = 0; i < 3; ++i) {
    const Produced done = produce(*producer, {.topic = "t", .value = bytes("lost")}, in(milliseconds(400)));
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code, ErrorCode::unavailable) << done.error->message;
  }
  broker_.start();
  EXPECT_TRUE(eventually([&] { return !produce(*producer, {.topic = "t", .value = bytes("kept")}).error; }));
  for (const RawRecord& record : stored()) EXPECT_NE(record.value, "lost");
}

TEST_F(ProducerFault, ABrokerThatComesBackInTimeGetsIt) {
  const auto producer = used_producer();
  broker_.stop();
  std::jthread early([&] {
    const std::vector<Record> records(100, Record{.topic = "t", .value = bytes("x")});
    for (const Produced& each : produce(*producer, records, in(seconds(20)))) {
      EXPECT_FALSE(each.error) << each.error->message;
    }
  });
  std::this_thread::sleep_for(milliseconds(500));
  broker_.start();
  early.join();
  EXPECT_THAT(stored(), SizeIs(101));
}

TEST_F(ProducerFault, RestartsUnderLoadLoseAndRepeatNothing) {
  RawAdmin(broker_.settings()).create_topic("load");
  const auto producer = producer_for(config_);
  Tally tally(*producer, "load", 4, seconds(1));
  ASSERT_TRUE(eventually([&] { return tally.stored() > 20; }));
  broker_.kill();
  std::this_thread::sleep_for(milliseconds(1'500));
  broker_.start();
  const std::size_t before = tally.stored();
  EXPECT_TRUE(eventually([&] { return tally.stored() > before + 20; }));
  tally.stop();
  // What is under way still arrives before this one.
  EXPECT_TRUE(eventually([&] { return !produce(*producer, {.topic = "t"}, in(seconds(5))).error; }));
  tally.check(RawConsumer(broker_.settings()).read("load", 0));
}

TEST(ProducerLogin, AWrongPasswordIsPermission) {
  Broker broker({.users = {{.name = "ada", .password = "right-one"}}});
  KafkaConfig config = config_for(broker.address(Listener::sasl));
  config.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "wrong-one"};
  const auto producer = producer_for(config);
  for (int i = 0; i < 2; ++i) {  // librdkafka says it only once
    const Produced done = produce(*producer, {.topic = "t"}, in(seconds(2)));
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code, ErrorCode::permission) << done.error->message;
    EXPECT_FALSE(done.error->retryable);
    EXPECT_THAT(done.error->message, ::testing::Not(HasSubstr("wrong-one")));
  }
  config.sasl.password = "right-one";
  RawAdmin(broker.settings()).create_topic("t");
  EXPECT_FALSE(produce(*producer_for(config), {.topic = "t"}).error);
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
