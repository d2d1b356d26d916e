// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The parts of the client that need no broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <tuple>
#include <vector>

#include "kafka/errors.hpp"
#include "kafka/events.hpp"
#include "kafka/produce_call.hpp"
#include "kafka/send_watch.hpp"

namespace lrpc::queue::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

TEST(Errors, SayWhatItMeans) {
  using Row = std::tuple<rd_kafka_resp_err_t, ErrorCode, bool>;
  for (const auto& [code, expected, retryable] : {
           Row{RD_KAFKA_RESP_ERR__TRANSPORT, ErrorCode::unavailable, true},
           Row{RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ErrorCode::unavailable, true},
           Row{RD_KAFKA_RESP_ERR__RESOLVE, ErrorCode::unavailable, true},
           Row{RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, ErrorCode::unavailable, true},
           Row{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, ErrorCode::unavailable, true},
           Row{RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, ErrorCode::unavailable, true},
           Row{RD_KAFKA_RESP_ERR__TIMED_OUT, ErrorCode::timeout, true},
           Row{RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ErrorCode::timeout, true},
           Row{RD_KAFKA_RESP_ERR__AUTHENTICATION, ErrorCode::permission, false},
           Row{RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ErrorCode::permission, false},
           Row{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ErrorCode::permission, false},
           Row{RD_KAFKA_RESP_ERR__SSL, ErrorCode::permission, false},
           Row{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ErrorCode::body_too_large, false},
           Row{RD_KAFKA_RESP_ERR__QUEUE_FULL, ErrorCode::queue_full, true},
           Row{RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ErrorCode::backend, false},
           Row{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ErrorCode::backend, false},
           Row{RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, ErrorCode::unsupported, false},
           Row{RD_KAFKA_RESP_ERR_INVALID_REQUEST, ErrorCode::backend, false},
       }) {
    const Error error = error_of(code, "do a thing");
    EXPECT_EQ(error.code, expected) << rd_kafka_err2name(code);
    EXPECT_EQ(error.retryable, retryable) << rd_kafka_err2name(code);
    EXPECT_EQ(error.native_code, code);
    EXPECT_EQ(error.source, "kafka");
    EXPECT_THAT(error.message, HasSubstr("do a thing: "));
  }
}

TEST(Errors, AMissingTopicSaysWhatToDo) {
  const Error error = error_of(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "publish");
  EXPECT_TRUE(is_missing_topic(error));
  EXPECT_THAT(error.message, HasSubstr("does not exist"));
  EXPECT_THAT(error.message, HasSubstr("auto_create_topics"));
  EXPECT_FALSE(is_missing_topic(error_of(RD_KAFKA_RESP_ERR__TRANSPORT, "publish")));
}

TEST(ProduceCall, AnswersWhenAllReportsAreThere) {
  auto call = ProduceCall::make(3);
  call->hold();
  for (std::size_t i = 0; i < 3; ++i) call->expect();
  call->release();
  EXPECT_FALSE(call->wait(steady_clock::now() + milliseconds(5)));
  std::thread reporter([slots = call->slots()] {
    for (ProduceSlot& slot : slots) {
      slot.offset = 7;
      ProduceCall::report(slot);
    }
  });
  EXPECT_TRUE(call->wait(steady_clock::now() + seconds(10)));
  for (const ProduceSlot& slot : call->slots()) {
    EXPECT_TRUE(slot.done);
    EXPECT_EQ(slot.offset, 7);
  }
  reporter.join();
}

TEST(ProduceCall, LateReportsFindItsMemory) {
  for (int late = 1; late <= 3; ++late) {
    auto call = ProduceCall::make(3);
    const auto slots = call->slots();
    call->hold();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      call->expect();
      slots[i].keep = Envelope::make_encoded(Bytes(100));
    }
    call->release();
    const auto kept = EnvelopePtr(slots[2].keep);
    for (std::size_t i = 0; i < slots.size() - static_cast<std::size_t>(late); ++i) ProduceCall::report(slots[i]);
    EXPECT_FALSE(call->wait(steady_clock::now()));
    EXPECT_FALSE(kept->unique());
    call.reset();
    for (std::size_t i = slots.size() - static_cast<std::size_t>(late); i < slots.size(); ++i) {
      ProduceCall::report(slots[i]);
    }
    EXPECT_TRUE(kept->unique());
  }
}

TEST(ProduceCall, LeavingAndReportingAtTheSameTime) {
  for (int round = 0; round < 2'000; ++round) {
    auto call = ProduceCall::make(2);
    const auto slots = call->slots();
    call->hold();
    call->expect();
    call->expect();
    call->release();
    std::thread reporter([slots] {
      ProduceCall::report(slots[0]);
      ProduceCall::report(slots[1]);
    });
    if (round % 2 == 0) static_cast<void>(call->wait(steady_clock::now() + milliseconds(1)));
    call.reset();
    reporter.join();
  }
}

TEST(SendWatch, KnowsWhetherACallMayBeOutside) {
  SendWatch watch;
  EXPECT_TRUE(watch.nothing_sent());
  const auto first = watch.begin();
  EXPECT_TRUE(watch.nothing_sent());
  watch.request();
  EXPECT_FALSE(watch.nothing_sent());
  const auto second = watch.begin();
  EXPECT_FALSE(watch.nothing_sent());
  watch.end(first);
  EXPECT_TRUE(watch.nothing_sent());  // the second began after the request
  watch.request();
  watch.request();
  EXPECT_FALSE(watch.nothing_sent());
  watch.end(second);
  EXPECT_TRUE(watch.nothing_sent());
}

TEST(ClientEvents, ALoggerThatThrowsIsKeptAwayFromLibrdkafka) {
  const ClientEvents events([](LogLevel, std::string_view) { throw 1; });
  events.log(LogLevel::info, "text");
}

// It is told once; a second attempt at the same broker, with another text, must not make us forget it.
TEST(ClientEvents, ThatAllBrokersAreDownIsKeptUntilACallIsAnswered) {
  ClientEvents events([](LogLevel, std::string_view) {});
  events.hear(RD_KAFKA_RESP_ERR__TRANSPORT, "refused after 0ms");
  EXPECT_FALSE(events.trouble({})->all_down_at);
  events.hear(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down");
  EXPECT_EQ(events.trouble({})->text, "refused after 0ms");
  const auto told = events.trouble({})->all_down_at;
  ASSERT_TRUE(told);
  events.hear(RD_KAFKA_RESP_ERR__TRANSPORT, "refused after 3ms");
  EXPECT_EQ(events.trouble({})->text, "refused after 3ms");
  EXPECT_EQ(events.trouble({})->all_down_at, told);
  events.forget_trouble();
  EXPECT_FALSE(events.trouble({}));
}

}  // namespace
}  // namespace lrpc::queue::kafka
