// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/producer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "client_fixture.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

std::string text_of(const Produced& produced) { return produced.error ? produced.error->message : ""; }

TEST(Producer, EveryPartOfARecordArrives) {
  const std::string topic = new_topic(2);
  const auto producer = producer_for(shared_config());
  const RecordHeader headers[] = {{"id", "1"}, {"empty", {}}, {"id", "2"}};
  const Produced done = produce(*producer, {.topic = topic,
                                            .partition = 1,
                                            .key = std::string_view("k\0y", 3),
                                            .value = bytes(std::string_view("v\0lue", 5)),
                                            .headers = headers,
                                            .timestamp_ms = 1234});
  ASSERT_EQ(text_of(done), "");
  EXPECT_EQ(done.partition, 1);
  EXPECT_EQ(done.offset, 0);
  const auto found = RawConsumer(shared_broker().settings()).read(topic, 1);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].key, std::string("k\0y", 3));
  EXPECT_EQ(found[0].value, std::string("v\0lue", 5));
  EXPECT_THAT(found[0].headers, ElementsAre(Pair("id", "1"), Pair("empty", ""), Pair("id", "2")));
  EXPECT_EQ(found[0].timestamp_ms, 1234);
}

TEST(Producer, AnEmptyValueIsNoTombstone) {
  const std::string topic = new_topic();
  const auto producer = producer_for(shared_config());
  ASSERT_EQ(text_of(produce(*producer, {.topic = topic})), "");
  const auto found = RawConsumer(shared_broker().settings()).read(topic, 0);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].value, "");
  EXPECT_EQ(found[0].key, std::nullopt);
}

