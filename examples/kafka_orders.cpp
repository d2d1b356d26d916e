// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// What a plain Kafka consumer leaves to you: order per key beside parallel work on few partitions, retries that hold up
// nobody else, dead letters. Needs a broker at localhost:9092 (scripts/kafka.sh start), or where
// LRPC_QUEUE_KAFKA_CONFIG_BROKERS says.

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
  const queue::Config config = must(queue::Config::from_env({
      .storage_type = queue::StorageType::kafka,
      .kafka_config = {.partition = 2},
  }));

  std::latch handled(8);
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> seen;

  queue::Queue q = must(queue::Queue::open(config));
  auto topic = must(q.topic<std::string>("order-steps"));
  // Eight handlers at once, though there are two partitions. A retry waits in a topic of the channel's own, so the
  // partition goes on; within a subscription the later messages of its key wait for it.
  auto channel = must(topic.get_or_add_channel("shop", {.max_retries = 2, .retry_delay = 100ms, .max_in_flight = 8}));

  must(channel.subscribe([&](queue::Message<std::string>& message) -> queue::ProcessRsp {
    const std::string step = message.key() + ' ' + message.body();
    if (step == "anna pay" && message.attempts() == 1) {
      std::osyncstream(std::cout) << step << ": failed, anna's next steps wait\n";
      return {.retry = true};
    }
    if (step == "bob pay") {
      std::osyncstream(std::cout) << step << ": failed, attempt " << message.attempts() << '\n';
      return {.retry = true, .reason = "the card is refused"};  // at last a dead letter
    }
    {
      const std::lock_guard lock(mutex);
      seen[message.key()].push_back(message.body());
    }
    handled.count_down();
    return {};
  }));

  for (const char* step : {"order", "pay", "ship"}) {
    for (const char* customer : {"anna", "bob", "carl"}) must(topic.pub(step, {.key = customer}));
  }
  handled.wait();
  must(seen["anna"] == std::vector<std::string>{"order", "pay", "ship"}, "anna's steps in order, one of them retried");
  must(seen["carl"] == std::vector<std::string>{"order", "pay", "ship"}, "carl's steps in order");
  must(seen["bob"] == std::vector<std::string>{"order", "ship"}, "a dead letter ends the wait of its key");

  // In the topic lrpc-queue-order--steps-shop-dlq, with reason and error in headers.
  const auto dead = must(channel.dead_letters());
  must(dead.items.size() == 1, "one dead letter");
  std::cout << "dead letter: " << dead.items[0].message->key() << ' ' << dead.items[0].message->body() << ", "
            << dead.items[0].reason << " after " << dead.items[0].attempts << " attempts: " << dead.items[0].error
            << '\n';
  must(must(channel.purge_dead()) == 1, "purged");
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
