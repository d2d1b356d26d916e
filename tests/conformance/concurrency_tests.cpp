// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <thread>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// max_in_flight and limit_next (D11).

namespace lrpc::queue::conformance {
namespace {

/// Lets `limit` handlers pile up, checks that no further one starts, then lets `messages` through and returns the
/// highest number that ran at once.
int highest(Context& ctx, const ChannelConfig& config, int messages, int limit) {
  Gate gate(ctx.patience());
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  auto s = ctx.setup<int>(config);
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch(std::vector<int>(static_cast<std::size_t>(messages), 1)));
  must(s.channel.subscribe([&](Message<int>&) {
    const int now = ++running;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    gate.pass();
    --running;
  }));
  EXPECT_TRUE(gate.wait_for_entered(limit)) << gate.entered() << " handlers started, not " << limit;
  Context::wait_a_moment();
  EXPECT_EQ(gate.entered(), limit);
  gate.open();
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  return most;
}

void reached_and_never_exceeded(Context& ctx) {
  EXPECT_EQ(highest(ctx, {.max_in_flight = 1}, 20, 1), 1);
  EXPECT_EQ(highest(ctx, {.max_in_flight = 7}, 100, 7), 7);
  EXPECT_EQ(highest(ctx, {.max_in_flight = 40}, 200, 40), 40);
}

void default_is_ten(Context& ctx) { EXPECT_EQ(highest(ctx, {}, 50, 10), 10); }

void reached_by_single_publishes(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 5});
  const OpenAtExit opener(gate);
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  for (int i = 0; i < 8; ++i) {
    must(s.topic.pub(i));
    // Every free slot takes the next message at once, also while others are busy.
    EXPECT_TRUE(gate.wait_for_entered(std::min(i + 1, 5)));
  }
  Context::wait_a_moment();
  EXPECT_EQ(gate.entered(), 5);
}

void bound_is_per_subscription(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 2});
  const OpenAtExit opener(gate);
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  for (int i = 0; i < 40; ++i) must(s.topic.pub(i));
  EXPECT_TRUE(gate.wait_for_entered(4));
  Context::wait_a_moment();
  EXPECT_EQ(gate.entered(), 4);
  gate.open();
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void busy_handler_does_not_stop_others(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 2});
  const OpenAtExit opener(gate);
  for (int i = 0; i < 50; ++i) must(s.topic.pub(i));
  must(s.channel.subscribe([&](Message<int>& m) {
    if (m.body() == 0) gate.pass();
    handled.add(m.body());
  }));
  EXPECT_TRUE(handled.wait_for(49)) << "one slow handler stopped the subscription";
  gate.open();
  EXPECT_TRUE(handled.wait_for(50));
}

void next_is_unbounded(Context& ctx) {
  auto s = ctx.setup<int>({.max_in_flight = 1});
  must(s.topic.pub_batch(std::vector<int>(60, 1)));
  EXPECT_EQ(ctx.batch(s.channel, 30).size(), 30U);
  for (int i = 0; i < 30; ++i) static_cast<void>(ctx.receive(s.channel));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 60);
}

void limit_next_bounds(Context& ctx) {
  auto s = ctx.setup<int>({.max_in_flight = 3, .limit_next = true});
  must(s.topic.pub_batch({1, 2, 3, 4, 5, 6}, ctx.in_order()));
  const auto held = ctx.batch(s.channel, 10);
  ASSERT_EQ(held.size(), 3U);
  ctx.expect_nothing(s.channel);
  expect_error(s.channel.next_batch(10, Duration(0)), ErrorCode::no_message);
  expect_error(s.channel.try_next(Duration(10)), ErrorCode::no_message);
  expect_ok(s.channel.ack(held[0]));
  const auto fourth = ctx.receive(s.channel);
  EXPECT_EQ(fourth.body(), 4);
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.nack(held[1], {.dead_letter = true}));
  expect_ok(s.channel.nack(held[2].id(), {.delay = std::chrono::hours(1)}));
  EXPECT_EQ(ctx.batch(s.channel, 10).size(), 2U);
  ctx.expect_nothing(s.channel);
}

void limit_next_waits(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1, .limit_next = true});
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  const auto first = ctx.receive(s.channel);
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->body());
  });
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  expect_ok(s.channel.ack(first));
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{2});
}

