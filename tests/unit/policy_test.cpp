// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/policy.hpp>

#include <gtest/gtest.h>

#include <algorithm>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include <lrpc/queue/envelope.hpp>

namespace lrpc::queue {
namespace {

using namespace std::chrono_literals;
using Action = Decision::Action;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

/// Random values with the edges of their range among them, the same in every run.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(bound));
  }
  bool coin() { return below(2) == 0; }
  double fraction() { return std::ldexp(static_cast<double>(engine_() >> 11), -53); }
  /// Of all magnitudes, sometimes negative.
  std::int64_t any() {
    const auto value = static_cast<std::int64_t>(engine_() >> (1 + below(63)));
    return below(8) == 0 ? -value : below(32) == 0 ? kMax : value;
  }
  int attempts() { return below(16) == 0 ? std::numeric_limits<int>::max() : 1 + static_cast<int>(below(12)); }

  ChannelPolicy policy() {
    constexpr std::array<double, 9> kMultipliers{
        1.0, 1.0, 1.5, 2.0, 10.0, 1e300, 0.5, -3.0, std::numeric_limits<double>::quiet_NaN()};
    return {.max_retries = static_cast<int>(below(8)) - 1,
            .retry_delay = Duration(any()),
            .ttl_cap = coin() ? std::optional(Duration(any())) : std::nullopt,
            .backoff = {.multiplier = kMultipliers[static_cast<std::size_t>(below(kMultipliers.size()))],
                        .max_delay = Duration(any()),
                        .jitter = coin()},
            .dead_letter = coin(),
            .dead_letter_expired = coin()};
  }

 private:
  std::mt19937_64 engine_;
};

EnvelopePtr message(std::int64_t expires_at, std::int64_t enqueued_at_ms = 0) {
  EnvelopePtr result = Envelope::make<std::string>("body");
  result->set_expires_at(expires_at);
  result->set_enqueued_at_ms(enqueued_at_ms);
  return result;
}

// resolve

