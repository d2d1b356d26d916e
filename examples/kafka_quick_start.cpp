// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's quick start on Kafka (Kafka 队列). Needs a broker at localhost:9092 (scripts/kafka.sh start), or where
// LRPC_QUEUE_KAFKA_CONFIG_BROKERS says.

#include <exception>
#include <iostream>
#include <latch>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;

int main() try {
  const queue::Config config = must(queue::Config::from_env({
      .storage_type = queue::StorageType::kafka,
      .kafka_config = {.brokers = {"localhost:9092"},
                       .topic_prefix = "myapp-queue-",
                       .partition = 3,
                       .compression_type = queue::Compression::gzip},
  }));

  std::latch handled(1);
  queue::Queue q = must(queue::Queue::open(config));
  auto topic = must(q.topic<std::string>("events"));  // the topic myapp-queue-events, made when it is missing
  // The channel is the consumer group myapp-queue-events-handlers: it exists from here on, whoever consumes when.
  auto channel = must(topic.get_or_add_channel("handlers"));
  must(topic.pub("hello from Kafka"));  // stored by all in-sync replicas when this returns
  must(channel.subscribe([&](queue::Message<std::string>& message) {
    std::cout << "received: " << message.body() << '\n';
    handled.count_down();
  }));
  handled.wait();
  must(q.close());  // commits what was handled
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
