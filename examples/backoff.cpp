// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Retries that wait longer each time. The handler calls something that is down; after max_retries the message is given
// up and becomes a dead letter.

#include <chrono>
#include <exception>
#include <iostream>
#include <latch>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

int main() try {
  std::latch attempts(5);
  std::vector<SteadyClock::time_point> attempted_at;  // there is one message, so one handler at a time

  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<std::string>("mails"));
  // Waits 20, 40, 80 and then, no longer growing, 100 ms. In production add `.jitter = true`: it draws each wait at
  // random between 0 and that time, so that many failed messages do not come back all at once.
  auto channel = must(topic.get_or_add_channel(
      "sender",
      {.max_retries = 4, .retry_delay = 20ms, .backoff = queue::Backoff{.multiplier = 2, .max_delay = 100ms}}));

  auto subscription = must(channel.subscribe([&](queue::Message<std::string>& message) -> queue::Result<void> {
    attempted_at.push_back(SteadyClock::now());
    std::cout << "attempt " << message.attempts() << '\n';
    attempts.count_down();
    return queue::fail(queue::ErrorCode::unavailable, "the mail server does not answer");
  }));
  must(topic.pub("welcome"));
  attempts.wait();
  must(subscription.stop());

  const std::vector<queue::Duration> planned = {20ms, 40ms, 80ms, 100ms};
  must(attempted_at.size() == planned.size() + 1, "one delivery and four retries");
  for (std::size_t i = 0; i < planned.size(); ++i) {
    const auto waited = std::chrono::round<queue::Duration>(attempted_at[i + 1] - attempted_at[i]);
    std::cout << "planned " << planned[i].count() << " ms, waited " << waited.count() << " ms\n";
    must(waited >= planned[i], "no retry comes early");
  }
  const auto dead = must(channel.dead_letters());
  must(dead.items.size() == 1 && dead.items[0].reason == "max_retries", "the message was given up");
  std::cout << "given up after " << dead.items[0].attempts << " attempts: " << dead.items[0].error << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
