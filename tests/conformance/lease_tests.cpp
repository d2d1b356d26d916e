// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// Leases: expiry, renewal, touch and handler_timeout (D9).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::seconds;

constexpr seconds kLease(10);
constexpr CapabilitySet kLeases = {Capability::manual_clock, Capability::lease_expiry};

ChannelConfig short_lease() { return {.max_retries = -1, .ack_timeout = kLease}; }

void expiry_redelivers(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  ctx.advance(kLease - Duration(1));
  ctx.expect_nothing(s.channel);
  ctx.advance(Duration(1));
  const auto second = ctx.receive(s.channel);
  EXPECT_EQ(second.id(), first.id());
  EXPECT_EQ(second.attempts(), 2);
  ctx.expect_depth(s.channel, 1);
  expect_ok(s.channel.ack(second));
  ctx.advance(kLease);
  ctx.expect_nothing(s.channel);
}

void default_lease(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 1);
  ctx.advance(seconds(30) - Duration(1));
  ctx.expect_nothing(s.channel);
  ctx.advance(Duration(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
}

void each_delivery_has_its_own_lease(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub_batch({1, 2, 3}));
  const auto first = ctx.receive(s.channel);
  ctx.advance(seconds(4));
  const auto second = ctx.receive(s.channel);
  ctx.advance(seconds(4));
  expect_ok(s.channel.ack(ctx.receive(s.channel)));
  ctx.advance(seconds(2));
  EXPECT_EQ(ctx.receive(s.channel).id(), first.id());
  ctx.expect_nothing(s.channel);
  ctx.advance(seconds(4));
  EXPECT_EQ(ctx.receive(s.channel).id(), second.id());
  ctx.expect_nothing(s.channel);
}

void batch_leases_expire(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  const auto list = ctx.batch(s.channel, 3);
  ASSERT_EQ(list.size(), 3U);
  expect_ok(s.channel.ack(list[1]));
  ctx.advance(kLease);
  std::vector<int> again = ctx.take(s.channel, 2);
  std::sort(again.begin(), again.end());
  EXPECT_EQ(again, (std::vector<int>{1, 3}));
  ctx.expect_depth(s.channel, 0);
}

void late_ack_counts_until_handed_out(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub_batch({1, 2}));
  const auto list = ctx.batch(s.channel, 2);
  ASSERT_EQ(list.size(), 2U);
  ctx.advance(kLease + seconds(5));
  expect_ok(s.channel.ack(list[0]));
  expect_ok(s.channel.ack(list[1].id()));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void late_nack_and_touch_count_until_handed_out(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  const auto list = ctx.batch(s.channel, 2);
  ASSERT_EQ(list.size(), 2U);
  ctx.advance(kLease + seconds(5));
  expect_ok(s.channel.touch(list[1]));
  expect_ok(s.channel.nack(list[0], {.delay = Duration(0)}));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.ack(list[1]));
}

void lost_lease_cannot_be_settled(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  ctx.advance(kLease);
  const auto second = ctx.receive(s.channel);
  expect_error(s.channel.ack(first), ErrorCode::message_not_found);
  expect_error(s.channel.nack(first, {.delay = Duration(0)}), ErrorCode::message_not_found);
  expect_error(s.channel.touch(first), ErrorCode::message_not_found);
  expect_error(s.channel.ack(std::vector<Message<int>>{first}), ErrorCode::message_not_found);
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 1);
  expect_ok(s.channel.ack(second));
}

void lost_touch_does_not_renew_the_new_lease(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  ctx.advance(kLease);
  const auto second = ctx.receive(s.channel);
  ctx.advance(seconds(5));
  expect_error(s.channel.touch(first, seconds(100)), ErrorCode::message_not_found);
  ctx.advance(seconds(5));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 3);
}

void expiry_wakes_a_waiting_consumer(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->attempts());
  });
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  ctx.advance(kLease);
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{2});
}

