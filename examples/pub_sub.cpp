// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Basic publish and subscribe (基础发布订阅). A topic has named channels; every channel gets every message, and the
// consumers of one channel share its messages among them.

#include <exception>
#include <iostream>
#include <latch>
#include <string>
#include <syncstream>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;

struct Event {
  std::string type;
  std::string data;
};

int main() try {
  std::latch handled(4);  // two events, each for two channels

  auto q = must(queue::Queue::open({.storage_type = queue::StorageType::memory}));
  auto topic = must(q.topic<Event>("events"));
  auto handler = must(topic.get_or_add_channel("handler"));
  auto audit = must(topic.get_or_add_channel("audit"));

  must(topic.pub(Event{.type = "user.login", .data = "john"}));
  must(topic.pub(Event{.type = "user.logout", .data = "john"}));

  // Handlers run on threads of the library, several at once: hence the synchronised stream.
  const auto print = [&](queue::Message<Event>& message) {
    const Event& event = message.body();
    std::osyncstream(std::cout) << message.channel() << ": Event: " << event.type << ", Data: " << event.data << '\n';
    handled.count_down();
    return queue::ProcessRsp{.retry = false};
  };
  must(handler.subscribe(print));
  must(audit.subscribe(print));

  handled.wait();
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
