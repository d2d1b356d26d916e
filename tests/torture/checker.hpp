// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "history.hpp"

namespace lrpc::queue::torture {

/// A channel as the round used it.
struct ChannelRules {
  std::string name{};
  /// Consumed by subscriptions: the messages of a key one after the other (D5, D8). Otherwise each consumer takes one
  /// after the other by `next`, and their numbers tell in which order they were handed out.
  bool subscribed = true;
  bool expired_become_dead = false;
};

/// What the round promised.
struct Rules {
  std::vector<ChannelRules> channels{};
  int max_retries = 5;
  /// Every delivery is counted, also by the crash of its consumer, and a lost lease ends the right to ack (D6, D10).
  /// Kafka may leave the deliveries of the last commit interval uncounted.
  bool attempts_exact = true;
  /// The order of a publisher is that of its partition: only of messages that have the same key.
  bool order_by_key = false;
  std::int64_t early_tolerance_ms = 2;
  /// Between the look at the clock and the handler's first line.
  std::int64_t late_tolerance_ms = 1'000;
  /// How far the clock that dates dead letters, the server's, may be from that of the consumers, by which they expire.
  std::int64_t clocks_apart_ms = 0;
  /// Each process has a wall clock of its own, at most so far from the machine's. What it finds due or expired, and the
  /// date of a dead letter, are by that alone, so that they are exact but about a jump of it. 0 = all have the same.
  std::int64_t own_clocks_ms = 0;
  /// A consumer that takes by `next` and keeps a message longer than this loses it, and knows why.
  std::int64_t lease_ms = 30'000;
  /// From a handler's end until its ack is stored, where nothing disturbs it.
  std::int64_t settle_ms = 1'000;
};

/// A promise that was broken.
struct Finding {
  std::string check{};  ///< One of check_names().
  std::string text{};
};

struct Verdict {
  // Messages.
  std::int64_t attempted = 0;
  std::int64_t accepted = 0;
  std::int64_t refused = 0;
  std::int64_t unknown = 0;
  std::int64_t recovered = 0;  ///< Of the unknown ones, those that arrived.
  // Messages times channels.
  std::int64_t handled = 0;
  std::int64_t dead = 0;
  std::int64_t expired = 0;
  std::int64_t lost = 0;          ///< Accepted and never handled, given up or expired.
  std::int64_t lost_allowed = 0;  ///< Likewise, but the server was set up to forget that much.
  std::int64_t unexpected = 0;    ///< Delivered, but never published, or certainly refused.
  // Deliveries.
  std::int64_t deliveries = 0;
  std::int64_t asked_again = 0;         ///< Sent back by their consumers.
  std::int64_t duplicated = 0;          ///< Not asked for; explained by a fault of the time.
  std::int64_t not_settled = 0;         ///< Of these, by nothing but a settlement that was answered with an error.
  std::int64_t unexplained = 0;         ///< Not asked for, and no fault explains it.
  std::int64_t failed_settlements = 0;  ///< Answered with an error, but for those that were not in flight any more.

  std::vector<Finding> findings{};  ///< The first of each check, at most kMostFindings; `broken` counts them all.
  std::int64_t broken = 0;

  [[nodiscard]] bool ok() const noexcept { return broken == 0; }
  /// Whether this check failed.
  [[nodiscard]] bool failed(std::string_view check) const;
  /// Adds another round's figures.
  void add(const Verdict& other);
};

inline constexpr std::size_t kMostFindings = 20;

/// In the terms of Jepsen's total-queue (lost, unexpected, duplicated, recovered) and kafka (order, what was seen of a
/// write whose outcome is unknown) workloads:
///   lost             accepted, but neither handled nor dead nor expired; or of unknown outcome, and not in all
///   channels unexpected       delivered without having been published, or although the publish was refused unexplained
///   handed out again though nobody asked for it and no fault of the time explains it attempts         attempts()
///   smaller than the deliveries that were seen cap              retried beyond max_retries foreign_ack      an ack
///   succeeded after the lease was lost and the message handed out again key_order        messages of a key at once,
///   out of order, or past one that waits for its retry publisher_order  messages of a publisher handed out in another
///   order, with no fault to explain it early            delivered before it was due late             delivered after
///   it had expired dead_letter      a dead letter without its body or error, or with the wrong reason depth something
///   left at the end
[[nodiscard]] Verdict check(const History& history, const Rules& rules);

}  // namespace lrpc::queue::torture
