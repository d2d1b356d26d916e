// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/policy.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace lrpc::queue {
namespace {

constexpr std::array<std::string_view, 4> kDeadReasons{"max_retries", "expired", "undecodable", "rejected"};

/// The first that is set, else `fallback`.
template <class T, class... Rest>
T first_set(const std::optional<T>& first, const Rest&... rest) {
  if (first) return *first;
  if constexpr (sizeof...(Rest) == 1) {
    return (rest, ...);
  } else {
    return first_set(rest...);
  }
}

/// `ms` plus `by`, stopping at the ends of the range.
constexpr std::int64_t saturated_add(std::int64_t ms, std::int64_t by) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(ms, by, &sum)) return sum;
  return by > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

/// Rounds towards plus infinity.
constexpr std::int64_t ceil_seconds(std::int64_t ms) noexcept { return ms / 1000 + (ms % 1000 > 0 ? 1 : 0); }

Duration bounded(Duration d) noexcept { return std::min(d, kLongest); }

std::optional<Duration> bounded(std::optional<Duration> d) noexcept { return d ? std::optional(bounded(*d)) : d; }

Backoff bounded(Backoff backoff) noexcept {
  backoff.max_delay = bounded(backoff.max_delay);
  return backoff;
}

Decision give_up(DeadReason reason, bool keep) noexcept {
  return {.action = keep ? Decision::Action::dead_letter : Decision::Action::drop, .reason = reason};
}

}  // namespace

TopicPolicy resolve(const Config& queue, const TopicConfig& topic) {
  const TopicPolicy defaults;
  return {.message_ttl = bounded(first_set(topic.message_ttl, queue.message_ttl, defaults.message_ttl)),
          .max_body_size = first_set(topic.max_body_size, queue.max_body_size, defaults.max_body_size),
          .max_msg_size = first_set(topic.max_msg_size, queue.max_msg_size, defaults.max_msg_size),
          .overflow = first_set(topic.overflow, queue.overflow, defaults.overflow),
          .max_pending_publishes =
              first_set(topic.max_pending_publishes, queue.max_pending_publishes, defaults.max_pending_publishes)};
}

ChannelPolicy resolve(const Config& queue, const TopicConfig& topic, const ChannelConfig& channel) {
  const ChannelPolicy defaults;
  return {.max_retries = first_set(channel.max_retries, topic.max_retries, queue.max_retries, defaults.max_retries),
          .retry_delay =
              bounded(first_set(channel.retry_delay, topic.retry_delay, queue.retry_delay, defaults.retry_delay)),
          .ttl_cap = bounded(channel.message_ttl),
          .message_ttl = bounded(first_set(topic.message_ttl, queue.message_ttl, defaults.message_ttl)),
          .max_in_flight =
              first_set(channel.max_in_flight, topic.max_in_flight, queue.max_in_flight, defaults.max_in_flight),
          .ack_timeout =
              bounded(first_set(channel.ack_timeout, topic.ack_timeout, queue.ack_timeout, defaults.ack_timeout)),
          .backoff = bounded(first_set(channel.backoff, topic.backoff, queue.backoff, defaults.backoff)),
          .handler_timeout = bounded(first_set(channel.handler_timeout, topic.handler_timeout, queue.handler_timeout,
                                               defaults.handler_timeout)),
          .close_timeout = bounded(
              first_set(channel.close_timeout, topic.close_timeout, queue.close_timeout, defaults.close_timeout)),
          .limit_next = first_set(channel.limit_next, topic.limit_next, queue.limit_next, defaults.limit_next),
          .dead_letter = first_set(channel.dead_letter, topic.dead_letter, queue.dead_letter, defaults.dead_letter),
          .dead_letter_expired = first_set(channel.dead_letter_expired, topic.dead_letter_expired,
                                           queue.dead_letter_expired, defaults.dead_letter_expired),
          .dead_letter_limit = first_set(channel.dead_letter_limit, topic.dead_letter_limit, queue.dead_letter_limit,
                                         defaults.dead_letter_limit)};
}

