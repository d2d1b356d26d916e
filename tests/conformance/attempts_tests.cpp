// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <stdexcept>
#include <vector>

#include "context.hpp"
#include "registry.hpp"

/// How often a message is delivered, and how it counts (D6, D7).

namespace lrpc::queue::conformance {
namespace {

constexpr std::chrono::seconds kLease(10);
const NackOptions kNow{.delay = Duration(0)};

void attempts_grow_by_every_cause(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 10, .ack_timeout = kLease});
  must(s.topic.pub(1));
  const auto first = ctx.receive(s.channel);
  EXPECT_EQ(first.attempts(), 1);
  expect_ok(s.channel.nack(first, kNow));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
  ctx.advance(kLease);  // an expired lease
  const auto third = ctx.receive(s.channel);
  EXPECT_EQ(third.attempts(), 3);
  expect_ok(s.channel.close());  // given back by close, as next handed it out
  auto channel = must(s.topic.get_or_add_channel("work", {.max_retries = 10}));
  const auto fourth = ctx.receive(channel);
  EXPECT_EQ(fourth.attempts(), 4);
  expect_ok(channel.ack(fourth));
}

void attempts_grow_by_handler_failures(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.max_retries = 10, .retry_delay = Duration(0)});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) -> Result<ProcessRsp> {
    attempts.add(m.attempts());
    switch (m.attempts()) {
      case 1:
        return ProcessRsp{.retry = true};
      case 2:
        return fail(ErrorCode::backend, "failed");
      case 3:
        throw std::runtime_error("thrown");
      case 4:
        return ProcessRsp{.retry_after = Duration(0)};
      default:
        return ProcessRsp{};
    }
  }));
  EXPECT_TRUE(attempts.wait_for(5));
  EXPECT_EQ(attempts.items(), (std::vector<int>{1, 2, 3, 4, 5}));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
}

void nack_can_skip_the_count(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1});
  must(s.topic.pub(1));
  for (int i = 0; i < 5; ++i) {
    const auto message = ctx.receive(s.channel);
    EXPECT_EQ(message.attempts(), 1);
    expect_ok(s.channel.nack(message, {.delay = Duration(0), .skip_attempts = true}));
  }
  const auto counted = ctx.receive(s.channel);
  EXPECT_EQ(counted.attempts(), 1);
  expect_ok(s.channel.nack(counted, kNow));
  const auto last = ctx.receive(s.channel);
  EXPECT_EQ(last.attempts(), 2);
  // A skipped failure at the limit does not use up anything either.
  expect_ok(s.channel.nack(last, {.delay = Duration(0), .skip_attempts = true}));
  const auto still = ctx.receive(s.channel);
  EXPECT_EQ(still.attempts(), 2);
  expect_ok(s.channel.ack(still));
}

void nack_by_id_and_span_can_skip(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  const NackOptions skip{.delay = Duration(0), .skip_attempts = true};
  expect_ok(s.channel.nack(ctx.receive(s.channel).id(), skip));
  expect_ok(s.channel.nack(ctx.batch(s.channel, 1), skip));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 1);
}

void handler_can_skip_the_count(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.max_retries = 0, .retry_delay = Duration(0)});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    attempts.add(m.attempts());
    return ProcessRsp{.retry = attempts.size() < 4, .skip_attempts = true};
  }));
  EXPECT_TRUE(attempts.wait_for(4));
  EXPECT_TRUE(ctx.eventually([&] { return s.channel.depth() == 0; }));
  EXPECT_EQ(attempts.items(), (std::vector<int>{1, 1, 1, 1}));
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
}

void max_retries_then_dead_letter(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 2});
  must(s.topic.pub(1));
  for (int attempt = 1; attempt <= 3; ++attempt) {
    const auto message = ctx.receive(s.channel);
    EXPECT_EQ(message.attempts(), attempt);
    EXPECT_EQ(must(s.channel.stats()).dead, 0);
    expect_ok(s.channel.nack(message, kNow));
  }
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].reason, "max_retries");
  EXPECT_EQ(page.items[0].attempts, 3);
}

void default_is_five_retries(Context& ctx) {
  auto s = ctx.setup<int>();
  must(s.topic.pub(1));
  for (int attempt = 1; attempt <= 6; ++attempt) expect_ok(s.channel.nack(ctx.receive(s.channel), kNow));
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
}

void zero_means_no_retry(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 0});
  must(s.topic.pub_batch({1, 2}));
  expect_ok(s.channel.nack(ctx.receive(s.channel).id(), kNow));
  expect_ok(s.channel.nack(ctx.batch(s.channel, 1), kNow));
  ctx.expect_nothing(s.channel);
  EXPECT_EQ(must(s.channel.dead_letters()).items.size(), 2U);
}

