// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What consumers that have nothing to do ask of the server (D21).
#include <memory>

#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::seconds;

constexpr int kChannels = 5;
constexpr int kSeconds = 2;

class Idle : public testing::Test {
 protected:
  Idle() {
    // The shortest upkeep is that of short leases.
    for (int i = 0; i < kChannels; ++i) {
      channels_.push_back(
          must(party_.topic.get_or_add_channel("idle" + std::to_string(i), {.ack_timeout = seconds(2)})));
    }
  }
  /// What consumers send; what their scripts call is in it.
  std::int64_t calls() {
    std::int64_t sum = 0;
    for (const auto name :
         {"evalsha", "eval", "xreadgroup", "client|unblock", "client|id", "client", "ping", "subscribe"}) {
      sum += commands_run(*observer_, name);
    }
    return sum;
  }
  /// At most two a second, wherever between two calls the time begins.
  void expect_little_traffic() {
    EXPECT_TRUE(eventually([&] {
      return must(ask(*observer_, {"INFO", "clients"}, Repeat::safe))
          .text()
          .contains("blocked_clients:" + std::to_string(kChannels) + "\r\n");
    }));
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t before = calls();
    std::this_thread::sleep_for(seconds(kSeconds));
    const std::int64_t made = calls() - before;
    // A busy machine may sleep for longer.
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    EXPECT_LE(static_cast<double>(made), kChannels * (2 * time.count() + 2)) << made;
    EXPECT_GT(made, 0) << "nobody shows that it lives";
  }
  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
  Party party_{server_};
  std::vector<Channel<std::string>> channels_;
};

TEST_F(Idle, D21_a_subscription_makes_at_most_two_calls_a_second) {
  std::vector<Subscription> subscriptions;
  for (auto& channel : channels_) {
    subscriptions.push_back(must(channel.subscribe([](const Message<std::string>&) {})));
  }
  expect_little_traffic();
}

TEST_F(Idle, D21_a_blocked_next_makes_at_most_two_calls_a_second) {
  std::vector<std::jthread> threads;
  for (auto& channel : channels_) {
    threads.emplace_back([channel](const std::stop_token& stop) mutable { static_cast<void>(channel.next(stop)); });
  }
  expect_little_traffic();
}

}  // namespace
}  // namespace lrpc::queue::redis
