// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Retrying a message (消息重试): a handler that answers `retry` gets the message again after retry_delay, at most
// max_retries times. Throwing an exception or returning an Error has the same effect.

#include <chrono>
#include <exception>
#include <iostream>
#include <latch>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

struct Event {
  std::string type;
};

/// Work that succeeds at the third attempt.
bool process_event(const Event& event, int attempt) {
  std::cout << "attempt " << attempt << " at " << event.type << (attempt < 3 ? ": failed" : ": done") << '\n';
  return attempt >= 3;
}

int main() try {
  std::latch done(1);

  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<Event>("events"));
  auto channel = must(topic.get_or_add_channel("handler", {.max_retries = 5, .retry_delay = 50ms}));

  auto subscription = must(channel.subscribe([&](queue::Message<Event>& message) {
    if (!process_event(message.body(), message.attempts())) {
      return queue::ProcessRsp{.retry = true};  // goes back into the queue
    }
    done.count_down();
    return queue::ProcessRsp{.retry = false};
  }));
  must(topic.pub(Event{.type = "invoice"}));

  done.wait();
  must(subscription.stop());  // waits for the handler, so that its ack counts

  const queue::ChannelStats stats = must(channel.stats());
  std::cout << "deliveries " << stats.delivered << ", of these redelivered " << stats.redelivered << ", acked "
            << stats.acked << '\n';
  must(stats.delivered == 3 && stats.redelivered == 2 && stats.acked == 1, "two retries, then an ack");
  must(stats.depth == 0 && stats.dead == 0, "nothing is left");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
