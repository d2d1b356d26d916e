// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's Redis quick start (Redis Streams 队列), second way: a client made elsewhere, here shared by two queues.
// No queue closes it. Needs a redis-server at localhost:6379, or where LRPC_QUEUE_REDIS_CONFIG_ADDR says.

#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;

int main() try {
  const queue::Config config = must(queue::Config::from_env());
  const std::shared_ptr<queue::RedisClient> client = must(queue::RedisClient::connect(config.redis_config));

  queue::Queue producer = must(queue::Queue::open({.storage_type = queue::StorageType::redis, .redis_client = client}));
  queue::Queue consumer = must(queue::Queue::open({.storage_type = queue::StorageType::redis, .redis_client = client}));

  must(must(producer.topic<std::string>("orders")).pub("a book"));
  must(producer.close());  // the client goes on

  // The message was there before the channel: the first channel of a topic gets what waited (D4).
  auto channel = must(must(consumer.topic<std::string>("orders")).get_or_add_channel("shipping"));
  const auto message = must(channel.try_next(std::chrono::seconds(10)));
  std::cout << "shipping: " << message.body() << '\n';
  must(channel.ack(message));
  must(consumer.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
