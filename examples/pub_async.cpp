// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Publishing without waiting: pub_async hands a message over and returns, the callback tells later what became of it.
// flush waits until all callbacks have run. This is the way to throughput where a publish is a round trip to a server.

#include <atomic>
#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  constexpr int kMessages = 10'000;
  std::atomic<int> published = 0;  // callbacks run on a thread of the library, until the queue is closed
  std::atomic<int> refused = 0;

  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<std::string>("clicks", {.max_msg_size = kMessages}));
  auto channel = must(topic.get_or_add_channel("counter"));

  const auto on_result = [&](queue::Result<std::string> id) {
    if (id) {
      ++published;
    } else {
      ++refused;
      std::cout << "refused: " << id.error().message << '\n';
    }
  };
  // One more than the channel can hold. When pub_async itself fails, the callback is not called.
  for (int i = 0; i <= kMessages; ++i) must(topic.pub_async("click " + std::to_string(i), {}, on_result));
  must(topic.flush(30s));

  std::cout << "published " << published << ", refused " << refused << ", in the channel " << must(channel.depth())
            << '\n';
  must(published == kMessages && refused == 1, "each callback ran once");
  must(must(channel.try_next(0ms)).body() == "click 0", "the messages of one thread stay in order");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