TEST(Resolve, DefaultsAreTheContracts) {
  const TopicPolicy topic = resolve(Config{}, TopicConfig{});
  EXPECT_EQ(topic.message_ttl, 24h);
  EXPECT_EQ(topic.max_body_size, 1'048'576);
  EXPECT_EQ(topic.max_msg_size, 1'000'000);
  EXPECT_EQ(topic.overflow, Overflow::reject);
  EXPECT_EQ(topic.max_pending_publishes, 100'000);
  const ChannelPolicy channel = resolve(Config{}, TopicConfig{}, ChannelConfig{});
  EXPECT_EQ(channel.max_retries, 5);
  EXPECT_EQ(channel.retry_delay, 1s);
  EXPECT_EQ(channel.ttl_cap, std::nullopt);
  EXPECT_EQ(channel.message_ttl, 24h);
  EXPECT_EQ(channel.max_in_flight, 10);
  EXPECT_EQ(channel.ack_timeout, 30s);
  EXPECT_EQ(channel.backoff.multiplier, 1);
  EXPECT_EQ(channel.backoff.max_delay, 1h);
  EXPECT_FALSE(channel.backoff.jitter);
  EXPECT_EQ(channel.handler_timeout, 0s);
  EXPECT_EQ(channel.close_timeout, 30s);
  EXPECT_FALSE(channel.limit_next);
  EXPECT_TRUE(channel.dead_letter);
  EXPECT_FALSE(channel.dead_letter_expired);
  EXPECT_EQ(channel.dead_letter_limit, 10'000);
}

TEST(Resolve, TopicThenQueue) {
  const Config queue{.message_ttl = 1s,
                     .max_body_size = 1,
                     .max_msg_size = 2,
                     .overflow = Overflow::drop_oldest,
                     .max_pending_publishes = 3};
  const TopicPolicy inherited = resolve(queue, TopicConfig{});
  EXPECT_EQ(inherited.message_ttl, 1s);
  EXPECT_EQ(inherited.max_body_size, 1);
  EXPECT_EQ(inherited.max_msg_size, 2);
  EXPECT_EQ(inherited.overflow, Overflow::drop_oldest);
  EXPECT_EQ(inherited.max_pending_publishes, 3);
  const TopicPolicy own = resolve(queue, TopicConfig{.message_ttl = 0s,
                                                     .max_body_size = 4,
                                                     .max_msg_size = 0,
                                                     .overflow = Overflow::reject,
                                                     .max_pending_publishes = 6});
  EXPECT_EQ(own.message_ttl, 0s);
  EXPECT_EQ(own.max_body_size, 4);
  EXPECT_EQ(own.max_msg_size, 0);
  EXPECT_EQ(own.overflow, Overflow::reject);
  EXPECT_EQ(own.max_pending_publishes, 6);
}

/// Sets every inheritable field of a channel to a value made of `n`.
template <class C>
C numbered(int n) {
  C config;
  config.max_retries = n;
  config.retry_delay = Duration(n);
  config.max_in_flight = n;
  config.ack_timeout = Duration(n);
  config.backoff = Backoff{.multiplier = static_cast<double>(n), .max_delay = Duration(n), .jitter = n % 2 == 0};
  config.handler_timeout = Duration(n);
  config.close_timeout = Duration(n);
  config.limit_next = n % 2 == 0;
  config.dead_letter = n % 2 == 0;
  config.dead_letter_expired = n % 2 == 0;
  config.dead_letter_limit = n;
  return config;
}

void expect_numbered(const ChannelPolicy& policy, int n) {
  EXPECT_EQ(policy.max_retries, n);
  EXPECT_EQ(policy.retry_delay, Duration(n));
  EXPECT_EQ(policy.max_in_flight, n);
  EXPECT_EQ(policy.ack_timeout, Duration(n));
  EXPECT_EQ(policy.backoff.multiplier, n);
  EXPECT_EQ(policy.backoff.max_delay, Duration(n));
  EXPECT_EQ(policy.backoff.jitter, n % 2 == 0);
  EXPECT_EQ(policy.handler_timeout, Duration(n));
  EXPECT_EQ(policy.close_timeout, Duration(n));
  EXPECT_EQ(policy.limit_next, n % 2 == 0);
  EXPECT_EQ(policy.dead_letter, n % 2 == 0);
  EXPECT_EQ(policy.dead_letter_expired, n % 2 == 0);
  EXPECT_EQ(policy.dead_letter_limit, n);
}

TEST(Resolve, ChannelThenTopicThenQueue) {
  const auto queue = numbered<Config>(7);
  const auto topic = numbered<TopicConfig>(8);
  const auto channel = numbered<ChannelConfig>(9);
  expect_numbered(resolve(queue, topic, channel), 9);
  expect_numbered(resolve(queue, topic, ChannelConfig{}), 8);
  expect_numbered(resolve(queue, TopicConfig{}, ChannelConfig{}), 7);
}

TEST(Resolve, OnlyTheChannelsOwnTtlCaps) {
  EXPECT_EQ(resolve({.message_ttl = 1s}, {.message_ttl = 2s}, {}).ttl_cap, std::nullopt);
  EXPECT_EQ(resolve({.message_ttl = 1s}, {.message_ttl = 2s}, {}).message_ttl, 2s);
  const ChannelPolicy own = resolve({.message_ttl = 1s}, {}, {.message_ttl = 3s});
  EXPECT_EQ(own.ttl_cap, Duration(3s));
  EXPECT_EQ(own.message_ttl, 1s);
}

// DeadReason

TEST(DeadReason, TextAndBack) {
  for (const auto& [reason, text] : {std::pair{DeadReason::max_retries, "max_retries"},
                                     {DeadReason::expired, "expired"},
                                     {DeadReason::undecodable, "undecodable"},
                                     {DeadReason::rejected, "rejected"}}) {
    EXPECT_EQ(to_string(reason), text);
    EXPECT_EQ(parse_dead_reason(text), reason);
  }
  for (const std::string_view text : {"", "Expired", "expired ", "unknown", "reject"}) {
    EXPECT_EQ(parse_dead_reason(text), std::nullopt) << text;
  }
  EXPECT_EQ(to_string(static_cast<DeadReason>(9)), "unknown");
}

// retry_delay

TEST(RetryDelay, IsConstantByDefault) {
  for (const int failures : {1, 2, 100, std::numeric_limits<int>::max()}) {
    EXPECT_EQ(retry_delay(ChannelPolicy{}, failures, 0.5), 1s);
    // Nothing grew: max_delay does not apply.
    EXPECT_EQ(retry_delay({.retry_delay = 5h}, failures, 0.5), 5h);
  }
}

TEST(RetryDelay, GrowsUpToMaxDelay) {
  const ChannelPolicy policy{.retry_delay = 1s, .backoff = {.multiplier = 2, .max_delay = 10s}};
  const std::array<Duration, 7> expected{1s, 2s, 4s, 8s, 10s, 10s, 10s};
  for (int failures = 1; failures <= 7; ++failures) {
    EXPECT_EQ(retry_delay(policy, failures, 0.9), expected[static_cast<std::size_t>(failures - 1)]);
  }
  EXPECT_EQ(retry_delay(policy, 0, 0), 1s);
  EXPECT_EQ(retry_delay(policy, -5, 0), 1s);
  EXPECT_EQ(retry_delay({.retry_delay = 10s, .backoff = {.multiplier = 1.1, .max_delay = 1h}}, 2, 0), 11s);
  EXPECT_EQ(retry_delay({.retry_delay = 0s, .backoff = {.multiplier = 1e300}}, std::numeric_limits<int>::max(), 0), 0s);
  EXPECT_EQ(retry_delay({.retry_delay = 1ms, .backoff = {.multiplier = 1e300, .max_delay = Duration::max()}},
                        std::numeric_limits<int>::max(), 0),
            Duration::max());
}

TEST(RetryDelay, JitterIsUniformBetweenZeroAndTheDelay) {
  const ChannelPolicy policy{.retry_delay = 9ms, .backoff = {.jitter = true}};
  Random random(1);
  std::array<int, 10> counts{};
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const Duration delay = retry_delay(policy, 1, random.fraction());
    ASSERT_GE(delay, 0ms);
    ASSERT_LE(delay, 9ms);
    ++counts[static_cast<std::size_t>(delay.count())];
  }
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 10, kDraws / 100);
  EXPECT_EQ(retry_delay(policy, 1, 0.0), 0ms);
  EXPECT_EQ(retry_delay(policy, 1, std::nextafter(1.0, 0.0)), 9ms);
  EXPECT_EQ(retry_delay(policy, 1, -1.0), 0ms);
  EXPECT_EQ(retry_delay(policy, 1, 2.0), 9ms);
  EXPECT_EQ(retry_delay(policy, 1, std::numeric_limits<double>::quiet_NaN()), 0ms);
}

