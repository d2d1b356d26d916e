// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// What becomes of expired messages (D12): never delivered, counted, dropped or dead-lettered.

namespace lrpc::queue::conformance {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const PubOptions kFiveSeconds{.expires = seconds(5)};

bool empty(Context& ctx, Channel<int>& channel) {
  return ctx.eventually([&] { return channel.depth() == 0; });
}

void expired_is_not_delivered(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, kFiveSeconds));
  must(s.topic.pub(2));
  must(s.topic.pub(3, kFiveSeconds));
  must(s.topic.pub(4));
  ctx.advance(seconds(10));
  ctx.expect_next(s.channel, std::vector<int>{2, 4});
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  const auto stats = must(s.channel.stats());
  EXPECT_EQ(stats.expired, 2);
  EXPECT_EQ(stats.dead, 0);
  EXPECT_EQ(stats.delivered, 2);
}

void expired_is_not_in_a_batch(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3}, kFiveSeconds));
  must(s.topic.pub(4));
  must(s.topic.pub_batch({5, 6}, kFiveSeconds));
  ctx.advance(seconds(10));
  const auto list = ctx.batch(s.channel, 10);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].body(), 4);
  expect_error(s.channel.next_batch(10, Duration(0)), ErrorCode::no_message);
  EXPECT_EQ(must(s.channel.stats()).expired, 5);
  ctx.expect_depth(s.channel, 1);
}

void subscription_passes_over_expired(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>();
  for (int i = 0; i < 200; ++i) must(s.topic.pub(-1, kFiveSeconds));
  must(s.topic.pub(1));
  ctx.advance(seconds(10));
  must(s.channel.subscribe([&](Message<int>& m) { handled.add(m.body()); }));
  EXPECT_TRUE(handled.wait_for(1));
  EXPECT_TRUE(empty(ctx, s.channel));
  EXPECT_EQ(handled.items(), std::vector<int>{1});
  EXPECT_EQ(must(s.channel.stats()).expired, 200);
}

void only_expired_gives_no_message(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(std::vector<int>(100, 1), kFiveSeconds));
  ctx.advance(seconds(10));
  expect_error(s.channel.try_next(Duration(10)), ErrorCode::no_message);
  ctx.expect_depth(s.channel, 0);
}

void exact_second(Context& ctx) {
  auto s = ctx.setup<int>();
  ctx.advance_to_whole_second();
  Message<int> early(1);
  Message<int> late(2);
  early.set_expires_at(ctx.now_s() + 10);
  late.set_expires_at(ctx.now_s() + 11);
  for (const auto& message : {early, early, late}) must(s.topic.pub_msg(message, ctx.in_order()));
  ctx.advance(seconds(10) - Duration(1));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  ctx.advance(Duration(1));  // now == expires_at: expired
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{2});
  EXPECT_EQ(must(s.channel.stats()).expired, 1);
}

void already_expired_at_publish(Context& ctx) {
  auto s = ctx.setup<int>();
  Message<int> message(1);
  message.set_expires_at(ctx.now_s() - 100);
  expect_ok(s.topic.pub_msg(message));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void expiry_while_waiting_for_a_retry(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = seconds(10)});
  must(s.topic.pub(1, kFiveSeconds));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  ctx.advance(seconds(10));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  EXPECT_EQ(must(s.channel.stats()).expired, 1);
}

void expiry_after_lease_loss(Context& ctx) {
  auto s = ctx.setup<int>({.ack_timeout = seconds(10)});
  must(s.topic.pub(1, kFiveSeconds));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 1);
  ctx.advance(seconds(10));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void in_flight_may_be_settled_after_expiry(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, kFiveSeconds));
  const auto list = ctx.batch(s.channel, 2);
  ASSERT_EQ(list.size(), 2U);
  ctx.advance(seconds(10));
  expect_ok(s.channel.ack(list[0]));
  expect_ok(s.channel.nack(list[1], {.delay = Duration(0)}));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  EXPECT_EQ(must(s.channel.stats()).expired, 1);
}

