// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Delayed publish: a message that becomes ready after a while or at an instant. It counts in depth() from the publish
// on and is delivered in the order of the due times.

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<std::string>("reminders"));
  auto channel = must(topic.get_or_add_channel("pager"));

  const auto start = std::chrono::steady_clock::now();
  must(topic.pub("in 200 ms", {.delay = 200ms}));
  must(topic.pub("at an instant 100 ms from now", {.deliver_at = std::chrono::system_clock::now() + 100ms}));
  must(topic.pub("now"));
  must(must(channel.depth()) == 3, "delayed messages count");

  std::vector<std::string> order;
  std::vector<queue::Duration> after;
  for (int i = 0; i < 3; ++i) {
    const auto message = must(channel.next());  // wakes up at the due time
    after.push_back(std::chrono::round<queue::Duration>(std::chrono::steady_clock::now() - start));
    order.push_back(message.body());
    std::cout << "after " << after.back().count() << " ms: " << message.body() << '\n';
    must(channel.ack(message));
  }
  must(order == std::vector<std::string>{"now", "at an instant 100 ms from now", "in 200 ms"}, "due times decide");
  must(after[1] >= 100ms && after[2] >= 200ms, "nothing is early");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
