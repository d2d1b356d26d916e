// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Delayed publish (D17).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

TimePoint in(Context& ctx, Duration after) { return TimePoint(std::chrono::milliseconds(ctx.now_ms()) + after); }

void not_before_its_time(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = seconds(10)}));
  ctx.expect_nothing(s.channel);
  ctx.advance(seconds(10) - Duration(1));
  ctx.expect_nothing(s.channel);
  ctx.advance(Duration(1));
  const auto message = ctx.receive(s.channel);
  EXPECT_EQ(message.body(), 1);
  EXPECT_EQ(message.attempts(), 1);
  EXPECT_EQ(message.enqueued_at(), in(ctx, Duration(0)));
  EXPECT_EQ(message.timestamp(), in(ctx, -seconds(10)).time_since_epoch() / seconds(1))
      << "the timestamp is that of the publish";
}

void at_an_instant(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.deliver_at = in(ctx, hours(2))}));
  must(s.topic.pub(2, {.deliver_at = in(ctx, -hours(2))}));  // past: now
  must(s.topic.pub(3, {.deliver_at = TimePoint{}}));
  ctx.expect_next(s.channel, std::vector<int>{2, 3});
  ctx.advance(hours(2) - Duration(1));
  ctx.expect_nothing(s.channel);
  ctx.advance(Duration(1));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void zero_is_now(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = Duration(0)}));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void in_the_order_of_their_time(Context& ctx) {
  auto s = ctx.setup<int>();
  for (const int delay : {50, 10, 40, 20, 30}) must(s.topic.pub(delay, ctx.in_order({.delay = seconds(delay)})));
  must(s.topic.pub(0, ctx.in_order()));
  ctx.expect_depth(s.channel, 6);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{0});
  ctx.advance(seconds(25));
  EXPECT_EQ(ctx.take(s.channel, 2), (std::vector<int>{10, 20}));
  ctx.expect_nothing(s.channel);
  ctx.advance(seconds(100));
  EXPECT_EQ(ctx.take(s.channel, 3), (std::vector<int>{30, 40, 50}));
}

void same_time_keeps_publish_order(Context& ctx) {
  auto s = ctx.setup<int>();
  std::vector<int> expected;
  for (int i = 0; i < 50; ++i) {
    must(s.topic.pub(i, ctx.in_order({.delay = seconds(10)})));
    expected.push_back(i);
  }
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.take(s.channel, 50), expected);
}

void does_not_block_others(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = hours(1)}));
  must(s.topic.pub_batch({2, 3}));
  ctx.expect_next(s.channel, std::vector<int>{2, 3});
}

void whole_batch(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3}, {.delay = seconds(10)}));
  must(s.topic.pub_msg_batch({Message<int>(4), Message<int>(5)}, {.delay = seconds(10)}));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 5);
  EXPECT_EQ(must(s.channel.stats()).delayed, 5);
  ctx.advance(seconds(10));
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 3, 4, 5});
}

void belongs_to_the_channels_of_its_publish(Context& ctx) {
  auto s = ctx.setup<int>();
  auto second = must(s.topic.get_or_add_channel("second"));
  must(s.topic.pub(1, {.delay = seconds(10)}));
  auto later = must(s.topic.get_or_add_channel("later"));
  ctx.expect_depth(s.channel, 1);
  ctx.expect_depth(second, 1);
  ctx.expect_depth(later, 0);
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  EXPECT_EQ(ctx.take(second, 1), std::vector<int>{1});
  ctx.expect_nothing(later);
}

void waits_in_the_backlog(Context& ctx) {
  auto q = ctx.open();
  auto topic = must(q.topic<int>("events"));
  must(topic.pub(1, {.delay = seconds(10)}));
  must(topic.pub(2, {.delay = seconds(20)}));
  must(topic.pub(3));
  ctx.advance(seconds(10));
  auto channel = must(topic.get_or_add_channel("work"));
  ctx.expect_depth(channel, 3);
  std::vector<int> ready = ctx.take(channel, 2);
  std::sort(ready.begin(), ready.end());
  EXPECT_EQ(ready, (std::vector<int>{1, 3}));
  ctx.expect_nothing(channel);
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.take(channel, 1), std::vector<int>{2});
}

void survives_close(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = seconds(10)}));
  expect_ok(s.topic.close());
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  ctx.expect_nothing(channel);
  ctx.expect_depth(channel, 1);
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.take(channel, 1), std::vector<int>{1});
}

void becomes_due_while_closed(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = seconds(10)}));
  expect_ok(s.topic.close());
  ctx.advance(seconds(20));
  auto topic = must(s.queue.topic<int>("events"));
  auto channel = must(topic.get_channel("work"));
  EXPECT_EQ(ctx.take(channel, 1), std::vector<int>{1});
}

void wakes_a_waiting_consumer(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = seconds(10)}));
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->body());
  });
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  ctx.advance(seconds(10));
  EXPECT_TRUE(got.wait_for(1));
}

void reaches_a_subscription(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.channel.subscribe([&](Message<int>& m) { got.add(m.body()); }));
  must(s.topic.pub(1, {.delay = seconds(10)}));
  must(s.topic.pub(2, {.delay = seconds(5)}));
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  ctx.advance(seconds(5));
  EXPECT_TRUE(got.wait_for(1));
  ctx.advance(seconds(5));
  EXPECT_TRUE(got.wait_for(2));
  EXPECT_EQ(got.items(), (std::vector<int>{2, 1}));
}