void expired_becomes_a_dead_letter(Context& ctx) {
  auto s = ctx.setup<int>({.dead_letter_expired = true});
  auto plain = must(s.topic.get_or_add_channel("plain"));
  const std::string id = must(s.topic.pub(1, kFiveSeconds));
  ctx.advance(seconds(10));
  ctx.expect_nothing(s.channel);
  ctx.expect_nothing(plain);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].id, id);
  EXPECT_EQ(page.items[0].reason, "expired");
  EXPECT_EQ(page.items[0].attempts, 0) << "it was never delivered";
  ASSERT_TRUE(page.items[0].message.has_value());
  EXPECT_EQ(page.items[0].message->body(), 1);
  EXPECT_EQ(must(s.channel.stats()).expired, 1);
  EXPECT_EQ(must(plain.stats()).dead, 0);
  ctx.expect_depth(s.channel, 0);
}

void expired_retry_becomes_a_dead_letter(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = seconds(10), .dead_letter_expired = true});
  must(s.topic.pub(1, kFiveSeconds));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  ctx.advance(seconds(10));
  ctx.expect_nothing(s.channel);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].reason, "expired");
  EXPECT_EQ(page.items[0].attempts, 1);
}

void channel_cap(Context& ctx) {
  auto s = ctx.setup<int>();
  auto capped = must(s.topic.get_or_add_channel("capped", {.message_ttl = seconds(5)}));
  must(s.topic.pub(1));
  must(s.topic.pub(2, {.expires = hours(1)}));
  must(s.topic.pub(3, {.expires = Duration(0)}));  // never expires: no cap
  ctx.advance(seconds(10));
  must(s.topic.pub(4));
  ctx.expect_next(capped, std::vector<int>{3, 4});
  ctx.expect_nothing(capped);
  EXPECT_EQ(must(capped.stats()).expired, 2);
  ctx.expect_next(s.channel, std::vector<int>{1, 2, 3, 4});
}

void channel_cap_does_not_extend(Context& ctx) {
  auto s = ctx.setup<int>({.message_ttl = hours(48)});
  must(s.topic.pub(1, kFiveSeconds));
  ctx.advance(seconds(10));
  ctx.expect_nothing(s.channel);
}

void inherited_ttl_is_no_cap(Context& ctx) {
  auto s = ctx.setup<int>({}, {.message_ttl = seconds(5)});
  must(s.topic.pub(1, {.expires = hours(1)}));
  must(s.topic.pub(2));
  ctx.advance(seconds(10));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  ctx.expect_nothing(s.channel);
}

void cap_counts_from_the_first_readiness(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = seconds(4), .message_ttl = seconds(10)});
  must(s.topic.pub(1));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  ctx.advance(seconds(4));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  ctx.advance(seconds(4));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  ctx.advance(seconds(4));  // 12 s after it first became ready: a retry must not start the time anew
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void cap_of_a_delayed_message(Context& ctx) {
  auto s = ctx.setup<int>({.message_ttl = seconds(10)});
  must(s.topic.pub(1, {.delay = seconds(60)}));
  ctx.advance(seconds(65));
  const auto message = ctx.receive(s.channel);  // 5 s after its due time
  EXPECT_EQ(message.body(), 1);
  expect_ok(s.channel.nack(message, {.delay = seconds(6)}));
  ctx.advance(seconds(6));
  ctx.expect_nothing(s.channel);
}

void clock_going_backwards(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1, kFiveSeconds));
  ctx.clock().shift_wall(-hours(2));
  must(s.topic.pub(2, kFiveSeconds));
  ctx.expect_next(s.channel, std::vector<int>{1, 2});
  must(s.topic.pub(3));
  ctx.clock().shift_wall(hours(2));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{3});
  must(s.topic.pub(4, kFiveSeconds));
  ctx.clock().shift_wall(seconds(6));  // expiry goes by the wall clock
  ctx.expect_nothing(s.channel);
}

void expiry_inside_the_backlog(Context& ctx) {
  auto q = ctx.open();
  auto topic = must(q.topic<int>("events"));
  must(topic.pub(1, kFiveSeconds));
  must(topic.pub(2));
  ctx.advance(seconds(10));
  auto channel = must(topic.get_or_add_channel("work"));
  EXPECT_EQ(ctx.take(channel, 1), std::vector<int>{2});
  ctx.expect_nothing(channel);
}

void expiry_behind_a_busy_handler(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1});
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    if (m.body() == 1) gate.pass();
    handled.add(m.body());
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  must(s.topic.pub_batch({2, 3}, kFiveSeconds));
  must(s.topic.pub(4));
  ctx.advance(seconds(10));
  gate.open();
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_TRUE(empty(ctx, s.channel));
  EXPECT_EQ(handled.items(), (std::vector<int>{1, 4}));
  EXPECT_EQ(must(s.channel.stats()).expired, 2);
}

