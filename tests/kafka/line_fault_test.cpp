// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Lines that die without anybody being told.
#include <chrono>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue_fixture.hpp"
#include "support/proxy.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LineFault : public ::testing::Test {
 protected:
  std::unique_ptr<support::Proxy> proxy_;
  Broker broker_{{.advertise = [this](int port) {
    proxy_ = std::make_unique<support::Proxy>(port);
    return proxy_->port();
  }}};
  Config config_ = queue_config(proxy_->address());
};

// A line that nobody used since is found dead by the call that uses it, within its time: by librdkafka's own default
// only a minute later, until when each such call fails.
TEST_F(LineFault, D22_a_dead_line_for_questions_is_found_by_the_first_that_asks) {
  config_.kafka_config.dial_timeout = seconds(4);
  Party party(config_);
  good(party.topic.pub("x"));
  EXPECT_EQ(good(party.channel.depth()), 1);
  EXPECT_TRUE(good(party.channel.dead_letters()).items.empty());
  proxy_->half_open();
  EXPECT_EQ(good(party.channel.depth()), 1);
  EXPECT_TRUE(good(party.channel.dead_letters()).items.empty());
}

TEST_F(LineFault, D21_try_next_waits_no_longer_than_it_was_told_while_the_broker_says_nothing) {
  constexpr milliseconds kTold(500);
  constexpr milliseconds kMargin(4'000);  // what brokers are given is far longer
  config_.kafka_config.dial_timeout = config_.kafka_config.write_timeout = seconds(20);
  Party party(config_);
  good(party.topic.pub("x"));
  good(party.channel.ack(good(party.channel.try_next(kPatience))));
  broker_.pause();
  for (int i = 0; i < 2; ++i) {
    EXPECT_LT(took([&] { EXPECT_EQ(error_of_call(party.channel.try_next(kTold)).code, ErrorCode::no_message); }),
              kTold + kMargin);
  }
  broker_.resume();
  good(party.topic.pub("y"));
  EXPECT_EQ(good(party.channel.try_next(kPatience)).body(), "y");
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