TEST(RetryDelay, NeverNegativeNeverBeyondItsBounds) {
  Random random(2);
  for (int i = 0; i < 200'000; ++i) {
    ChannelPolicy policy = random.policy();
    const int failures = random.attempts();
    const double draw = random.fraction();
    policy.backoff.jitter = false;
    const Duration full = retry_delay(policy, failures, draw);
    ASSERT_GE(full.count(), 0);
    const Duration base = std::max(policy.retry_delay, Duration(0));
    const bool grows = policy.backoff.multiplier > 1;
    ASSERT_LE(full, grows ? std::max(policy.backoff.max_delay, Duration(0)) : base);
    ASSERT_EQ(full, retry_delay(policy, failures, 1 - draw)) << "random without jitter";
    if (failures < std::numeric_limits<int>::max()) {
      ASSERT_GE(retry_delay(policy, failures + 1, draw), full);
    }
    policy.backoff.jitter = true;
    const Duration drawn = retry_delay(policy, failures, draw);
    ASSERT_GE(drawn.count(), 0);
    ASSERT_LE(drawn, full);
  }
}

// decide_failure

TEST(DecideFailure, GivesUpAfterMaxRetriesRedeliveries) {
  const ChannelPolicy policy{.max_retries = 2};
  EXPECT_EQ(decide_failure(policy, 1, {}, 0), (Decision{.action = Action::retry, .delay = 1s}));
  EXPECT_EQ(decide_failure(policy, 2, {}, 0), (Decision{.action = Action::retry, .delay = 1s}));
  EXPECT_EQ(decide_failure(policy, 3, {}, 0),
            (Decision{.action = Action::dead_letter, .reason = DeadReason::max_retries}));
  EXPECT_EQ(decide_failure({.max_retries = 0}, 1, {}, 0).action, Action::dead_letter);
  EXPECT_EQ(decide_failure({.max_retries = -1}, std::numeric_limits<int>::max(), {}, 0).action, Action::retry);
  EXPECT_EQ(decide_failure({.max_retries = 0, .dead_letter = false}, 1, {}, 0),
            (Decision{.action = Action::drop, .reason = DeadReason::max_retries}));
}

TEST(DecideFailure, WhatTheFailureAsksFor) {
  const ChannelPolicy policy{.max_retries = 0};
  EXPECT_EQ(decide_failure(policy, 9, {.skip_attempts = true}, 0), (Decision{.action = Action::retry, .delay = 1s}));
  EXPECT_EQ(decide_failure({}, 1, {.delay = Duration(0)}, 0), (Decision{.action = Action::retry, .delay = 0s}));
  EXPECT_EQ(decide_failure({}, 1, {.delay = 5h}, 0), (Decision{.action = Action::retry, .delay = 5h}));
  EXPECT_EQ(decide_failure({}, 1, {.delay = -5h}, 0), (Decision{.action = Action::retry, .delay = 0s}));
  EXPECT_EQ(decide_failure(policy, 1, {.delay = 5h}, 0).action, Action::dead_letter);
  EXPECT_EQ(decide_failure({.max_retries = -1}, 1, {.skip_attempts = true, .reject = true}, 0),
            (Decision{.action = Action::dead_letter, .reason = DeadReason::rejected}));
  EXPECT_EQ(decide_failure({.dead_letter = false}, 1, {.reject = true}, 0),
            (Decision{.action = Action::drop, .reason = DeadReason::rejected}));
}

