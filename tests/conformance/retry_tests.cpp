// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// When a failed message comes back (D8).

namespace lrpc::queue::conformance {
namespace {

using std::chrono::seconds;

/// Nacks the message that is ready and checks that it comes back after exactly `delay`.
void expect_back_after(Context& ctx, Channel<int>& channel, const NackOptions& options, Duration delay) {
  must(channel.nack(ctx.receive(channel), options));
  if (delay.count() > 0) {
    ctx.expect_nothing(channel);
    ctx.advance(delay - Duration(1));
    ctx.expect_nothing(channel);
    ctx.advance(Duration(1));
  }
  must(channel.nack(ctx.receive(channel), {.delay = Duration(0), .skip_attempts = true}));
}

void default_delay(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  expect_back_after(ctx, s.channel, {}, seconds(1));
  expect_back_after(ctx, s.channel, {}, seconds(1));
}

void configured_delay(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1, .retry_delay = seconds(7)});
  must(s.topic.pub(1));
  expect_back_after(ctx, s.channel, {}, seconds(7));
  expect_back_after(ctx, s.channel, {.skip_attempts = true}, seconds(7));
  expect_back_after(ctx, s.channel, {.delay = seconds(90)}, seconds(90));
  expect_back_after(ctx, s.channel, {.delay = Duration(0)}, Duration(0));
}

void backoff_grows(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1,
                           .retry_delay = seconds(1),
                           .backoff = Backoff{.multiplier = 2.0, .max_delay = seconds(5), .jitter = false}});
  must(s.topic.pub(1));
  for (const int delay : {1, 2, 4, 5, 5}) {
    const auto message = ctx.receive(s.channel);
    expect_ok(s.channel.nack(message));
    ctx.advance(seconds(delay) - Duration(1));
    ctx.expect_nothing(s.channel);
    ctx.advance(Duration(1));
  }
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 6);
}

void backoff_survives_many_failures(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1,
                           .retry_delay = seconds(1),
                           .backoff = Backoff{.multiplier = 1000.0, .max_delay = seconds(3), .jitter = false}});
  must(s.topic.pub(1));
  for (int i = 0; i < 400; ++i) {  // 1000^400 overflows every number type
    must(s.channel.nack(ctx.receive(s.channel)));
    ctx.advance(seconds(3));
  }
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 401);
}

void jitter_spreads_within_the_delay(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = seconds(10), .backoff = Backoff{.jitter = true}});
  must(s.topic.pub_batch(std::vector<int>(64, 1)));
  expect_ok(s.channel.nack(ctx.batch(s.channel, 64)));
  ctx.advance(seconds(5));
  std::size_t early = 0;
  EXPECT_TRUE(ctx.eventually([&] {
    while (s.channel.try_next(Duration(0))) ++early;
    return early > 0;
  }));
  EXPECT_LT(early, 64U) << "all retries came in the first half of the delay";
  ctx.advance(seconds(5));
  for (; early < 64; ++early) static_cast<void>(ctx.receive(s.channel));
}

void explicit_delay_wins_over_backoff(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1,
                           .retry_delay = seconds(10),
                           .backoff = Backoff{.multiplier = 10.0, .max_delay = seconds(1000), .jitter = true}});
  must(s.topic.pub(1));
  for (int i = 0; i < 5; ++i) expect_back_after(ctx, s.channel, {.delay = seconds(2)}, seconds(2));
}

void handler_names_the_delay(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(1)});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    attempts.add(m.attempts());
    return m.attempts() == 1 ? ProcessRsp{.retry_after = seconds(30)} : ProcessRsp{};
  }));
  EXPECT_TRUE(attempts.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).delayed == 1; }));
  ctx.advance(seconds(29));
  Context::wait_a_moment();
  EXPECT_EQ(attempts.size(), 1U);
  ctx.advance(seconds(1));
  EXPECT_TRUE(attempts.wait_for(2));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void handler_failure_waits_for_the_retry_delay(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(5)});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) -> Result<void> {
    attempts.add(m.attempts());
    if (m.attempts() == 1) return fail(ErrorCode::backend, "failed");
    return {};
  }));
  EXPECT_TRUE(attempts.wait_for(1));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).delayed == 1; }));
  ctx.advance(seconds(4));
  Context::wait_a_moment();
  EXPECT_EQ(attempts.size(), 1U);
  ctx.advance(seconds(1));
  EXPECT_TRUE(attempts.wait_for(2));
}

void retry_does_not_block_others(Context& ctx) {
  auto s = ctx.setup<int>({.retry_delay = std::chrono::hours(1)});
  must(s.topic.pub_batch({1, 2, 3, 4, 5}, ctx.in_order()));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  EXPECT_EQ(ctx.take(s.channel, 3), (std::vector<int>{3, 4, 5}));
  must(s.topic.pub(6));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{6});
  ctx.expect_depth(s.channel, 2);
}

void retry_does_not_block_a_subscription(Context& ctx) {
  Collector<int> handled(ctx.patience());
  auto s = ctx.setup<int>({.max_in_flight = 1});
  must(s.topic.pub_batch({-1, -2, 3, 4}));
  must(s.channel.subscribe([&](Message<int>& m) {
    if (m.body() > 0) handled.add(m.body());
    return ProcessRsp{.retry_after = m.body() < 0 ? std::optional<Duration>(std::chrono::hours(1)) : std::nullopt};
  }));
  EXPECT_TRUE(handled.wait_for(2));
  ctx.expect_bodies(handled.items(), {3, 4});
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 2; }));
}