void expired_lease_goes_to_a_subscription(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  must(s.channel.subscribe([&](Message<int>& m) { got.add(m.attempts()); }));
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  ctx.advance(kLease);
  EXPECT_TRUE(got.wait_for(1));
  EXPECT_EQ(got.items(), std::vector<int>{2});
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void touch_renews(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  ctx.advance(seconds(8));
  expect_ok(s.channel.touch(message));  // default: ack_timeout from now
  ctx.advance(seconds(9));
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.touch(message.id()));
  ctx.advance(seconds(9));
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.touch(std::vector<Message<int>>{message}, seconds(100)));
  ctx.advance(seconds(100) - Duration(1));
  ctx.expect_nothing(s.channel);
  ctx.advance(Duration(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
}

void touch_can_shorten(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1));
  const auto message = ctx.receive(s.channel);
  expect_ok(s.channel.touch(message, seconds(1)));
  ctx.advance(seconds(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
}

void touched_message_can_be_settled(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub_batch({1, 2}));
  const auto list = ctx.batch(s.channel, 2);
  ASSERT_EQ(list.size(), 2U);
  expect_ok(s.channel.touch(list, seconds(60)));
  ctx.advance(seconds(50));
  expect_ok(s.channel.ack(list));
  ctx.advance(seconds(60));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void touch_of_a_span_tells_the_missing(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub_batch({1, 2, 3}));
  const auto list = ctx.batch(s.channel, 3);
  ASSERT_EQ(list.size(), 3U);
  expect_ok(s.channel.ack(list[1]));
  const auto partly = s.channel.touch(list, seconds(60));
  expect_error(partly, ErrorCode::message_not_found);
  if (!partly) {
    EXPECT_EQ(partly.error().accepted, (std::vector<std::string>{list[0].id(), list[2].id()}));
  }
  ctx.advance(kLease);
  ctx.expect_nothing(s.channel);
}

void running_handler_keeps_its_lease(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 4, .ack_timeout = kLease});
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    attempts.add(m.attempts());
    gate.pass();
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  ctx.advance_slowly(5 * kLease, seconds(1));
  ctx.expect_nothing(s.channel);
  EXPECT_EQ(attempts.size(), 1U);
  gate.open();
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  ctx.advance(2 * kLease);
  Context::wait_a_moment();
  EXPECT_EQ(attempts.size(), 1U) << "the ack after five leases did not count";
}

void prefetched_messages_keep_their_lease(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1, .ack_timeout = kLease});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2, 3}));
  must(s.channel.subscribe([&](Message<int>& m) {
    gate.pass();
    attempts.add(m.attempts());
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  ctx.advance_slowly(3 * kLease, seconds(1));
  gate.open();
  EXPECT_TRUE(attempts.wait_for(3));
  EXPECT_EQ(attempts.items(), (std::vector<int>{1, 1, 1}));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void handler_timeout_fails_the_delivery(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> started(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(1), .max_in_flight = 2, .handler_timeout = seconds(5)});
  const OpenAtExit opener(gate);
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    started.add(m.attempts());
    if (m.attempts() == 1) gate.pass();
    return ProcessRsp{.retry = m.attempts() == 2};
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  ctx.advance(seconds(5) - Duration(1));
  Context::wait_a_moment();
  EXPECT_EQ(must(s.channel.stats()).nacked, 0);
  ctx.advance(Duration(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 1; }));
  ctx.advance(seconds(1));
  EXPECT_TRUE(started.wait_for(2));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).nacked == 2; }));
  gate.open();  // the late success of the first delivery must not ack the message
  Context::wait_a_moment();
  ctx.expect_depth(s.channel, 1);
  ctx.advance(seconds(1));
  EXPECT_TRUE(started.wait_for(3));
  EXPECT_EQ(started.items(), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void timed_out_handler_keeps_its_slot(Context& ctx) {
  Gate gate(ctx.patience());
  Collector<int> started(ctx.patience());
  auto s = ctx.setup<int>({.max_retries = 0, .max_in_flight = 1, .handler_timeout = seconds(5)});
  const OpenAtExit opener(gate);
  must(s.topic.pub_batch({1, 2}));
  must(s.channel.subscribe([&](Message<int>& m) {
    started.add(m.body());
    gate.pass();
  }));
  EXPECT_TRUE(gate.wait_for_entered(1));
  ctx.advance(seconds(5));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).dead == 1; }));
  Context::wait_a_moment();
  EXPECT_EQ(started.size(), 1U) << "max_in_flight was exceeded";
  gate.open();
  EXPECT_TRUE(started.wait_for(2));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void handler_timeout_leaves_quick_handlers_alone(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1, .handler_timeout = seconds(5)});
  must(s.channel.subscribe([&](Message<int>& m) { attempts.add(m.attempts()); }));
  for (std::size_t i = 1; i <= 5; ++i) {
    must(s.topic.pub(1));
    EXPECT_TRUE(attempts.wait_for(i));
    EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
    ctx.advance(seconds(4));
  }
  EXPECT_EQ(must(s.channel.stats()).nacked, 0);
}

