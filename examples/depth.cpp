// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Asking for the depth of a channel (查询队列深度): what is ready, in flight or delayed; dead letters do not count. For
// monitoring, stats() has the parts.

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<std::string>("jobs"));
  auto channel = must(topic.get_or_add_channel("worker"));

  must(topic.pub_batch({"one", "two", "three"}));
  must(topic.pub("tomorrow", {.delay = 24h}));
  const std::int64_t published = must(channel.depth());
  std::cout << "Queue depth: " << published << '\n';

  // Taking a message does not change the depth, settling it does.
  const auto message = must(channel.try_next(0ms));
  const queue::ChannelStats stats = must(channel.stats());
  std::cout << "ready " << stats.ready << ", in flight " << stats.in_flight << ", delayed " << stats.delayed << '\n';
  must(channel.ack(message));
  const std::int64_t acked = must(channel.depth());
  std::cout << "Queue depth: " << acked << '\n';

  must(published == 4 && acked == 3, "four messages, one of them acked");
  must(stats.ready == 2 && stats.in_flight == 1 && stats.delayed == 1, "the parts add up");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
