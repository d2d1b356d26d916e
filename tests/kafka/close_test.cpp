// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Closing when the broker says nothing or is gone.
#include <algorithm>
#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lrpc/queue.hpp>

#include "client_fixture.hpp"
#include "support/process_figures.hpp"

namespace lrpc::queue::kafka::test {
namespace {

enum class Loss { paused, killed };

/// A queue over a broker that goes away.
class Close : public testing::TestWithParam<Loss> {
 protected:
  void SetUp() override {
    Config config;
    config.storage_type = StorageType::kafka;
    config.kafka_config = config_for(broker_.address());
    config.kafka_config.write_timeout = Duration(5000);  // for what was begun
    config.close_timeout = kCloseTimeout;
    config.logger = silent();
    queue_ = good(Queue::open(std::move(config)));
    topic_ = good(queue_->topic<std::string>("t"));
    channel_ = good(topic_->get_or_add_channel("c"));
  }
  void TearDown() override {
    if (GetParam() == Loss::paused) broker_.resume();
  }
  void lose_broker() {
    if (GetParam() == Loss::paused) {
      broker_.pause();
    } else {
      broker_.kill();
    }
  }
  /// The time-out is what is promised, so the time it takes is what is looked at.
  void expect_close_in_time() {
    const auto time = took([&] { static_cast<void>(queue_->close()); });
    EXPECT_LT(time, kCloseTimeout + std::chrono::seconds(2));
  }

  static constexpr Duration kCloseTimeout{8000};
  Broker broker_;
  std::optional<Queue> queue_;
  std::optional<Topic<std::string>> topic_;
  std::optional<Channel<std::string>> channel_;
};

TEST_P(Close, D20_of_a_subscribed_channel_returns_in_time) {
  std::promise<void> handled;
  std::atomic<bool> first = true;
  good(channel_->subscribe([&](Message<std::string>&) {
    if (first.exchange(false)) handled.set_value();
  }));
  good(topic_->pub("x"));
  ASSERT_EQ(handled.get_future().wait_for(kPatience), std::future_status::ready);
  lose_broker();
  expect_close_in_time();
}

TEST_P(Close, D20_ends_a_blocked_next_and_returns_in_time) {
  good(topic_->pub("x"));
  good(channel_->ack(good(channel_->try_next(kPatience))));
  std::promise<ErrorCode> ended;
  std::jthread waiter([&] {
    const auto message = channel_->next();
    ended.set_value(message ? ErrorCode::backend : message.error().code);
  });
  lose_broker();
  expect_close_in_time();
  auto code = ended.get_future();
  ASSERT_EQ(code.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(code.get(), ErrorCode::channel_closed);
}

TEST_P(Close, D20_with_unsettled_retries_and_figures_under_way_returns_in_time) {
  good(topic_->pub_batch({"a", "b"}));
  const auto message = good(channel_->try_next(kPatience));
  lose_broker();
  std::jthread nack([&] { static_cast<void>(channel_->nack(message)); });
  std::jthread stats([&] { static_cast<void>(channel_->stats()); });
  expect_close_in_time();
}

TEST_P(Close, D20_with_messages_that_wait_to_be_sent_reports_each_and_returns_in_time) {
  good(topic_->pub("x"));
  lose_broker();
  constexpr int kMessages = 100;
  std::atomic<int> reported = 0;
  for (int i = 0; i < kMessages; ++i) {
    good(topic_->pub_async("x", {}, [&](const Result<std::string>& result) {
      EXPECT_FALSE(result);
      ++reported;
    }));
  }
  expect_close_in_time();
  EXPECT_EQ(reported, kMessages);
}

TEST(KafkaClose, D20_leaves_no_connection_and_no_thread) {
  std::thread([] {}).join();  // with the first one the thread sanitizer starts one of its own, which stays
  Broker broker;
  const support::ProcessFigures before = support::own_figures();
  Config config;
  config.storage_type = StorageType::kafka;
  config.kafka_config = config_for(broker.address());
  config.logger = silent();
  Queue queue = good(Queue::open(std::move(config)));
  auto topic = good(queue.topic<std::string>("t"));
  auto channel = good(topic.get_or_add_channel("c"));
  good(channel.subscribe([&](Message<std::string>&) { return ProcessRsp{.dead_letter = true}; }));
  good(topic.pub("x"));
  EXPECT_TRUE(eventually([&] { return channel.depth() == 0; }));
  EXPECT_EQ(good(channel.dead_letters()).items.size(), 1U);
  good(queue.close());
  // A thread that was joined may still be seen for a moment.
  EXPECT_TRUE(eventually([&] { return support::own_figures().threads == before.threads; }));
  EXPECT_EQ(support::own_figures().descriptors, before.descriptors);
  EXPECT_EQ(topic.pub("x").error().code, ErrorCode::topic_closed);
  EXPECT_EQ(channel.depth().error().code, ErrorCode::channel_closed);
}

INSTANTIATE_TEST_SUITE_P(Broker, Close, testing::Values(Loss::paused, Loss::killed),
                         [](const auto& one) { return one.param == Loss::paused ? "paused" : "killed"; });

}  // namespace
}  // namespace lrpc::queue::kafka::test