TEST(DecideFailure, UsesTheBackoffOfTheFailuresSoFar) {
  const ChannelPolicy policy{.max_retries = -1, .retry_delay = 1s, .backoff = {.multiplier = 3}};
  EXPECT_EQ(decide_failure(policy, 1, {}, 0).delay, 1s);
  EXPECT_EQ(decide_failure(policy, 3, {}, 0).delay, 9s);
}

TEST(DecideFailure, HoldsForAllInputs) {
  Random random(3);
  for (int i = 0; i < 200'000; ++i) {
    const ChannelPolicy policy = random.policy();
    const Failure failure{.delay = random.coin() ? std::optional(Duration(random.any())) : std::nullopt,
                          .skip_attempts = random.coin(),
                          .reject = random.below(4) == 0};
    const int attempts = random.attempts();
    const double draw = random.fraction();
    const Decision decision = decide_failure(policy, attempts, failure, draw);
    const bool exhausted = policy.max_retries != -1 && attempts - 1 >= policy.max_retries;
    if (failure.reject || (exhausted && !failure.skip_attempts)) {
      ASSERT_EQ(decision.action, policy.dead_letter ? Action::dead_letter : Action::drop);
      ASSERT_EQ(decision.reason, failure.reject ? DeadReason::rejected : DeadReason::max_retries);
    } else {
      ASSERT_EQ(decision.action, Action::retry);
      ASSERT_GE(decision.delay.count(), 0);
      ASSERT_EQ(decision.delay, failure.delay ? std::clamp(*failure.delay, Duration(0), kLongest)
                                              : retry_delay(policy, attempts, draw));
    }
  }
}

// decide_delivery

TEST(DecideDelivery, ExpiryGoesFirst) {
  const ChannelPolicy policy{.max_retries = 0, .dead_letter_expired = true};
  const EnvelopePtr expiring = message(100);
  EXPECT_EQ(decide_delivery(policy, *expiring, 1, false, 99), Decision{});
  EXPECT_EQ(decide_delivery(policy, *expiring, 9, true, 100),
            (Decision{.action = Action::dead_letter, .reason = DeadReason::expired}));
  EXPECT_EQ(decide_delivery({}, *expiring, 1, false, 100),
            (Decision{.action = Action::drop, .reason = DeadReason::expired}));
  EXPECT_EQ(decide_delivery({.dead_letter = false, .dead_letter_expired = true}, *expiring, 1, false, 100).action,
            Action::drop);
}

TEST(DecideDelivery, OnlyAnExpiredLeaseIsCheckedAgainstMaxRetries) {
  const ChannelPolicy policy{.max_retries = 2};
  const EnvelopePtr lasting = message(0);
  EXPECT_EQ(decide_delivery(policy, *lasting, 3, true, 0).action, Action::deliver);
  EXPECT_EQ(decide_delivery(policy, *lasting, 4, true, 0),
            (Decision{.action = Action::dead_letter, .reason = DeadReason::max_retries}));
  // A crash raised the number (D6): one more chance.
  EXPECT_EQ(decide_delivery(policy, *lasting, 4, false, 0).action, Action::deliver);
  EXPECT_EQ(decide_delivery({.max_retries = 2, .dead_letter = false}, *lasting, 4, true, 0),
            (Decision{.action = Action::drop, .reason = DeadReason::max_retries}));
  EXPECT_EQ(decide_delivery({.max_retries = -1}, *lasting, std::numeric_limits<int>::max(), true, 0).action,
            Action::deliver);
  EXPECT_EQ(decide_delivery(policy, *lasting, std::numeric_limits<int>::min(), true, 0).action, Action::deliver);
}

