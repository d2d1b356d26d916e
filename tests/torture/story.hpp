// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "checker.hpp"

namespace lrpc::queue::torture {

/// Tells a history, in milliseconds since its begin. Unless told otherwise a publish is accepted, a channel ends empty
/// and nothing goes wrong.
class Story {
 public:
  Story() { history_.depths = {{"work", 0}, {"pull", 0}}; }

  /// The two channels: "work", by subscriptions, and "pull", by `next`.
  static Rules rules() {
    return {.channels = {{.name = "work", .subscribed = true, .expired_become_dead = true},
                         {.name = "pull", .subscribed = false}},
            .max_retries = 2,
            .lease_ms = 2'000};
  }

  Intent& published(const std::string& token, std::int64_t at, Published outcome = Published::accepted) {
    const TokenParts parts = parts_of(token);
    Intent& intent = history_.intents[token];
    intent.publisher = parts.publisher;
    intent.number = parts.number;
    intent.begin_us = at * 1000;
    intent.end_us = outcome == Published::unknown ? 0 : (at + 1) * 1000;
    intent.outcome = outcome;
    return intent;
  }
  /// `took` -1: it did not come to an end.
  Delivered& delivered(const std::string& token, const std::string& channel, const std::string& consumer, int attempts,
                       std::int64_t at, Ending ending = Ending::handled, std::int64_t took = 1) {
    Delivered& d = history_.deliveries.emplace_back();
    d.token = token;
    d.channel = channel;
    d.consumer = consumer;
    d.number = next_number_++;
    d.attempts = attempts;
    d.begin_us = at * 1000;
    d.wall_ms = d.tick_ms = at;
    d.ending = took < 0 ? Ending::none : ending;
    d.end_us = took < 0 ? 0 : (at + took) * 1000;
    return d;
  }
  [[nodiscard]] Delivered& delivery(std::size_t place) { return history_.deliveries[place]; }
  /// As it should be: published and at once handled everywhere.
  void good(const std::string& token, std::int64_t at) {
    published(token, at);
    handled_elsewhere(token, at + 2);
    delivered(token, "work", "w0.0", 1, at + 2);
  }
  /// In the channel "pull", as these stories are mostly about the other one.
  void handled_elsewhere(const std::string& token, std::int64_t at) {
    Delivered& d = delivered(token, "pull", "n0.0", 1, at);
    d.answer = Answer::ok;
    d.settle_begin_us = d.settle_end_us = d.end_us;
  }
  /// What its consumer was told, so many milliseconds after it had asked for the settlement.
  static void answered(Delivered& d, Answer answer, std::int64_t after) {
    d.answer = answer;
    if (answer == Answer::unknown) d.answer_code = "outcome_unknown";
    d.settle_begin_us = d.end_us;
    d.settle_end_us = d.end_us + after * 1000;
  }
  void began(const std::string& consumer, std::int64_t at) { history_.lives[consumer] = at * 1000; }
  DeadLetterSeen& dead(const std::string& token, const std::string& reason, int attempts, std::int64_t at) {
    return history_.dead.emplace_back(DeadLetterSeen{
        .token = token, .channel = "work", .reason = reason, .attempts = attempts, .has_error = true, .wall_ms = at});
  }
  Fault& fault(const std::string& name, std::int64_t from, std::int64_t to, const std::string& target = "") {
    return history_.faults.emplace_back(
        Fault{.name = name, .begin_us = from * 1000, .end_us = to * 1000, .target = target, .redelivers = true});
  }
  void ended_at(std::int64_t wall_ms) { history_.end_wall_ms = wall_ms; }
  void left(const std::string& channel, std::int64_t depth) { history_.depths[channel] = depth; }

  [[nodiscard]] const History& history() const noexcept { return history_; }
  [[nodiscard]] Verdict verdict(const Rules& rules) const { return check(history_, rules); }
  [[nodiscard]] Verdict verdict() const { return verdict(rules()); }

 private:
  History history_;
  std::int64_t next_number_ = 0;
};

}  // namespace lrpc::queue::torture
