// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue.hpp>

#include "client_fixture.hpp"
#include "support/traffic.hpp"

/// Queues over brokers that fail: what all fault tests have in common.
namespace lrpc::queue::kafka::test {

using support::Ledger;
using support::Publisher;

/// Time-outs that suit a test; the session's is the default, which outlasts the restart of a broker.
[[nodiscard]] inline Config queue_config(const std::string& brokers) {
  Config config{.storage_type = StorageType::kafka, .retry_delay = Duration(10)};
  config.kafka_config.brokers = {brokers};
  config.kafka_config.topic_prefix = unique_name("fault") + "-";
  config.kafka_config.heartbeat_interval = Duration(300);
  config.kafka_config.commit_interval = Duration(200);
  config.logger = silent();  // faults are what the tests are about
  if (std::getenv("LRPC_QUEUE_TEST_LOG") != nullptr) {
    config.logger = [](LogLevel, std::string_view text) { std::cerr << text << std::endl; };
  }
  return config;
}

/// What one process has open: the topic "orders", and its channel "billing".
struct Party {
  explicit Party(const Config& config, const ChannelConfig& settings = {})
      : queue(good(Queue::open(config))),
        topic(good(queue.topic<std::string>("orders"))),
        channel(good(topic.get_or_add_channel("billing", settings))),
        topic_name(config.kafka_config.topic_prefix + "orders"),
        group(topic_name + "-billing") {}

  Queue queue;
  Topic<std::string> topic;
  Channel<std::string> channel;
  /// As brokers know them.
  std::string topic_name;
  std::string group;
};

/// The error of a call that has to fail.
template <class T>
Error error_of_call(Result<T> result) {
  EXPECT_FALSE(result.has_value());
  return result ? Error{} : std::move(result.error());
}

/// A subscription's handler that notes what comes, and whether the rules of keys are kept: one of a key at a time (D5).
class Witness {
 public:
  Subscription watch(Channel<std::string>& channel, Duration work = Duration(0)) {
    return good(channel.subscribe([this, work](const Message<std::string>& message) {
      saw(message);
      const Turn turn(*this, message.key());
      if (work.count() > 0) std::this_thread::sleep_for(work);
    }));
  }
  void saw(const Message<std::string>& message) {
    ledger.saw(message.body());
    const std::lock_guard lock(mutex_);
    if (!seen_.emplace(message.body(), message.attempts()).second) uncounted_.push_back(message.body());
  }

  Ledger ledger;
  /// Two of a key at once.
  [[nodiscard]] int clashes() const noexcept { return clashes_; }
  /// A body with a number of attempts that it had come with before.
  [[nodiscard]] std::vector<std::string> uncounted() const {
    const std::lock_guard lock(mutex_);
    return uncounted_;
  }
  /// Whether each key's numbers came first in their order.
  [[nodiscard]] bool keys_are_in_order(int keys) const {
    std::map<int, int> last;
    for (const std::string& body : ledger.in_order()) {
      const int number = std::stoi(body);
      const auto [it, first] = last.try_emplace(number % keys, number);
      if (!first && std::exchange(it->second, number) > number) return false;
    }
    return true;
  }

 private:
  /// A handler that is busy with a key.
  class Turn {
   public:
    Turn(Witness& owner, const std::string& key) : owner_(owner), key_(key) {
      const std::lock_guard lock(owner_.mutex_);
      if (!key_.empty() && owner_.busy_[key_]++ > 0) ++owner_.clashes_;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      const std::lock_guard lock(owner_.mutex_);
      if (!key_.empty()) --owner_.busy_[key_];
    }

   private:
    Witness& owner_;
    const std::string& key_;
  };

  mutable std::mutex mutex_;
  std::set<std::pair<std::string, int>> seen_;
  std::vector<std::string> uncounted_;
  std::map<std::string, int> busy_;
  std::atomic<int> clashes_{0};
};

inline constexpr int kKeys = 5;

/// Publishes with keys: number n has key n % kKeys.
[[nodiscard]] inline PubOptions keyed(int number) { return {.key = "key-" + std::to_string(number % kKeys)}; }

/// All that was accepted came.
inline void expect_all(const Ledger& ledger, const std::vector<std::string>& bodies) {
  EXPECT_TRUE(eventually([&] { return ledger.has(bodies); }));
  EXPECT_THAT(ledger.missing(bodies), ::testing::IsEmpty());
}

/// Nothing is left to do.
inline void expect_empty(Channel<std::string>& channel) {
  Result<std::int64_t> depth = 0;
  EXPECT_TRUE(eventually([&] {
    depth = channel.depth();
    return depth && *depth == 0;
  })) << (depth ? std::to_string(*depth) : depth.error().message);
}

/// Errors that a caller may meet while brokers are away, each telling rightly whether it may be repeated.
inline void expect_passing(const std::vector<Error>& errors) {
  for (const Error& error : errors) {
    ASSERT_TRUE(error.code == ErrorCode::unavailable || error.code == ErrorCode::outcome_unknown) << error.message;
    ASSERT_EQ(error.retryable, error.code == ErrorCode::unavailable) << error.message;
  }
}

}  // namespace lrpc::queue::kafka::test
