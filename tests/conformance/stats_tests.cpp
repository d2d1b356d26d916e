// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// depth, stats, drop_all and ping (D19).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::hours;

constexpr CapabilitySet kExact = {Capability::exact_depth};

void expect_figures(Channel<int>& channel, std::int64_t ready, std::int64_t in_flight, std::int64_t delayed,
                    std::int64_t dead, std::source_location at = std::source_location::current()) {
  const auto stats = must(channel.stats(), at);
  const auto line = ::testing::Message() << "line " << at.line();
  EXPECT_EQ(stats.ready, ready) << line;
  EXPECT_EQ(stats.in_flight, in_flight) << line;
  EXPECT_EQ(stats.delayed, delayed) << line;
  EXPECT_EQ(stats.dead, dead) << line;
  EXPECT_EQ(stats.depth, ready + in_flight + delayed) << line;
  EXPECT_EQ(must(channel.depth(), at), ready + in_flight + delayed) << line;
}

void depth_follows_each_step(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  expect_figures(s.channel, 0, 0, 0, 0);
  must(s.topic.pub(1));
  expect_figures(s.channel, 1, 0, 0, 0);
  must(s.topic.pub_batch({2, 3, 4}));
  expect_figures(s.channel, 4, 0, 0, 0);
  const auto a = ctx.receive(s.channel);
  const auto b = ctx.receive(s.channel);
  expect_figures(s.channel, 2, 2, 0, 0);
  expect_ok(s.channel.nack(a, {.delay = hours(1)}));
  expect_figures(s.channel, 2, 1, 1, 0);
  expect_ok(s.channel.ack(b));
  expect_figures(s.channel, 2, 0, 1, 0);
  const auto c = ctx.receive(s.channel);
  expect_ok(s.channel.nack(c, {.dead_letter = true}));
  expect_figures(s.channel, 1, 0, 1, 1);
  const auto d = ctx.receive(s.channel);
  expect_ok(s.channel.nack(d, {.delay = Duration(0)}));
  expect_figures(s.channel, 1, 0, 1, 1);
  EXPECT_EQ(must(s.channel.requeue_dead()), 1);
  expect_figures(s.channel, 2, 0, 1, 0);
  expect_figures(other, 4, 0, 0, 0);
}

void depth_with_expired_leases(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1, .ack_timeout = std::chrono::seconds(10)});
  must(s.topic.pub_batch({1, 2}));
  for (int round = 0; round < 3; ++round) {
    const auto list = ctx.batch(s.channel, 2);
    ASSERT_EQ(list.size(), 2U);
    expect_figures(s.channel, 0, 2, 0, 0);
    ctx.advance(std::chrono::seconds(10));
    ctx.expect_depth(s.channel, 2);
  }
}

void depth_of_delayed_messages(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, ctx.in_order({.delay = hours(1)})));
  must(s.topic.pub(3, ctx.in_order()));
  expect_figures(s.channel, 1, 0, 2, 0);
  ctx.advance(hours(1));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{3});
  ctx.expect_depth(s.channel, 2);
  ctx.expect_next(s.channel, std::vector<int>{1, 2});
  expect_figures(s.channel, 0, 0, 0, 0);
}

void depth_during_a_subscription(Context& ctx) {
  Gate gate(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 2});
  const OpenAtExit opener(gate);
  for (int i = 0; i < 20; ++i) must(s.topic.pub(i));
  must(s.channel.subscribe([&](Message<int>&) { gate.pass(); }));
  EXPECT_TRUE(gate.wait_for_entered(2));
  // Prefetched messages that no handler has seen count as ready.
  EXPECT_TRUE(ctx.eventually([&] {
    const auto stats = must(s.channel.stats());
    return stats.in_flight == 2 && stats.ready == 18;
  })) << must(s.channel.stats()).in_flight;
  ctx.expect_depth(s.channel, 20);
  gate.open();
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void settled_shows_at_once(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch(std::vector<int>(200, 1)));
  for (std::int64_t left = 199; left >= 0; --left) {
    must(s.channel.ack(ctx.receive(s.channel)));
    ASSERT_EQ(must(s.channel.depth()), left);
  }
}

