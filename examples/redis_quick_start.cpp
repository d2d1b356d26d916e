// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's Redis quick start (Redis Streams 队列), first way: the queue connects by its configuration. Needs a
// redis-server at localhost:6379, or where LRPC_QUEUE_REDIS_CONFIG_ADDR says.

#include <exception>
#include <iostream>
#include <latch>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;

int main() try {
  const queue::Config config = must(queue::Config::from_env({
      .storage_type = queue::StorageType::redis,
      .redis_config = {.addr = "localhost:6379", .key_prefix = "myapp:queue:"},
  }));

  std::latch handled(1);
  queue::Queue q = must(queue::Queue::open(config));
  auto topic = must(q.topic<std::string>("events"));
  // The channel is on the server: a publisher in another process needs no channel of its own, nor this one's start.
  auto channel = must(topic.get_or_add_channel("handlers"));
  must(topic.pub("hello from Redis"));
  must(channel.subscribe([&](queue::Message<std::string>& message) {
    std::cout << "received: " << message.body() << '\n';
    handled.count_down();
  }));
  handled.wait();
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
