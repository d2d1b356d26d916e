// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/envelope.hpp>
#include <lrpc/queue/types.hpp>

/// \file
/// Every decision on a message's fate - retry, backoff, dead letter, expiry - as pure functions without I/O, clock or
/// random source of their own. The engine uses them for all back ends; no back end decides such a thing itself.

namespace lrpc::queue {

/// Longer durations are legal and mean this one, 100 years: sums with any present time cannot overflow.
inline constexpr Duration kLongest = std::chrono::hours(24) * 36525;

/// Settings of a topic after inheritance.
struct TopicPolicy {
  Duration message_ttl = std::chrono::hours(24);
  std::int64_t max_body_size = 1 << 20;
  std::int64_t max_msg_size = 1'000'000;
  Overflow overflow = Overflow::reject;
  std::int64_t max_pending_publishes = 100'000;
};

/// Settings of a channel after inheritance.
struct ChannelPolicy {
  int max_retries = 5;
  Duration retry_delay = std::chrono::seconds(1);
  std::optional<Duration> ttl_cap{};  ///< message_ttl of the ChannelConfig itself, never an inherited one (D12).
  Duration message_ttl = std::chrono::hours(24);  ///< The topic's, for requeued dead letters (D18).
  int max_in_flight = 10;
  Duration ack_timeout = std::chrono::seconds(30);
  Backoff backoff{};
  Duration handler_timeout{0};
  Duration close_timeout = std::chrono::seconds(30);
  bool limit_next = false;
  bool dead_letter = true;
  bool dead_letter_expired = false;
  std::int64_t dead_letter_limit = 10'000;

  friend bool operator==(const ChannelPolicy&, const ChannelPolicy&) = default;
};

/// Applies inheritance: topic, then queue, then default.
[[nodiscard]] TopicPolicy resolve(const Config& queue, const TopicConfig& topic);
/// Applies inheritance: channel, then topic, then queue, then default.
[[nodiscard]] ChannelPolicy resolve(const Config& queue, const TopicConfig& topic, const ChannelConfig& channel);

/// Why a message became a dead letter (D18).
enum class DeadReason : std::uint8_t { max_retries, expired, undecodable, rejected };
/// "max_retries", "expired", "undecodable", "rejected".
[[nodiscard]] std::string_view to_string(DeadReason reason) noexcept;
/// The inverse; empty for any other text.
[[nodiscard]] std::optional<DeadReason> parse_dead_reason(std::string_view text) noexcept;

/// How a delivery failed and what was asked for.
struct Failure {
  std::optional<Duration> delay{};  ///< An explicit delay overrides retry_delay and backoff.
  bool skip_attempts = false;       ///< The failed delivery does not count.
  bool reject = false;              ///< Give up now.
};

/// What becomes of a message.
struct Decision {
  enum class Action : std::uint8_t { deliver, retry, dead_letter, drop };
  Action action = Action::deliver;
  Duration delay{0};                            ///< For retry.
  DeadReason reason = DeadReason::max_retries;  ///< For dead_letter and drop.

  friend bool operator==(const Decision&, const Decision&) = default;
};

/// The wait before the next delivery after `failures` failed ones (at least 1) (D8). `random` is uniform in [0, 1),
/// used only with jitter. Never negative, never overflows.
[[nodiscard]] Duration retry_delay(const ChannelPolicy& policy, int failures, double random) noexcept;

/// Decides after delivery number `attempts` failed (D7, D8, D18).
[[nodiscard]] Decision decide_failure(const ChannelPolicy& policy, int attempts, const Failure& failure,
                                      double random) noexcept;

/// Decides whether a message that a back end hands out may be delivered as number `attempts`: expiry (D12), and
/// max_retries where the previous delivery ended by an expired lease of a live consumer (D7, D9).
[[nodiscard]] Decision decide_delivery(const ChannelPolicy& policy, const Envelope& message, int attempts,
                                       bool lease_expired, std::int64_t now_wall_s) noexcept;

/// Whether decide_delivery says `deliver` without a closer look, as it does for nearly every message.
[[nodiscard]] inline bool surely_delivered(const ChannelPolicy& policy, const Envelope& message, bool lease_expired,
                                           std::int64_t now_wall_s) noexcept {
  return !lease_expired && !policy.ttl_cap && (message.expires_at() == 0 || now_wall_s < message.expires_at());
}

/// The unix second at which the message expires in a channel with this cap; 0 = never (D12).
[[nodiscard]] std::int64_t expiry_in_channel(const Envelope& message, std::optional<Duration> ttl_cap) noexcept;

/// The whole unix second, rounded up, that lies `ttl` after `from_wall_ms`; 0 (never) when ttl is 0 (D12).
[[nodiscard]] std::int64_t expiry_after(std::int64_t from_wall_ms, Duration ttl) noexcept;

}  // namespace lrpc::queue
