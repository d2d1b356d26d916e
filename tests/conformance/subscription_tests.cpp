// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <optional>
#include <stop_token>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Subscriptions as objects: subscribe, stop, wait, several at once, pause and resume.

namespace lrpc::queue::conformance {
namespace {

void handles_old_and_new_messages(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}));
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  EXPECT_TRUE(handled.wait_for(2));
  must(s.topic.pub(3));
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_EQ(handled.sorted(), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void one_handler_at_a_time_keeps_order(Context& ctx) {
  constexpr int kMessages = 300;
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1});
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  for (int i = 0; i < kMessages; ++i) must(s.topic.pub(i, ctx.in_order()));
  EXPECT_TRUE(handled.wait_for(kMessages));
  const auto items = handled.items();
  EXPECT_TRUE(std::is_sorted(items.begin(), items.end()));
  EXPECT_EQ(items.size(), static_cast<std::size_t>(kMessages));
}

void dropping_the_handle_stops_nothing(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>();
  {
    const Subscription dropped = must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  }
  must(s.topic.pub(1));
  EXPECT_TRUE(handled.wait_for(1));
}

void stop_ends_only_this_subscription(Context& ctx) {
  Collector<int> first(ctx.patience());
  Collector<int> second(ctx.patience());
  auto s = ctx.setup<int>();
  auto stopped = must(s.channel.subscribe([&](Message<int>& m) { first.add(m.body()); }));
  auto running = must(s.channel.subscribe([&](Message<int>& m) { second.add(m.body()); }));
  expect_ok(stopped.stop());
  expect_ok(stopped.wait(ctx.deadline()));
  const std::size_t before = first.size();
  must(s.topic.pub_batch({1, 2, 3}));
  EXPECT_TRUE(second.wait_for(3));
  EXPECT_EQ(first.size(), before);
  expect_ok(stopped.stop());
  expect_ok(running.stop());
  must(s.topic.pub(4));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{4});
}

void stop_waits_for_running_handlers(Context& ctx) {
  Gate gate(ctx.patience());
  std::atomic<bool> finished = false;
  auto s = ctx.setup<int>();
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) {
    gate.pass();
    finished = true;
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(subscription.stop());
  EXPECT_TRUE(finished) << "stop returned before its handler";
  ctx.expect_depth(s.channel, 0);
}

void stop_gives_back_unseen_messages(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1});
  const OpenAtExit opener(gate);
  for (int i = 1; i <= 10; ++i) must(s.topic.pub(i));
  auto subscription = must(s.channel.subscribe([&](Message<int>& m) {
    gate.pass();
    handled.add(m.body());
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  std::jthread opening([&] {
    Context::wait_a_moment();
    gate.open();
  });
  expect_ok(subscription.stop());
  const auto seen = handled.size();
  EXPECT_LT(seen, 10U);
  ctx.expect_depth(s.channel, static_cast<std::int64_t>(10 - seen));
  std::vector<int> rest;
  for (std::size_t i = seen; i < 10; ++i) {
    const auto message = ctx.receive(s.channel);
    EXPECT_EQ(message.attempts(), 1) << "giving back unseen messages must not count an attempt";
    rest.push_back(message.body());
  }
  for (const int body : handled.items()) rest.push_back(body);
  std::sort(rest.begin(), rest.end());
  EXPECT_EQ(rest, (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

void stop_with_a_stuck_handler(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>();
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  auto subscription = must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  const Stopwatch watch;
  expect_error(subscription.stop(Duration(10)), ErrorCode::timeout);
  EXPECT_LT(watch.elapsed(), ctx.patience());
  const auto again = ctx.receive(s.channel);  // at once
  EXPECT_EQ(again.attempts(), 2);
  gate.open();
  expect_ok(subscription.wait(ctx.deadline()));
  ctx.expect_depth(s.channel, 1);  // the late success was ignored
  expect_ok(s.channel.ack(again));
}

void stop_from_the_handler(Context& ctx) {
  Collector<int> handled(ctx.patience());
  std::optional<Subscription> subscription;
  Gate assigned(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1});
  const OpenAtExit opener(assigned);
  subscription = must(s.channel.subscribe([&](Message<int>& m) {
    assigned.pass();
    expect_ok(subscription->stop());
    handled.add(m.body());
  }));
  assigned.open();
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  EXPECT_TRUE(handled.wait_for(1));
  expect_ok(subscription->wait(ctx.deadline()));
  EXPECT_EQ(handled.size(), 1U);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{2});
  ctx.expect_depth(s.channel, 0);
}

void wait_returns_when_it_ended(Context& ctx) {
  std::atomic<int> returned = 0;
  auto s = ctx.setup<int>();
  auto subscription = must(s.channel.subscribe([](Message<int>&) {}));
  std::stop_source cancel;
  cancel.request_stop();
  expect_error(subscription.wait(cancel.get_token()), ErrorCode::cancelled);
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&, copy = subscription, stop = ctx.deadline()]() mutable {
      expect_ok(copy.wait(stop));
      ++returned;
    });
  }
  Context::wait_a_moment();
  EXPECT_EQ(returned, 0);
  expect_ok(s.channel.close());
  waiting.clear();
  EXPECT_EQ(returned, 3);
  expect_ok(subscription.wait());
  expect_ok(subscription.stop());
}

void cancelling_a_wait(Context& ctx) {
  Collector<bool> result(ctx.patience());
  auto s = ctx.setup<int>();
  auto subscription = must(s.channel.subscribe([](Message<int>&) {}));
  {
    const std::jthread waiting([&](const std::stop_token& stop) {
      expect_error(subscription.wait(stop), ErrorCode::cancelled);
      result.add(true);
    });
    Context::wait_a_moment();
    EXPECT_EQ(result.size(), 0U);
  }
  EXPECT_EQ(result.size(), 1U);
}