void counters(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1});
  must(s.topic.pub_batch({1, 2, 3, 4}));
  expect_ok(s.channel.ack(ctx.receive(s.channel)));                                // 1
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.dead_letter = true}));        // 2
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = Duration(0)}));       // 3
  expect_ok(s.channel.ack(ctx.receive(s.channel)));                                // 4
  expect_ok(s.channel.nack(ctx.receive(s.channel).id(), {.delay = Duration(0)}));  // 3 again: given up
  const auto stats = must(s.channel.stats());
  EXPECT_EQ(stats.delivered, 5);
  EXPECT_EQ(stats.acked, 2);
  EXPECT_EQ(stats.nacked, 3);
  EXPECT_EQ(stats.redelivered, 1);
  EXPECT_EQ(stats.expired, 0);
  EXPECT_EQ(stats.dropped, 0);
  // A settle call that found nothing counts nothing.
  expect_error(s.channel.ack("unknown"), ErrorCode::message_not_found);
  EXPECT_EQ(must(s.channel.stats()).acked, 2);
}

void counters_of_a_subscription(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1, .retry_delay = Duration(0)});
  must(s.topic.pub_batch({1, 2, 3, 4, 5}));
  must(s.channel.subscribe([](Message<int>& m) { return ProcessRsp{.retry = m.body() == 3}; }));
  EXPECT_TRUE(ctx.eventually([&] {
    const auto stats = must(s.channel.stats());
    return stats.acked == 4 && stats.nacked == 2;
  }));
  const auto stats = must(s.channel.stats());
  EXPECT_EQ(stats.delivered, 6);
  EXPECT_EQ(stats.redelivered, 1);
}

void counters_are_of_one_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub(1));
  expect_ok(s.channel.ack(ctx.receive(s.channel)));
  EXPECT_EQ(must(s.channel.stats()).acked, 1);
  const auto stats = must(other.stats());
  EXPECT_EQ(stats.acked, 0);
  EXPECT_EQ(stats.delivered, 0);
}

void drop_all_empties_the_channel(Context& ctx) {
  auto s = ctx.setup<int>();
  auto other = must(s.topic.get_or_add_channel("other"));
  must(s.topic.pub_batch({1, 2, 3, 4, 5}));
  const auto held = ctx.receive(s.channel);
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = hours(1)}));
  EXPECT_EQ(must(s.channel.drop_all()), 4);  // three ready, one delayed
  expect_figures(s.channel, 0, 1, 0, 0);
  ctx.expect_nothing(s.channel);
  expect_ok(s.channel.ack(held));  // in flight ones stay with their consumers
  EXPECT_EQ(must(s.channel.drop_all()), 0);
  ctx.expect_depth(other, 5);
  must(s.topic.pub(6));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{6});
}

void drop_all_leaves_dead_letters(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.dead_letter = true}));
  EXPECT_EQ(must(s.channel.drop_all()), 1);
  EXPECT_EQ(must(s.channel.requeue_dead()), 1);
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void drop_all_and_retries_of_held_messages(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, ctx.in_order()));
  const auto held = ctx.receive(s.channel);
  EXPECT_EQ(must(s.channel.drop_all()), 1);
  expect_ok(s.channel.nack(held, {.delay = Duration(0)}));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{1});
}

void ping(Context& ctx) {
  auto q = ctx.open();
  expect_ok(q.ping());
  expect_ok(q.close());
  expect_error(q.ping(), ErrorCode::queue_closed);
}

constexpr TestCase kStatsTests[] = {
    {"D19_depth_and_stats_follow_each_step",
     "D19 API_Depth API_stats",
     {Capability::exact_depth, Capability::dead_letters},
     depth_follows_each_step},
    {"D19_depth_with_expired_leases",
     "D19 D9",
     {Capability::exact_depth, Capability::manual_clock, Capability::lease_expiry},
     depth_with_expired_leases},
    {"D19_depth_of_delayed_messages",
     "D19 D17",
     {Capability::exact_depth, Capability::manual_clock, Capability::delayed_publish, Capability::split_stats},
     depth_of_delayed_messages},
    {"D19_depth_during_a_subscription", "D19 D11", kExact, depth_during_a_subscription},
    {"D19_what_is_settled_here_shows_at_once", "D19 D10", kExact, settled_shows_at_once},
    {"API_stats_counters_of_next", "API_stats", {Capability::dead_letters}, counters},
    {"API_stats_counters_of_a_subscription", "API_stats", {}, counters_of_a_subscription},
    {"API_stats_counters_are_of_one_channel", "API_stats", {}, counters_are_of_one_channel},
    {"API_drop_all_empties_one_channel", "API_drop_all D19", kExact, drop_all_empties_the_channel},
    {"API_drop_all_leaves_dead_letters", "API_drop_all D18", {Capability::dead_letters}, drop_all_leaves_dead_letters},
    {"API_drop_all_leaves_held_messages_to_their_consumers", "API_drop_all", {}, drop_all_and_retries_of_held_messages},
    {"API_ping", "API_ping", {}, ping},
};

}  // namespace

std::span<const TestCase> stats_tests() { return kStatsTests; }

}  // namespace lrpc::queue::conformance