void minus_one_means_unlimited(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = -1});
  must(s.topic.pub(1));
  for (int attempt = 1; attempt <= 200; ++attempt) {
    const auto message = ctx.receive(s.channel);
    ASSERT_EQ(message.attempts(), attempt);
    must(s.channel.nack(message, kNow));
  }
  EXPECT_EQ(must(s.channel.stats()).dead, 0);
  ctx.expect_depth(s.channel, 1);
}

void handler_retries_are_bounded(Context& ctx) {
  Collector<int> attempts(ctx.patience());
  auto s = ctx.setup<int>({.max_retries = 3, .retry_delay = Duration(0)});
  must(s.topic.pub(1));
  must(s.channel.subscribe([&](Message<int>& m) {
    attempts.add(m.attempts());
    return ProcessRsp{.retry = true};
  }));
  EXPECT_TRUE(ctx.eventually([&] { return must(s.channel.stats()).dead == 1; }));
  EXPECT_EQ(attempts.items(), (std::vector<int>{1, 2, 3, 4}));
  ctx.expect_depth(s.channel, 0);
  EXPECT_EQ(must(s.channel.dead_letters()).items.at(0).attempts, 4);
}

void expired_leases_count_towards_the_limit(Context& ctx) {
  auto s = ctx.setup<int>({.max_retries = 1, .ack_timeout = kLease});
  must(s.topic.pub(1));
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 1);
  ctx.advance(kLease);
  EXPECT_EQ(ctx.receive(s.channel).attempts(), 2);
  ctx.advance(kLease);
  ctx.expect_nothing(s.channel);
  ctx.expect_depth(s.channel, 0);
  const auto page = must(s.channel.dead_letters());
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].reason, "max_retries");
  EXPECT_EQ(page.items[0].attempts, 2);
}

void limit_is_inherited(Context& ctx) {
  auto s = ctx.setup<int>({}, {.max_retries = 0}, {.max_retries = 4});
  auto own = must(s.topic.get_or_add_channel("own", {.max_retries = 1}));
  auto other_topic = must(s.queue.topic<int>("other"));
  auto from_queue = must(other_topic.get_or_add_channel("work"));
  must(s.topic.pub(1));
  must(other_topic.pub(1));
  const auto deliveries = [&](Channel<int>& channel) {
    int count = 0;
    while (auto message = channel.try_next(Duration(0))) {
      ++count;
      must(channel.nack(*message, kNow));
    }
    return count;
  };
  EXPECT_EQ(deliveries(s.channel), 1);
  EXPECT_EQ(deliveries(own), 2);
  EXPECT_EQ(deliveries(from_queue), 5);
}

constexpr TestCase kAttemptsTests[] = {
    {"D6_attempts_grow_by_nack_lease_loss_and_close",
     "D6 D9 D20",
     {Capability::manual_clock, Capability::lease_expiry},
     attempts_grow_by_every_cause},
    {"D6_attempts_grow_by_handler_failures", "D6 D14", {}, attempts_grow_by_handler_failures},
    {"D6_nack_with_skip_attempts_shows_the_same_number", "D6 D7", {}, nack_can_skip_the_count},
    {"D6_skip_attempts_by_id_and_span", "D6", {}, nack_by_id_and_span_can_skip},
    {"D6_handler_with_skip_attempts_shows_the_same_number", "D6 D7", {}, handler_can_skip_the_count},
    {"D7_max_retries_then_dead_letter", "D7 D18", {Capability::dead_letters}, max_retries_then_dead_letter},
    {"D7_default_is_five_retries", "D7", {}, default_is_five_retries},
    {"D7_zero_means_no_retry", "D7 D18", {Capability::dead_letters}, zero_means_no_retry},
    {"D7_minus_one_means_unlimited", "D7", {}, minus_one_means_unlimited},
    {"D7_handler_retries_are_bounded", "D7 D14 D18", {Capability::dead_letters}, handler_retries_are_bounded},
    {"D7_expired_leases_count_towards_max_retries",
     "D7 D9",
     {Capability::manual_clock, Capability::lease_expiry, Capability::dead_letters},
     expired_leases_count_towards_the_limit},
    {"D7_limit_is_inherited_channel_topic_queue", "D7", {}, limit_is_inherited},
};

}  // namespace

std::span<const TestCase> attempts_tests() { return kAttemptsTests; }

}  // namespace lrpc::queue::conformance
