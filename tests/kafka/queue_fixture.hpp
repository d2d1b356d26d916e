// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include <lrpc/queue.hpp>

#include "client_fixture.hpp"

/// Queues over real brokers.
namespace lrpc::queue::kafka::test {

/// Time-outs that suit a test; the session's is the default, which outlasts the restart of a broker.
[[nodiscard]] inline Config queue_config(const std::string& brokers) {
  Config config{.storage_type = StorageType::kafka, .retry_delay = Duration(10)};
  config.kafka_config.brokers = {brokers};
  config.kafka_config.topic_prefix = unique_name("fault") + "-";
  config.kafka_config.heartbeat_interval = Duration(300);
  config.kafka_config.commit_interval = Duration(200);
  config.logger = silent();
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

}  // namespace lrpc::queue::kafka::test
