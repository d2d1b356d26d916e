// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Messages that expire (消息过期): an expired message is never delivered. The clock of the queue is one that we move by
// hand, as in a test, so that the example need not wait for half an hour.

#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

struct Event {
  std::string type;
};

int main() try {
  const auto clock = std::make_shared<queue::ManualClock>();
  auto q = must(queue::Queue::open({.message_ttl = 24h, .clock = clock}));
  auto topic = must(q.topic<Event>("events"));
  // Expired messages are dropped and counted; dead_letter_expired keeps them for a look.
  auto channel = must(topic.get_or_add_channel("handler", {.dead_letter_expired = true}));

  queue::Message<Event> message(Event{.type = "timeout"});
  message.set_expires(30min);
  std::cout << "time to live: " << message.get_ttl() << " s\n";
  must(topic.pub_msg(message));
  must(topic.pub(Event{.type = "for a day"}));                   // the message_ttl of the queue
  must(topic.pub(Event{.type = "for ever"}, {.expires = 0ms}));  // 0 = never expires

  std::string delivered;
  const auto take_all = [&] {
    while (const auto next = channel.try_next(0ms)) {
      delivered += next->body().type + "; ";
      must(channel.ack(*next));
    }
  };
  clock->advance(31min);
  take_all();
  std::cout << "delivered after 31 minutes: " << delivered << '\n';
  must(delivered == "for a day; for ever; ", "the message of 30 minutes is not delivered");

  const auto dead = must(channel.dead_letters());
  must(dead.items.size() == 1 && dead.items[0].reason == "expired", "it is a dead letter");
  std::cout << "dead letter: " << dead.items[0].message->body().type << ", " << dead.items[0].reason << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
