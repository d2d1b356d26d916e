// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Taking messages by hand (手动获取消息): next() waits for a message, the consumer acks it when it is done. What is not
// acked within ack_timeout is handed out again.

#include <exception>
#include <iostream>
#include <latch>
#include <stop_token>
#include <string>
#include <thread>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  std::latch acked(3);
  queue::ErrorCode ended_with{};

  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<std::string>("tasks"));
  auto channel = must(topic.get_or_add_channel("worker", {.ack_timeout = 30s}));

  std::jthread consumer([&](const std::stop_token& stop) {
    for (;;) {
      const auto message = channel.next(stop);  // uses no CPU while it waits
      if (!message) {
        // Stopped, or the channel, topic or queue was closed.
        ended_with = message.error().code;
        break;
      }
      std::cout << "working on " << message->body() << '\n';
      if (auto ok = channel.ack(message->id()); !ok) std::cerr << "Ack failed: " << ok.error().message << '\n';
      acked.count_down();
    }
  });

  for (const char* task : {"resize", "convert", "upload"}) must(topic.pub(task));
  acked.wait();

  consumer.request_stop();
  consumer.join();
  std::cout << "the consumer ended with " << queue::to_string(ended_with) << '\n';
  must(ended_with == queue::ErrorCode::cancelled, "next() ends when its token is triggered");

  // try_next() waits for a while only; 0 takes what is ready now.
  const auto nothing = channel.try_next(0ms);
  must(!nothing && nothing.error().code == queue::ErrorCode::no_message, "the channel is empty");
  std::cout << "try_next: " << nothing.error().message << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