std::string_view to_string(DeadReason reason) noexcept {
  const auto index = static_cast<std::size_t>(reason);
  return index < kDeadReasons.size() ? kDeadReasons[index] : "unknown";
}

std::optional<DeadReason> parse_dead_reason(std::string_view text) noexcept {
  const auto* const found = std::ranges::find(kDeadReasons, text);
  if (found == kDeadReasons.end()) return std::nullopt;
  return static_cast<DeadReason>(found - kDeadReasons.begin());
}

Duration retry_delay(const ChannelPolicy& policy, int failures, double random) noexcept {
  const std::int64_t base = std::max<std::int64_t>(policy.retry_delay.count(), 0);
  std::int64_t delay = base;
  // A multiplier of 1 means constant: the default max_delay must not cut a longer retry_delay then.
  if (base > 0 && policy.backoff.multiplier > 1) {
    const std::int64_t limit = std::max<std::int64_t>(policy.backoff.max_delay.count(), 0);
    const double grown = static_cast<double>(base) * std::pow(policy.backoff.multiplier, std::max(failures, 1) - 1);
    // Beneath the limit as a double it fits an integer, and is one where doubles are that coarse.
    delay = grown < static_cast<double>(limit) ? std::min<std::int64_t>(std::llround(grown), limit) : limit;
  }
  if (policy.backoff.jitter) {
    // One of delay + 1 values, each as likely as the others.
    const double fraction = random >= 0 ? random : 0;
    const double drawn = fraction * (static_cast<double>(delay) + 1);
    if (drawn < static_cast<double>(delay)) delay = static_cast<std::int64_t>(drawn);
  }
  return Duration(delay);
}

Decision decide_failure(const ChannelPolicy& policy, int attempts, const Failure& failure, double random) noexcept {
  if (failure.reject) return give_up(DeadReason::rejected, policy.dead_letter);
  const bool limited = policy.max_retries >= 0 && !failure.skip_attempts;
  if (limited && attempts > policy.max_retries) return give_up(DeadReason::max_retries, policy.dead_letter);
  const Duration delay =
      failure.delay ? std::clamp(*failure.delay, Duration(0), kLongest) : retry_delay(policy, attempts, random);
  return {.action = Decision::Action::retry, .delay = delay};
}

Decision decide_delivery(const ChannelPolicy& policy, const Envelope& message, int attempts, bool lease_expired,
                         std::int64_t now_wall_s) noexcept {
  if (surely_delivered(policy, message, lease_expired, now_wall_s)) return {};
  const std::int64_t expiry = expiry_in_channel(message, policy.ttl_cap);
  if (expiry != 0 && now_wall_s >= expiry) {
    return give_up(DeadReason::expired, policy.dead_letter && policy.dead_letter_expired);
  }
  // attempts - 1 redeliveries, this one included, without the overflow of "attempts - 1".
  if (lease_expired && policy.max_retries >= 0 && attempts > 0 && attempts - 1 > policy.max_retries) {
    return give_up(DeadReason::max_retries, policy.dead_letter);
  }
  return {};
}

std::int64_t expiry_in_channel(const Envelope& message, std::optional<Duration> ttl_cap) noexcept {
  const std::int64_t own = message.expires_at();
  if (own == 0 || !ttl_cap || ttl_cap->count() <= 0) return own;
  return std::min(own, expiry_after(message.enqueued_at_ms(), *ttl_cap));
}

std::int64_t expiry_after(std::int64_t from_wall_ms, Duration ttl) noexcept {
  if (ttl.count() <= 0) return 0;
  const std::int64_t second = ceil_seconds(saturated_add(from_wall_ms, ttl.count()));
  // The very second 1970-01-01T00:00:00 cannot be told from "never".
  return second == 0 ? 1 : second;
}

}  // namespace lrpc::queue
