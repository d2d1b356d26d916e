// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checker.hpp"

/// \file
/// What the checks share: a history by message and channel, and what its faults explain.

namespace lrpc::queue::torture {

/// What became of a message in a channel.
struct Copy {
  std::string channel{};
  std::string token{};
  std::vector<const Delivered*> deliveries{};  ///< By attempts, then time; where those are not exact, by time.
  std::vector<const DeadLetterSeen*> dead{};
};

class Index {
 public:
  Index(const History& history, const Rules& rules);

  [[nodiscard]] const History& history() const noexcept { return history_; }
  [[nodiscard]] const Rules& rules() const noexcept { return rules_; }
  [[nodiscard]] const Intent* intent(const std::string& token) const;
  [[nodiscard]] const Copy* copy(const std::string& channel, const std::string& token) const;
  [[nodiscard]] std::vector<const Copy*> copies(const std::string& channel) const;
  /// In any channel.
  [[nodiscard]] bool seen(const std::string& token) const;
  [[nodiscard]] std::int64_t last_wall_ms() const noexcept { return last_wall_ms_; }

  /// Whether a fault explains that this delivery, not sent back by its consumer, was not the last one: either of these.
  [[nodiscard]] bool explains_redelivery(const Delivered& d, std::int64_t next_begin_us) const;
  /// A fault while it was there, or before its settlement can have been stored.
  [[nodiscard]] bool explains_disturbance(const Delivered& d, std::int64_t next_begin_us) const;
  /// A fault that made its settlement fail, as its consumer was told.
  [[nodiscard]] bool explains_failed_settlement(const Delivered& d, std::int64_t next_begin_us) const;
  /// Whether a fault explains that there are two of a message before its delivery with number `attempts`, each of which
  /// goes its own way from there: an earlier delivery was sent back, or a delayed message put aside; its copy was
  /// written, and that it was settled did not arrive.
  [[nodiscard]] bool explains_two_copies(const Copy& copy, int attempts) const;
  /// Whether a fault explains that a message was given up, and then once more or handled.
  [[nodiscard]] bool explains_two_ends(const Copy& copy) const;
  /// Whether a fault explains that a consumer gets messages in another order than the usual one.
  [[nodiscard]] bool explains_order(const std::string& consumer, std::int64_t from_us, std::int64_t to_us) const;
  /// Whether the server may have forgotten something of that time.
  [[nodiscard]] bool forgetting(std::int64_t from_us, std::int64_t to_us) const;
  [[nodiscard]] bool may_be_forgotten(const Intent& intent) const;
  /// Whether a jump of a clock explains that a message seems to have come before it was due, or after it had expired.
  [[nodiscard]] bool explains_early(const Intent& intent, const Delivered& d) const;
  [[nodiscard]] bool explains_late(const Intent& intent, const Delivered& d) const;
  /// ... or that one of its copies seems to have been given up before it had expired.
  [[nodiscard]] bool explains_letter_time(const Intent& intent, const DeadLetterSeen& letter) const;
  /// Whether it had expired when the consumer that had been given it before was given another.
  [[nodiscard]] bool may_have_expired(const Intent& intent, const Delivered& before, const Delivered& next) const;
  /// Whether the consumer's process stood still about when the delivery began.
  [[nodiscard]] bool was_stopped(const Delivered& d) const;

  /// All that is known, in words.
  [[nodiscard]] std::string tell(const Copy& copy) const;

 private:
  /// Whether the consumer may have had a line that was dead without anybody knowing it when its settlement was to go.
  [[nodiscard]] bool on_a_dead_line(const Delivered& d) const;
  /// Any clock's, or that of one life of a process.
  [[nodiscard]] bool clock_moved(std::int64_t from_us, std::int64_t to_us, const std::string& whose = {}) const;
  /// The publisher's own one, during the call from which delay and expiry count.
  [[nodiscard]] bool clock_moved_in_call(const Intent& intent) const;
  /// On the machine's clock, but for what clocks differ.
  [[nodiscard]] std::int64_t about_us(const DeadLetterSeen& letter) const;
  [[nodiscard]] std::int64_t apart_us() const;

  const History& history_;
  const Rules& rules_;
  std::map<std::string, std::unordered_map<std::string, Copy>> copies_;  // channel, token
  std::int64_t last_wall_ms_ = 0;
  std::int64_t wall_of_zero_ms_ = 0;  // the queue's wall clock when the machine's was at 0
};

/// Notes a broken promise.
void report(Verdict& verdict, std::string_view check, std::string text);

/// Per key within a subscription, per publisher within a consumer that takes one after the other.
void check_order(const Index& index, Verdict& verdict);

}  // namespace lrpc::queue::torture