TEST(DecideDelivery, AgreesWithDecideFailureOnHowOftenAMessageIsDelivered) {
  // Failing by nack or by lease makes no difference: 1 + max_retries deliveries.
  const EnvelopePtr lasting = message(0);
  for (int max_retries = 0; max_retries < 20; ++max_retries) {
    const ChannelPolicy policy{.max_retries = max_retries};
    int by_nack = 1;
    while (decide_failure(policy, by_nack, {}, 0).action == Action::retry) ++by_nack;
    int by_lease = 1;
    while (decide_delivery(policy, *lasting, by_lease + 1, true, 0).action == Action::deliver) ++by_lease;
    EXPECT_EQ(by_nack, 1 + max_retries);
    EXPECT_EQ(by_lease, 1 + max_retries);
  }
}

TEST(DecideDelivery, HoldsForAllInputs) {
  Random random(4);
  for (int i = 0; i < 100'000; ++i) {
    const ChannelPolicy policy = random.policy();
    const EnvelopePtr given = message(random.coin() ? random.below(2000) : random.any(), random.any());
    const int attempts = random.attempts();
    const bool lease_expired = random.coin();
    const std::int64_t now = random.below(2000);
    const Decision decision = decide_delivery(policy, *given, attempts, lease_expired, now);
    const std::int64_t expiry = expiry_in_channel(*given, policy.ttl_cap);
    if (expiry != 0 && now >= expiry) {
      ASSERT_EQ(decision.action, policy.dead_letter && policy.dead_letter_expired ? Action::dead_letter : Action::drop);
      ASSERT_EQ(decision.reason, DeadReason::expired);
    } else if (lease_expired && policy.max_retries != -1 && attempts - 1 > policy.max_retries) {
      ASSERT_EQ(decision.action, policy.dead_letter ? Action::dead_letter : Action::drop);
      ASSERT_EQ(decision.reason, DeadReason::max_retries);
    } else {
      ASSERT_EQ(decision, Decision{});
    }
  }
}

// expiry

TEST(ExpiryAfter, IsAWholeSecondRoundedUp) {
  EXPECT_EQ(expiry_after(5000, 0s), 0);
  EXPECT_EQ(expiry_after(5000, -1s), 0);
  EXPECT_EQ(expiry_after(5000, 1s), 6);
  EXPECT_EQ(expiry_after(5000, 1ms), 6);
  EXPECT_EQ(expiry_after(5001, 999ms), 6);
  EXPECT_EQ(expiry_after(5001, 1s), 7);
  EXPECT_EQ(expiry_after(-5500, 1s), -4);
  EXPECT_EQ(expiry_after(-1000, 1s), 1) << "0 would mean never";
  EXPECT_EQ(expiry_after(kMax, Duration::max()), kMax / 1000 + 1);
}

TEST(ExpiryAfter, IsNeverEarlyAndLessThanASecondLate) {
  Random random(5);
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t from = random.below(4'000'000'000'000);
    const std::int64_t ttl = 1 + random.below(1'000'000'000'000);
    const std::int64_t late = expiry_after(from, Duration(ttl)) * 1000 - (from + ttl);
    ASSERT_GE(late, 0);
    ASSERT_LT(late, 1000);
    ASSERT_NE(expiry_after(random.any(), Duration(std::max<std::int64_t>(random.any(), 1))), 0);
  }
}

TEST(ExpiryInChannel, TheEarlierOfOwnAndCap) {
  EXPECT_EQ(expiry_in_channel(*message(100, 50'000), std::nullopt), 100);
  EXPECT_EQ(expiry_in_channel(*message(100, 50'000), Duration(0)), 100);
  EXPECT_EQ(expiry_in_channel(*message(100, 50'000), 10s), 60);
  EXPECT_EQ(expiry_in_channel(*message(100, 50'001), 10s), 61);
  EXPECT_EQ(expiry_in_channel(*message(100, 50'000), 50s), 100);
  EXPECT_EQ(expiry_in_channel(*message(100, 50'000), Duration::max()), 100);
  EXPECT_EQ(expiry_in_channel(*message(0, 50'000), 10s), 0) << "never";
}

TEST(ExpiryInChannel, HoldsForAllInputs) {
  Random random(6);
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t own = random.below(8) == 0 ? 0 : random.any();
    const std::int64_t enqueued = random.any();
    const Duration cap(random.any());
    const EnvelopePtr given = message(own, enqueued);
    const std::int64_t expiry = expiry_in_channel(*given, cap);
    ASSERT_EQ(expiry == 0, own == 0);
    ASSERT_LE(expiry, own);
    if (own != 0 && cap.count() > 0) {
      ASSERT_EQ(expiry, std::min(own, expiry_after(enqueued, cap)));
    }
    ASSERT_EQ(expiry_in_channel(*given, std::nullopt), own);
  }
}

}  // namespace
}  // namespace lrpc::queue