TEST(Producer, ABatchKeepsItsOrderInEveryPartition) {
  const std::string topic = new_topic(3);
  const auto producer = producer_for(shared_config());
  std::vector<std::string> values;
  for (int i = 0; i < 5'000; ++i) values.push_back(std::to_string(i));
  std::vector<Record> records;
  for (int i = 0; i < 5'000; ++i) {
    records.push_back({.topic = topic, .partition = i % 3, .value = bytes(values[static_cast<std::size_t>(i)])});
  }
  std::vector<Produced> out(records.size());
  EXPECT_EQ(producer->produce(records, soon(), out), 0);
  for (int i = 0; i < 5'000; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)].offset, i / 3);
  RawConsumer consumer(shared_broker().settings());
  for (int partition = 0; partition < 3; ++partition) {
    int expected = partition;
    for (const RawRecord& record : consumer.read(topic, partition)) {
      EXPECT_EQ(record.value, std::to_string(expected));
      expected += 3;
    }
    EXPECT_GE(expected, 5'000);
  }
}

TEST(Producer, LargeBodiesAreKeptNotCopied) {
  const std::string topic = new_topic();
  const auto producer = producer_for(shared_config());
  const EnvelopePtr body = Envelope::make_encoded(Bytes(200'000, std::byte{'x'}));
  ASSERT_EQ(text_of(produce(*producer, {.topic = topic, .value = body->encoded_body(), .keep = body})), "");
  EXPECT_TRUE(body->unique());  // given back with the report
  EXPECT_EQ(RawConsumer(shared_broker().settings()).read(topic, 0).at(0).value, std::string(200'000, 'x'));
}

TEST(Producer, ManyThreadsAtOnce) {
  const std::string topic = new_topic(2);
  const auto producer = producer_for(shared_config());
  std::atomic<int> stored = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) stored += produce(*producer, {.topic = topic, .partition = t % 2}).error ? 0 : 1;
    });
  }
  threads.clear();
  EXPECT_EQ(stored, 800);
  EXPECT_THAT(RawConsumer(shared_broker().settings()).read_all(topic), SizeIs(800));
}

TEST(Producer, SeveralTopicsInOneCall) {
  const std::string first = new_topic();
  const std::string second = new_topic();
  const auto producer = producer_for(shared_config());
  const std::vector<Record> records{{.topic = first}, {.topic = second}, {.topic = first}};
  const auto out = produce(*producer, records);
  EXPECT_THAT((std::vector{out[0].offset, out[1].offset, out[2].offset}), ElementsAre(0, 0, 1));
}

TEST(Producer, NothingToDo) {
  const auto producer = producer_for(shared_config());
  EXPECT_EQ(producer->produce({}, soon(), {}), 0);
}

class ProducerAcks : public ::testing::TestWithParam<int> {};

TEST_P(ProducerAcks, Stores) {
  const std::string topic = new_topic();
  KafkaConfig config = shared_config();
  config.required_acks = GetParam();
  const auto producer = producer_for(config);
  const std::vector<Record> records(10, Record{.topic = topic, .value = bytes("x")});
  for (const Produced& each : produce(*producer, records)) EXPECT_EQ(text_of(each), "");
  EXPECT_TRUE(eventually([&] { return RawAdmin(shared_broker().settings()).watermarks(topic, 0).second == 10; }));
}

INSTANTIATE_TEST_SUITE_P(All, ProducerAcks, ::testing::Values(-1, 0, 1), [](const auto& each) {
  return "acks_" + std::string(each.param < 0 ? "all" : each.param == 0 ? "none" : "leader");
});

class ProducerCompression : public ::testing::TestWithParam<Compression> {};

TEST_P(ProducerCompression, Stores) {
  const std::string topic = new_topic();
  KafkaConfig config = shared_config();
  config.compression_type = GetParam();
  const auto producer = producer_for(config);
  const std::string value(10'000, 'x');
  ASSERT_EQ(text_of(produce(*producer, {.topic = topic, .value = bytes(value)})), "");
  EXPECT_EQ(RawConsumer(shared_broker().settings()).read(topic, 0).at(0).value, value);
}

INSTANTIATE_TEST_SUITE_P(All, ProducerCompression,
                         ::testing::Values(Compression::none, Compression::gzip, Compression::snappy, Compression::lz4,
                                           Compression::zstd),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST(Producer, ATopicThatDoesNotExistIsToldSoon) {
  const auto producer = producer_for(shared_config());
  const std::string topic = unique_name("missing");
  Produced done;
  EXPECT_LT(took([&] { done = produce(*producer, {.topic = topic}); }), seconds(6));
  ASSERT_TRUE(done.error);
  EXPECT_TRUE(is_missing_topic(*done.error)) << done.error->message;
  EXPECT_THAT(done.error->message, HasSubstr(topic));
  EXPECT_THAT(done.error->message, HasSubstr("does not exist"));
}

TEST(Producer, APartitionThatDoesNotExistIsTold) {
  const std::string topic = new_topic();
  const auto producer = producer_for(shared_config());
  const std::vector<Record> records{{.topic = topic, .partition = 5}, {.topic = topic}};
  const auto out = produce(*producer, records);
  ASSERT_TRUE(out[0].error);
  EXPECT_TRUE(is_missing_topic(*out[0].error)) << out[0].error->message;
  EXPECT_EQ(text_of(out[1]), "");
}

TEST(Producer, ATopicThatWasDeletedAndMadeAgain) {
  const std::string topic = new_topic();
  const auto producer = producer_for(shared_config());
  ASSERT_EQ(text_of(produce(*producer, {.topic = topic})), "");
  RawAdmin admin(shared_broker().settings());
  admin.delete_topic(topic);
  EXPECT_TRUE(produce(*producer, {.topic = topic}).error);
  admin.create_topic(topic);
  EXPECT_EQ(text_of(produce(*producer, {.topic = topic})), "");  // though librdkafka remembers that it is missing
}

TEST(Producer, ARecordThatIsTooLargeForTheTopic) {
  const std::string topic = new_topic(1, {{"max.message.bytes", "10000"}});
  const auto producer = producer_for(shared_config());
  const std::string large(20'000, 'x');
  const std::vector<Record> records{{.topic = topic, .value = bytes("small")}, {.topic = topic, .value = bytes(large)}};
  const auto out = produce(*producer, records);
  EXPECT_EQ(text_of(out[0]), "");
  ASSERT_TRUE(out[1].error);
  EXPECT_EQ(out[1].error->code, ErrorCode::body_too_large);
  EXPECT_THAT(out[1].error->message, HasSubstr("max.message.bytes"));
  EXPECT_THAT(RawConsumer(shared_broker().settings()).read(topic, 0), SizeIs(1));
}

TEST(Producer, ABatchThatIsTooLargeGoesInPieces) {
  const std::string topic = new_topic(1, {{"max.message.bytes", "10000"}});
  const auto producer = producer_for(shared_config());
  const std::string value(6'000, 'x');
  const std::vector<Record> records(20, Record{.topic = topic, .value = bytes(value)});
  for (const Produced& each : produce(*producer, records)) EXPECT_EQ(text_of(each), "");
  EXPECT_THAT(RawConsumer(shared_broker().settings()).read(topic, 0), SizeIs(20));
}

TEST(Producer, AFatalErrorMakesANewOne) {
  const std::string topic = new_topic();
  const auto producer = producer_for(shared_config());
  ASSERT_EQ(text_of(produce(*producer, {.topic = topic})), "");
  for (int round = 0; round < 3; ++round) {
    const auto old = producer->client();
    rd_kafka_test_fatal_error(old->get(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "injected");
    EXPECT_TRUE(old->is_dead());
    EXPECT_EQ(text_of(produce(*producer, {.topic = topic})), "");
    EXPECT_NE(producer->client(), old);
  }
  EXPECT_THAT(RawConsumer(shared_broker().settings()).read(topic, 0), SizeIs(4));
}

TEST(Producer, AFatalErrorUnderLoadLosesAndRepeatsNothing) {
  const std::string topic = new_topic(2);
  const auto producer = producer_for(shared_config());
  std::atomic<bool> stop = false;
  std::atomic<std::size_t> stored = 0;
  std::atomic<std::size_t> unknown = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<Record> records(20, Record{.topic = topic, .partition = t % 2, .value = bytes("x")});
      while (!stop) {
        for (const Produced& each : produce(*producer, records)) {
          if (!each.error) ++stored;
          if (each.error && each.error->code == ErrorCode::outcome_unknown) ++unknown;
        }
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(milliseconds(200));
    rd_kafka_test_fatal_error(producer->client()->get(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "injected");
  }
  std::this_thread::sleep_for(milliseconds(200));
  stop = true;
  threads.clear();
  const std::size_t found = RawConsumer(shared_broker().settings()).read_all(topic).size();
  EXPECT_GE(found, stored);
  EXPECT_LE(found, stored + unknown);
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
