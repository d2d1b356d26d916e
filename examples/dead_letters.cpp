// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// Dead letters: messages that were given up, kept with the reason. They are listed, put back after the cause was
// mended, and forgotten.

#include <atomic>
#include <exception>
#include <iostream>
#include <latch>
#include <stdexcept>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;

struct Payment {
  std::string customer;
  int amount = 0;
};

int main() try {
  std::latch failed(3);
  std::latch paid(2);
  std::atomic<bool> bank_is_open = false;

  auto q = must(queue::Queue::open({}));
  auto topic = must(q.topic<Payment>("payments"));
  auto channel = must(topic.get_or_add_channel("bank", {.max_retries = 0}));  // give up at the first failure

  const auto handler = [&](queue::Message<Payment>& message) -> queue::ProcessRsp {
    const Payment& payment = message.body();
    if (!bank_is_open) failed.count_down();
    // No retry would help here: the handler itself gives the message up.
    if (payment.amount <= 0) return {.dead_letter = true, .reason = "nothing to pay"};
    // Anything thrown is a failure of this message; the subscription goes on.
    if (!bank_is_open) throw std::runtime_error("the bank is closed");
    paid.count_down();
    return {};
  };
  auto subscription = must(channel.subscribe(handler));
  must(topic.pub_batch({{.customer = "anna", .amount = 5}, {.customer = "bob"}, {.customer = "carl", .amount = 7}}));
  failed.wait();
  must(subscription.stop());

  // List: oldest first, in pages of a hundred; `cursor` gets the next page.
  const auto page = must(channel.dead_letters(100));
  must(page.items.size() == 3 && page.cursor.empty(), "three dead letters on one page");
  std::vector<std::string> to_requeue;
  for (const queue::DeadLetter<Payment>& letter : page.items) {
    std::cout << letter.message->body().customer << ": " << letter.reason << " after " << letter.attempts
              << " attempt, " << letter.error << '\n';
    if (letter.reason == "max_retries") to_requeue.push_back(letter.id);
  }

  // Put back those that can succeed now. Their attempts start over.
  bank_is_open = true;
  must(must(channel.requeue_dead(to_requeue)) == 2, "two are put back");
  must(channel.subscribe(handler));
  paid.wait();
  std::cout << "requeued and paid: " << to_requeue.size() << '\n';

  // Forget the rest.
  const std::int64_t purged = must(channel.purge_dead());
  std::cout << "purged: " << purged << '\n';
  must(purged == 1 && must(channel.stats()).dead == 0, "one was left to purge");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
