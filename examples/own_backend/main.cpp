// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// A back end of one's own: journal_backend.cpp and channel.cpp keep messages in a small store and write each publish to
// a stream. The engine above does the rest: retries, dead letters, subscriptions. conformance.cpp proves it with the
// suite that the library's own back ends pass.

#include <chrono>
#include <exception>
#include <iostream>
#include <latch>
#include <sstream>
#include <string>

#include <lrpc/queue.hpp>

#include "../must.hpp"
#include "journal_backend.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  std::ostringstream journal;
  std::latch handled(1);

  auto q = must(queue::Queue::open({.backend_factory = journal_backend(journal)}));
  auto topic = must(q.topic<std::string>("orders"));
  const std::string id = must(topic.pub("a book"));
  auto channel = must(topic.get_or_add_channel("shop", {.retry_delay = 20ms}));  // gets what was published before

  must(channel.subscribe([&](queue::Message<std::string>& order) -> queue::ProcessRsp {
    std::cout << "attempt " << order.attempts() << " at " << order.body() << '\n';
    if (order.attempts() == 1) return {.retry = true};
    handled.count_down();
    return {};
  }));
  handled.wait();
  must(q.close());

  std::cout << "journal: " << journal.str();
  must(journal.str() == "orders " + id + " \"a book\"\n", "the publish is in the journal");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