void earlier_one_wakes_earlier(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = hours(1)}));
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->body());
  });
  Context::wait_a_moment();
  must(s.topic.pub(2, {.delay = seconds(1)}));  // comes while the consumer waits for a later one
  ctx.advance(seconds(1));
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{2});
}

void delay_past_the_expiry(Context& ctx) {
  auto s = ctx.setup<int>();
  expect_error(s.topic.pub(1, {.delay = seconds(20), .expires = seconds(10)}), ErrorCode::invalid_argument);
  Message<int> message(1);
  message.set_expires_at(ctx.now_s() + 10);
  expect_error(s.topic.pub_msg(message, {.delay = seconds(20)}), ErrorCode::invalid_argument);
  expect_error(s.topic.pub_msg(message, {.deliver_at = in(ctx, seconds(20))}), ErrorCode::invalid_argument);
  expect_error(s.topic.pub_msg_batch({Message<int>(2), message}, {.delay = seconds(20)}), ErrorCode::invalid_argument);
  ctx.expect_depth(s.channel, 0);
  expect_ok(s.topic.pub_msg(message, {.delay = seconds(5)}));
  // The default TTL is no explicit expiry: it counts from the due time.
  expect_ok(s.topic.pub(1, {.delay = hours(100)}));
  ctx.expect_depth(s.channel, 2);
}

void extreme_delays(Context& ctx) {
  auto s = ctx.setup<int>();
  for (const Duration delay : {Duration::max(), Duration(std::chrono::hours(24 * 365 * 300))}) {
    const auto result = s.topic.pub(1, {.delay = delay, .expires = Duration(0)});
    if (!result) expect_error(result, ErrorCode::invalid_argument);
  }
  const auto at = s.topic.pub(1, {.deliver_at = TimePoint::max(), .expires = Duration(0)});
  if (!at) expect_error(at, ErrorCode::invalid_argument);
  ctx.expect_nothing(s.channel);
  ctx.advance(hours(24 * 365));
  ctx.expect_nothing(s.channel);
}

void many_delays(Context& ctx) {
  constexpr int kMessages = 5000;
  auto s = ctx.setup<int>();
  for (int i = 0; i < kMessages; ++i) {
    const int delay = static_cast<int>((static_cast<unsigned>(i) * 7919U) % 100'000U);
    must(s.topic.pub(delay, {.delay = Duration(delay + 1)}));
  }
  int last = -1;
  int got = 0;
  for (int step = 0; step < 20; ++step) {
    ctx.advance(Duration(5001));
    while (true) {
      const auto message = s.channel.try_next(Duration(0));
      if (!message) break;
      ASSERT_GE(message->body(), last);
      last = message->body();
      ++got;
      must(s.channel.ack(*message));
    }
  }
  EXPECT_EQ(got, kMessages);
  ctx.expect_depth(s.channel, 0);
}

void wall_clock_changes(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, {.delay = seconds(10), .expires = Duration(0)}));
  ctx.clock().shift_wall(-hours(5));
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

constexpr TestCase kDelayTests[] = {
    {"D17_delayed_message_comes_at_its_time", "D17", kDelayed, not_before_its_time},
    {"D17_deliver_at_an_instant", "D17 API_PubOptions", kDelayed, at_an_instant},
    {"D17_delay_zero_is_now", "D17", {Capability::delayed_publish}, zero_is_now},
    {"D17_delayed_messages_come_in_the_order_of_their_time", "D17", kDelayed, in_the_order_of_their_time},
    {"D17_same_time_keeps_publish_order", "D17", kDelayed, same_time_keeps_publish_order},
    {"D17_delayed_message_does_not_block_others", "D17", {Capability::delayed_publish}, does_not_block_others},
    {"D17_delay_of_a_whole_batch",
     "D17 D19",
     {Capability::manual_clock, Capability::delayed_publish, Capability::split_stats},
     whole_batch},
    {"D17_delayed_message_belongs_to_the_channels_of_its_publish",
     "D17 D4",
     {Capability::manual_clock, Capability::delayed_publish, Capability::later_channels},
     belongs_to_the_channels_of_its_publish},
    {"D17_delayed_message_waits_in_the_backlog",
     "D17 D4",
     {Capability::manual_clock, Capability::delayed_publish, Capability::backlog},
     waits_in_the_backlog},
    {"D17_delayed_message_survives_close", "D17 D20 D1", kDelayed, survives_close},
    {"D17_delayed_message_becomes_due_while_closed", "D17 D20", kDelayed, becomes_due_while_closed},
    {"D17_due_message_wakes_a_waiting_next", "D17 D21", kDelayed, wakes_a_waiting_consumer},
    {"D17_due_message_reaches_a_subscription", "D17 D21", kDelayed, reaches_a_subscription},
    {"D17_earlier_message_wakes_earlier", "D17 D21", kDelayed, earlier_one_wakes_earlier},
    {"D17_delay_past_an_explicit_expiry_is_refused", "D17 D12", kDelayed, delay_past_the_expiry},
    {"D17_extreme_delays_do_not_overflow", "D17", kDelayed, extreme_delays},
    {"D17_many_delays_keep_their_order",
     "D17",
     {Capability::manual_clock, Capability::delayed_publish, Capability::due_order},
     many_delays},
    {"D17_wall_clock_changes_leave_delays_alone",
     "D17",
     {Capability::manual_clock, Capability::delayed_publish, Capability::steady_delays},
     wall_clock_changes},
};

}  // namespace

std::span<const TestCase> delay_tests() { return kDelayTests; }

}  // namespace lrpc::queue::conformance