void retry_at_once_goes_behind_what_is_ready(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3}, ctx.in_order()));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = Duration(0)}));
  EXPECT_EQ(ctx.take(s.channel, 3), (std::vector<int>{2, 3, 1}));
}

void retries_come_in_the_order_of_their_time(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2, 3, 4}, ctx.in_order()));
  const auto list = ctx.batch(s.channel, 4);
  ASSERT_EQ(list.size(), 4U);
  const int delays[] = {40, 10, 30, 20};
  for (std::size_t i = 0; i < 4; ++i) expect_ok(s.channel.nack(list[i], {.delay = seconds(delays[i])}));
  ctx.advance(seconds(60));
  EXPECT_EQ(ctx.take(s.channel, 4), (std::vector<int>{2, 4, 3, 1}));
}

void due_retry_wakes_a_waiting_consumer(Context& ctx) {
  Collector<int> got(ctx.patience());
  auto s = ctx.setup<int>({.retry_delay = seconds(5)});
  must(s.topic.pub(1));
  expect_ok(s.channel.nack(ctx.receive(s.channel)));
  const std::jthread waiting([&, stop = ctx.deadline()] {
    const auto message = s.channel.next(stop);
    expect_ok(message);
    if (message) got.add(message->attempts());
  });
  Context::wait_a_moment();
  EXPECT_EQ(got.size(), 0U);
  ctx.advance(seconds(5));
  EXPECT_TRUE(got.wait_for(1));
}

void retry_keeps_the_message_as_published(Context& ctx) {
  auto s = ctx.setup<std::string>({.retry_delay = seconds(5)});
  Message<std::string> original("body");
  original.set_key("key");
  original.set_header("h", "v");
  original.set_timestamp(1'700'000'000);
  original.set_expires_at(ctx.now_s() + 1000);
  must(s.topic.pub_msg(original));
  const auto first = ctx.receive(s.channel);
  expect_ok(s.channel.nack(first));
  ctx.advance(seconds(5));
  const auto second = ctx.receive(s.channel);
  EXPECT_EQ(second.id(), original.id());
  EXPECT_EQ(second.body(), "body");
  EXPECT_EQ(second.key(), "key");
  EXPECT_EQ(second.headers(), (Headers{{"h", "v"}}));
  EXPECT_EQ(second.timestamp(), 1'700'000'000);
  EXPECT_EQ(second.expires_at(), original.expires_at());
  EXPECT_EQ(second.enqueued_at(), first.enqueued_at());
}

void very_long_delays(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub_batch({1, 2}, ctx.in_order({.expires = Duration(0)})));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = std::chrono::hours(24 * 365 * 50)}));
  expect_ok(s.channel.nack(ctx.receive(s.channel), {.delay = std::chrono::hours(24 * 30)}));
  ctx.expect_nothing(s.channel);
  ctx.advance(std::chrono::hours(24 * 30));
  EXPECT_EQ(ctx.take(s.channel, 1), std::vector<int>{2});
  ctx.expect_depth(s.channel, 1);
}

constexpr TestCase kRetryTests[] = {
    {"D8_default_retry_delay_is_one_second", "D8", kTimed, default_delay},
    {"D8_retry_delay_and_explicit_delay", "D8 API_Nack", kTimed, configured_delay},
    {"D8_backoff_grows_up_to_its_limit", "D8", kTimed, backoff_grows},
    {"D8_backoff_survives_many_failures", "D8", kTimed, backoff_survives_many_failures},
    {"D8_jitter_spreads_within_the_delay", "D8", kTimed, jitter_spreads_within_the_delay},
    {"D8_explicit_delay_wins_over_backoff", "D8", kTimed, explicit_delay_wins_over_backoff},
    {"D8_handler_names_the_delay", "D8 API_ProcessRsp", kTimed, handler_names_the_delay},
    {"D8_handler_failure_waits_for_the_retry_delay", "D8 D14", kTimed, handler_failure_waits_for_the_retry_delay},
    {"D8_retry_does_not_block_other_messages", "D8 D1", {}, retry_does_not_block_others},
    {"D8_retry_does_not_block_a_subscription", "D8 D11", {}, retry_does_not_block_a_subscription},
    {"D8_retry_at_once_goes_behind_what_is_ready", "D8", {}, retry_at_once_goes_behind_what_is_ready},
    {"D8_retries_come_in_the_order_of_their_time", "D8", kTimed, retries_come_in_the_order_of_their_time},
    {"D8_due_retry_wakes_a_waiting_consumer", "D8 D21", kTimed, due_retry_wakes_a_waiting_consumer},
    {"D8_retry_keeps_the_message_as_published", "D8 D12", kTimed, retry_keeps_the_message_as_published},
    {"D8_very_long_delays_are_kept", "D8", kTimed, very_long_delays},
};

}  // namespace

std::span<const TestCase> retry_tests() { return kRetryTests; }

}  // namespace lrpc::queue::conformance
