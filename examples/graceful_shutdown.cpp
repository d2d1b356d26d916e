// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// A service that ends on SIGTERM as it should: it takes no new messages, lets running handlers finish, and leaves the
// rest in the queue. With a durable back end the next start goes on from there.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <latch>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

int main() try {
  constexpr int kMessages = 100;
  // Blocked before the first thread starts, which all inherit; main waits for them below. No signal handler is needed.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  std::latch busy(4);  // handlers that have begun
  std::latch work(1);  // stands for the time that their work takes
  std::atomic<int> finished = 0;

  auto q = must(queue::Queue::open({.close_timeout = 10s}));
  auto topic = must(q.topic<int>("jobs"));
  auto channel = must(topic.get_or_add_channel("worker", {.max_in_flight = 4}));
  for (int i = 0; i < kMessages; ++i) must(topic.pub(i));

  auto subscription = must(channel.subscribe([&](queue::Message<int>& message) {
    if (message.body() < 4) busy.count_down();
    work.wait();
    ++finished;
  }));

  busy.wait();
  kill(getpid(), SIGTERM);  // what an operator or the service manager does

  int signal = 0;
  sigwait(&signals, &signal);
  std::cout << "got signal " << signal << " with 4 handlers at work\n";
  work.count_down();
  must(subscription.stop());  // `timeout` if a handler were still running after close_timeout

  const queue::ChannelStats stats = must(channel.stats());
  std::cout << "handled " << finished << ", left in the queue " << stats.depth << '\n';
  must(finished >= 4, "running handlers finished");
  must(stats.acked == finished && stats.in_flight == 0, "what was handled is acked, nothing is left half done");
  must(finished + stats.depth == kMessages, "nothing is lost");
  must(q.close());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
