// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's quick start (内存队列): open a queue in memory, publish one message, handle it. Every call that can fail
// returns a Result; here each is looked at by hand, the other examples leave that to must().

#include <iostream>
#include <latch>
#include <string>

#include <lrpc/queue.hpp>

namespace queue = lrpc::queue;

struct MyMessage {
  std::string content;
};

int complain(const queue::Error& error) {
  std::cerr << queue::to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

int main() {
  std::latch handled(1);  // made before the queue: handlers may use it until the queue is closed

  auto q = queue::Queue::open({.storage_type = queue::StorageType::memory});
  if (!q) return complain(q.error());

  auto topic = q->topic<MyMessage>("events");
  if (!topic) return complain(topic.error());
  auto channel = topic->get_or_add_channel("handlers");
  if (!channel) return complain(channel.error());

  // Publish.
  if (auto id = topic->pub(MyMessage{.content = "hello"}); !id) return complain(id.error());

  // Subscribe: returns at once, the handler runs on a thread of the library. Returning normally acks the message.
  auto subscription = channel->subscribe([&](queue::Message<MyMessage>& message) {
    std::cout << "received: " << message.body().content << '\n';
    handled.count_down();
  });
  if (!subscription) return complain(subscription.error());

  handled.wait();
  // Waits for running handlers. The destructor of the last Queue handle does the same, but cannot report an error.
  if (auto closed = q->close(); !closed) return complain(closed.error());
}