void wall_clock_changes_leave_leases_alone(Context& ctx) {
  auto s = ctx.setup<int>(short_lease());
  must(s.topic.pub(1, {.expires = Duration(0)}));
  const auto message = ctx.receive(s.channel);
  ctx.clock().shift_wall(std::chrono::hours(3));
  ctx.expect_nothing(s.channel);
  ctx.clock().shift_wall(-std::chrono::hours(30));
  ctx.advance(kLease - Duration(1));
  ctx.expect_nothing(s.channel);
  ctx.advance(Duration(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
}

constexpr TestCase kLeaseTests[] = {
    {"D9_lease_expiry_redelivers", "D9 D6 D1", kLeases, expiry_redelivers},
    {"D9_default_lease_is_thirty_seconds", "D9", kLeases, default_lease},
    {"D9_each_delivery_has_its_own_lease", "D9", kLeases, each_delivery_has_its_own_lease},
    {"D9_leases_of_a_batch_expire", "D9", kLeases, batch_leases_expire},
    {"D9_late_ack_counts_until_handed_out_again", "D9 D10", kLeases, late_ack_counts_until_handed_out},
    {"D9_late_nack_and_touch_count_until_handed_out_again", "D9 D10", kLeases,
     late_nack_and_touch_count_until_handed_out},
    {"D10_lost_lease_cannot_be_settled", "D10 D9", kLeases, lost_lease_cannot_be_settled},
    {"D10_lost_lease_cannot_renew_the_new_one", "D10 D9", kLeases, lost_touch_does_not_renew_the_new_lease},
    {"D9_lease_expiry_wakes_a_waiting_next", "D9 D21", kLeases, expiry_wakes_a_waiting_consumer},
    {"D9_expired_lease_of_next_goes_to_a_subscription", "D9", kLeases, expired_lease_goes_to_a_subscription},
    {"D9_touch_in_every_form_renews", "D9 API_touch", kLeases, touch_renews},
    {"D9_touch_can_shorten_the_lease", "D9 API_touch", kLeases, touch_can_shorten},
    {"D9_touched_messages_can_be_settled", "D9 D10", kLeases, touched_message_can_be_settled},
    {"D10_touch_of_a_span_tells_the_missing", "D10 API_touch", kLeases, touch_of_a_span_tells_the_missing},
    {"D9_running_handler_keeps_its_lease", "D9", kTimed, running_handler_keeps_its_lease},
    {"D9_prefetched_messages_keep_their_leases", "D9 D11", kTimed, prefetched_messages_keep_their_lease},
    {"D9_handler_timeout_fails_the_delivery", "D9", kTimed, handler_timeout_fails_the_delivery},
    {"D9_timed_out_handler_keeps_its_slot",
     "D9 D11",
     {Capability::manual_clock, Capability::dead_letters},
     timed_out_handler_keeps_its_slot},
    {"D9_handler_timeout_leaves_quick_handlers_alone", "D9", kTimed, handler_timeout_leaves_quick_handlers_alone},
    {"D9_wall_clock_changes_leave_leases_alone", "D9", kLeases, wall_clock_changes_leave_leases_alone},
};

}  // namespace

std::span<const TestCase> lease_tests() { return kLeaseTests; }

}  // namespace lrpc::queue::conformance
