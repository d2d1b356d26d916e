// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "rig.hpp"

/// \file
/// A Kafka broker for a group of benchmarks, and a queue on it.

namespace lrpc::queue::bench {

/// Of the broker of this process, which starts it at the first call; it ends with the process (std::quick_exit too).
[[nodiscard]] const std::string& kafka_address();

/// A topic name that nobody used.
[[nodiscard]] std::string fresh_name(const std::string& prefix);

/// A 100-byte body.
[[nodiscard]] const Bytes& kafka_body();
[[nodiscard]] const std::string& kafka_text();

/// A queue with a topic of one partition.
struct KafkaRig {
  explicit KafkaRig(const std::string& topic_name = fresh_name("orders"), int max_in_flight = 10);
  /// A channel that has never consumed.
  [[nodiscard]] Channel<Bytes> channel();
  /// What the broker calls the topic.
  [[nodiscard]] std::string raw_topic() const { return "lrpc-queue-" + topic.name(); }

  Queue queue;
  Topic<Bytes> topic;
};

/// A topic with at least so many messages; the same one at each call.
[[nodiscard]] const std::string& filled_topic(std::size_t messages);

/// Million messages a second.
[[nodiscard]] inline double kafka_rate(std::size_t count, double ns) { return static_cast<double>(count) * 1e3 / ns; }

}  // namespace lrpc::queue::bench