void many_subscriptions_compete(Context& ctx) {
  constexpr int kMessages = 500;
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 2});
  for (int i = 0; i < 8; ++i) must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  for (int i = 0; i < kMessages; ++i) must(s.topic.pub(i));
  EXPECT_TRUE(handled.wait_for(kMessages));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  const auto items = handled.sorted();
  ASSERT_EQ(items.size(), static_cast<std::size_t>(kMessages));
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(items[static_cast<std::size_t>(i)], i);
}

void pause_stops_handing_out(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const auto held = ctx.receive(s.channel);
  expect_ok(s.channel.pause());
  must(s.topic.pub_batch({2, 3}));
  ctx.expect_nothing(s.channel);
  expect_error(s.channel.try_next(Duration(10)), ErrorCode::no_message);
  expect_error(s.channel.next_batch(5, Duration(10)), ErrorCode::no_message);
  ctx.expect_depth(s.channel, 3);
  expect_ok(s.channel.ack(held));  // settling goes on
  expect_ok(s.channel.pause());    // twice is fine
  expect_ok(s.channel.resume());
  ctx.expect_next(s.channel, std::vector<int>{2, 3});
  expect_ok(s.channel.resume());
}

void resume_wakes_a_waiting_next(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  expect_ok(s.channel.pause());
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->body());
  });
  must(s.topic.pub(7));
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  expect_ok(s.channel.resume());
  EXPECT_TRUE(got.wait_for(1));
}

void pause_reaches_a_waiting_next(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>();
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->body());
  });
  Context::wait_a_moment();  // so that next is waiting already
  expect_ok(s.channel.pause());
  must(s.topic.pub(7));
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U) << "a next that was waiting before the pause took a message";
  expect_ok(s.channel.resume());
  EXPECT_TRUE(got.wait_for(1));
}

void pause_stops_a_subscription(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  must(s.channel.subscribe([&](Message<int>& m) {
    gate.pass();
    handled.add(m.body());
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  expect_ok(s.channel.pause());
  gate.open();
  EXPECT_TRUE(handled.wait_for(1)) << "a running handler goes on";
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).acked == 1; }));
  must(s.topic.pub(4, ctx.in_order()));
  Context::wait_a_moment();
  EXPECT_EQ(handled.size(), 1U);
  ctx.expect_depth(s.channel, 3);
  expect_ok(s.channel.resume());
  EXPECT_TRUE(handled.wait_for(4));
  EXPECT_EQ(handled.items(), (std::vector<int>{1, 2, 3, 4}));
}

void pause_is_of_one_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  expect_ok(s.channel.pause());
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.take(other, 1), std::vector<int>{1});
  ctx.expect_nothing(s.channel);
}

void close_while_paused(Context& ctx) {
  Collector<ErrorCode> codes(ctx.patience());
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  expect_ok(s.channel.pause());
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto result = s.channel.next(stop);
    codes.add(result ? ErrorCode::backend : result.error().code);
  });
  Context::wait_a_moment();
  expect_ok(s.channel.close());
  EXPECT_TRUE(codes.wait_for(1));
  EXPECT_EQ(codes.items(), std::vector<ErrorCode>{ErrorCode::channel_closed});
  auto reopened = must(s.topic.get_or_add_channel("work"));
  EXPECT_EQ(ctx.take(reopened, 1), std::vector<int>{1}) << "a pause ends with the use of the channel";
}

constexpr TestCase kSubscriptionTests[] = {
    {"API_subscribe_handles_old_and_new_messages", "API_Subscribe", {}, handles_old_and_new_messages},
    {"D5_one_handler_at_a_time_keeps_publish_order", "D5 D11", {}, one_handler_at_a_time_keeps_order},
    {"API_dropping_a_subscription_stops_nothing", "API_Subscribe", {}, dropping_the_handle_stops_nothing},
    {"API_stop_ends_only_its_subscription", "API_Subscribe", {}, stop_ends_only_this_subscription},
    {"D20_stop_waits_for_running_handlers", "D20 API_Subscribe", {}, stop_waits_for_running_handlers},
    {"D20_stop_gives_back_unseen_messages_uncounted", "D20 D6", {}, stop_gives_back_unseen_messages},
    {"D20_stop_with_a_stuck_handler_times_out", "D20 D21", {}, stop_with_a_stuck_handler},
    {"D20_stop_from_its_own_handler", "D20", {}, stop_from_the_handler},
    {"API_wait_returns_when_the_subscription_ended", "API_Subscribe D20", {}, wait_returns_when_it_ended},
    {"D21_wait_can_be_cancelled", "D21 API_Subscribe", {}, cancelling_a_wait},
    {"D1_many_subscriptions_compete", "D1 D11", {}, many_subscriptions_compete},
    {"API_pause_stops_handing_out", "API_pause", {}, pause_stops_handing_out},
    {"API_resume_wakes_a_waiting_next", "API_pause D21", {}, resume_wakes_a_waiting_next},
    {"API_pause_reaches_a_waiting_next", "API_pause", {}, pause_reaches_a_waiting_next},
    {"API_pause_stops_a_subscription", "API_pause", {}, pause_stops_a_subscription},
    {"API_pause_is_of_one_channel", "API_pause", {}, pause_is_of_one_channel},
    {"D20_close_while_paused", "D20 API_pause", {}, close_while_paused},
};

}  // namespace

std::span<const TestCase> subscription_tests() { return kSubscriptionTests; }

}  // namespace lrpc::queue::conformance
