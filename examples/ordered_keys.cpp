// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Keys: messages of the same key are handled one after the other, in order, also when one of them has to be retried;
// messages of other keys go on meanwhile, on as many threads as max_in_flight allows.

#include <chrono>
#include <exception>
#include <iostream>
#include <latch>
#include <map>
#include <mutex>
#include <string>
#include <syncstream>
#include <vector>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  std::latch handled(9);
  std::mutex mutex;
  std::map<std::string, std::vector<int>> seen;

  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<int>("account-steps"));
  auto channel = must(topic.get_or_add_channel("ledger", {.retry_delay = 50ms, .max_in_flight = 4}));

  must(channel.subscribe([&](queue::Message<int>& message) -> queue::ProcessRsp {
    const bool failed = message.key() == "anna" && message.body() == 1 && message.attempts() == 1;
    std::osyncstream(std::cout) << message.key() << " step " << message.body()
                                << (failed ? ": failed, the key waits for the retry" : "") << '\n';
    if (failed) return {.retry = true};
    {
      const std::lock_guard lock(mutex);
      seen[message.key()].push_back(message.body());
    }
    handled.count_down();
    return {};
  }));

  for (const int step : {1, 2, 3}) {
    for (const char* account : {"anna", "bob", "carl"}) must(topic.pub(step, {.key = account}));
  }
  handled.wait();
  must(q.close());

  for (const char* account : {"anna", "bob", "carl"}) {
    must(seen[account] == std::vector<int>{1, 2, 3}, "the steps of each account are handled in order");
  }
  std::cout << "every account in order\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