void expiry_while_held_by_its_key(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(30), .max_in_flight = 4, .ack_timeout = hours(1)});
  must(s.topic.pub(1, {.key = "k"}));
  must(s.topic.pub(2, {.key = "k", .expires = seconds(5)}));
  must(s.topic.pub(3, {.key = "k"}));
  must(s.channel.subscribe([&](Message<int>& m) {
    handled.add(m.body());
    return ProcessRsp{.retry = m.body() == 1 && m.attempts() == 1};
  }));
  EXPECT_TRUE(handled.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  ctx.advance(seconds(30));
  EXPECT_TRUE(handled.wait_for(3));
  EXPECT_TRUE(empty(ctx, s.channel));
  EXPECT_EQ(handled.items(), (std::vector<int>{1, 1, 3}));
  EXPECT_EQ(must(s.channel.stats()).expired, 1);
}

void expiry_of_a_held_retry(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(30), .max_in_flight = 4, .ack_timeout = hours(1)});
  must(s.topic.pub(1, {.key = "k", .expires = seconds(5)}));
  must(s.topic.pub(2, {.key = "k"}));
  must(s.channel.subscribe([&](Message<int>& m) {
    handled.add(m.body());
    return ProcessRsp{.retry = m.body() == 1};
  }));
  EXPECT_TRUE(handled.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  ctx.advance(seconds(30));
  EXPECT_TRUE(handled.wait_for(2));
  EXPECT_TRUE(empty(ctx, s.channel));
  EXPECT_EQ(handled.items(), (std::vector<int>{1, 2}));
}

constexpr TestCase kExpiryTests[] = {
    {"D12_expired_message_is_never_delivered", "D12", kTimed, expired_is_not_delivered},
    {"D12_expired_message_is_not_in_a_batch", "D12 API_TryNext", kTimed, expired_is_not_in_a_batch},
    {"D12_subscription_passes_over_expired_messages", "D12", kTimed, subscription_passes_over_expired},
    {"D12_expiry_behind_a_busy_handler", "D12 D11", kTimed, expiry_behind_a_busy_handler},
    {"D12_expiry_while_held_by_its_key", "D12 D8", kTimed, expiry_while_held_by_its_key},
    {"D12_expiry_of_a_held_retry", "D12 D8", kTimed, expiry_of_a_held_retry},
    {"D12_only_expired_messages_give_no_message", "D12", kTimed, only_expired_gives_no_message},
    {"D12_expires_at_its_second_exactly", "D12", kTimed, exact_second},
    {"D12_message_expired_at_publish_is_not_delivered", "D12", kTimed, already_expired_at_publish},
    {"D12_expiry_while_waiting_for_a_retry", "D12 D8", kTimed, expiry_while_waiting_for_a_retry},
    {"D12_expiry_after_lease_loss",
     "D12 D9",
     {Capability::manual_clock, Capability::lease_expiry},
     expiry_after_lease_loss},
    {"D12_in_flight_message_may_be_settled_after_expiry", "D12 D10", kTimed, in_flight_may_be_settled_after_expiry},
    {"D12_expired_message_becomes_a_dead_letter_if_asked", "D12 D18", kTimedLetters, expired_becomes_a_dead_letter},
    {"D12_expired_retry_becomes_a_dead_letter_if_asked", "D12 D18", kTimedLetters, expired_retry_becomes_a_dead_letter},
    {"D12_ttl_of_a_channel_caps", "D12", kTimed, channel_cap},
    {"D12_ttl_of_a_channel_does_not_extend", "D12", kTimed, channel_cap_does_not_extend},
    {"D12_inherited_ttl_is_no_cap", "D12", kTimed, inherited_ttl_is_no_cap},
    {"D12_cap_counts_from_when_it_was_first_ready", "D12 D8", kTimed, cap_counts_from_the_first_readiness},
    {"D12_cap_of_a_delayed_message_counts_from_its_due_time", "D12 D17", kDelayed, cap_of_a_delayed_message},
    {"D12_clock_going_backwards_loses_nothing", "D12 D1", kTimed, clock_going_backwards},
    {"D12_expiry_inside_the_backlog",
     "D12 D4",
     {Capability::manual_clock, Capability::backlog},
     expiry_inside_the_backlog},
};

}  // namespace

std::span<const TestCase> expiry_tests() { return kExpiryTests; }

}  // namespace lrpc::queue::conformance