// Waiters that are woken while they may still take nothing must not take the wake-ups of others to sleep with them.
void limit_next_waiters_end_in_time(Context& ctx) {
  auto s = ctx.setup<int>({.max_in_flight = 1, .limit_next = true});
  must(s.topic.pub_batch({1, 2}));
  const auto held = ctx.receive(s.channel);
  std::stop_source stop;
  std::atomic<int> ended{0};
  std::vector<std::jthread> threads;
  const auto wait = [&](auto call, ErrorCode expected) {
    threads.emplace_back([&, call, expected] {
      expect_error(call(), expected);
      ++ended;
    });
  };
  for (int i = 0; i < 3; ++i) {
    wait([&] { return s.channel.try_next(Duration(100)); }, ErrorCode::no_message);
    wait([&] { return s.channel.next(stop.get_token()); }, ErrorCode::cancelled);
  }
  for (int i = 1; i <= 20; ++i) {
    expect_ok(s.channel.touch(held, Duration(100'000 - i)));  // ever earlier: whoever watches the timers is woken
    Context::wait_a_moment();
  }
  EXPECT_TRUE(ctx.eventually([&] { return ended == 3; })) << ended << " of 3 calls ended by their time-out";
  stop.request_stop();
  EXPECT_TRUE(ctx.eventually([&] { return ended == 6; })) << ended - 3 << " of 3 calls ended by their stop token";
  expect_ok(s.channel.close());  // so that a failed test ends, too
}

void limit_next_is_freed_by_lease_loss(Context& ctx) {
  auto s = ctx.setup<int>({.max_in_flight = 1, .ack_timeout = std::chrono::seconds(10), .limit_next = true});
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 1);
  ctx.advance(std::chrono::seconds(10));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
}

void limit_next_leaves_subscriptions_alone(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1, .limit_next = true});
  must(s.topic.pub_batch({1, 2, 3}));
  const auto held = ctx.receive(s.channel);
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  EXPECT_TRUE(handled.wait_for(2));
  expect_ok(s.channel.ack(held));
}

void limit_next_from_many_threads(Context& ctx) {
  constexpr int kMessages = 300;
  std::atomic<int> held = 0;
  std::atomic<int> most = 0;
  std::atomic<int> taken = 0;
  auto s = ctx.setup<int>({.max_in_flight = 2, .limit_next = true});
  must(s.topic.pub_batch(std::vector<int>(kMessages, 1)));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, stop = ctx.deadline()] {
        while (taken < kMessages && !stop.stop_requested()) {
          const auto message = s.channel.try_next(Duration(5));
          if (!message) continue;
          const int now = ++held;
          for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
          }
          --held;
          ++taken;
          expect_ok(s.channel.ack(*message));
        }
      });
    }
  }
  EXPECT_EQ(taken, kMessages);
  EXPECT_LE(most, 2);
  ctx.expect_depth(s.channel, 0);
}

constexpr TestCase kConcurrencyTests[] = {
    {"D11_max_in_flight_is_reached_and_never_exceeded", "D11", {}, reached_and_never_exceeded},
    {"D11_default_max_in_flight_is_ten", "D11", {}, default_is_ten},
    {"D11_every_free_slot_takes_a_message_at_once", "D11 D21", {}, reached_by_single_publishes},
    {"D11_bound_is_of_one_subscription", "D11", {}, bound_is_per_subscription},
    {"D11_busy_handler_does_not_stop_others", "D11", {}, busy_handler_does_not_stop_others},
    {"D11_next_is_unbounded_by_default", "D11", {}, next_is_unbounded},
    {"D11_limit_next_bounds_what_next_hands_out", "D11", {}, limit_next_bounds},
    {"D11_limit_next_makes_next_wait_for_a_settlement", "D11 D21", {}, limit_next_waits},
    {"D11_waiters_at_the_limit_end_by_time_out_and_stop_token", "D11 D21", {}, limit_next_waiters_end_in_time},
    {"D11_limit_next_is_freed_by_lease_loss",
     "D11 D9",
     {Capability::manual_clock, Capability::lease_expiry},
     limit_next_is_freed_by_lease_loss},
    {"D11_limit_next_leaves_subscriptions_alone", "D11", {}, limit_next_leaves_subscriptions_alone},
    {"D11_limit_next_holds_with_many_threads", "D11", {}, limit_next_from_many_threads},
};

}  // namespace

std::span<const TestCase> concurrency_tests() { return kConcurrencyTests; }

}  // namespace lrpc::queue::conformance
