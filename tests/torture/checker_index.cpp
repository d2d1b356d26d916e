// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "checker_index.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

namespace lrpc::queue::torture {
namespace {

/// Whether a fault and what it leaves behind touch a time.
bool touches(const Fault& fault, std::int64_t from_us, std::int64_t to_us) {
  return fault.begin_us <= to_us && fault.end_us + fault.reach_ms * 1000 >= from_us;
}

bool concerns(const Fault& fault, const std::string& consumer) {
  return fault.target.empty() || fault.spreads || fault.target == consumer;
}

const char* name_of(Ending ending) {
  constexpr std::array kNames{"no end", "handled", "sent back", "sent back uncounted", "rejected", "abandoned"};
  return kNames.at(static_cast<std::size_t>(ending));
}

const char* name_of(Answer answer) {
  constexpr std::array kNames{"nothing", "ok", "refused", "unknown", "failed"};
  return kNames.at(static_cast<std::size_t>(answer));
}

const char* name_of(Published outcome) {
  constexpr std::array kNames{"outcome unknown", "accepted", "refused"};
  return kNames.at(static_cast<std::size_t>(outcome));
}

}  // namespace

Index::Index(const History& history, const Rules& rules) : history_(history), rules_(rules) {
  const auto copy_of = [&](const std::string& channel, const std::string& token) -> Copy& {
    Copy& copy = copies_[channel][token];
    if (copy.token.empty()) copy = {.channel = channel, .token = token, .deliveries = {}, .dead = {}};
    return copy;
  };
  for (const Delivered& d : history.deliveries) {
    copy_of(d.channel, d.token).deliveries.push_back(&d);
    last_wall_ms_ = std::max(last_wall_ms_, d.wall_ms);
    wall_of_zero_ms_ = d.wall_ms - d.begin_us / 1000;
  }
  for (const DeadLetterSeen& letter : history.dead) {
    if (!letter.token.empty()) copy_of(letter.channel, letter.token).dead.push_back(&letter);
    last_wall_ms_ = std::max(last_wall_ms_, letter.wall_ms);
  }
  // All that was dropped was expired by then, if by the fastest clock.
  if (rules.own_clocks_ms > 0) last_wall_ms_ = std::max(last_wall_ms_, history.end_wall_ms + rules.own_clocks_ms);
  const bool by_attempts = rules.attempts_exact;
  for (auto& [channel, copies] : copies_) {
    for (auto& [token, copy] : copies) {
      std::ranges::sort(copy.deliveries, {}, [by_attempts](const Delivered* d) {
        return std::tuple(by_attempts ? d->attempts : 0, d->begin_us);
      });
    }
  }
}

const Intent* Index::intent(const std::string& token) const {
  const auto found = history_.intents.find(token);
  return found == history_.intents.end() || found->second.publisher.empty() ? nullptr : &found->second;
}

const Copy* Index::copy(const std::string& channel, const std::string& token) const {
  const auto copies = copies_.find(channel);
  if (copies == copies_.end()) return nullptr;
  const auto found = copies->second.find(token);
  return found == copies->second.end() ? nullptr : &found->second;
}

std::vector<const Copy*> Index::copies(const std::string& channel) const {
  std::vector<const Copy*> result;
  if (const auto found = copies_.find(channel); found != copies_.end()) {
    for (const auto& [token, copy] : found->second) result.push_back(&copy);
  }
  return result;
}

bool Index::seen(const std::string& token) const {
  return std::ranges::any_of(copies_, [&](const auto& channel) { return channel.second.contains(token); });
}

bool Index::explains_redelivery(const Delivered& d, std::int64_t next_begin_us) const {
  return explains_disturbance(d, next_begin_us) || explains_failed_settlement(d, next_begin_us);
}

// From the hand-over, which for a message that waited in the consumer was somewhat before its handler began, until its
// ack should have been stored, or until it was there again.
bool Index::explains_disturbance(const Delivered& d, std::int64_t next_begin_us) const {
  const bool kept_too_long = d.end_us - d.begin_us >= rules_.lease_ms * 1000;
  const bool subscribed = std::ranges::find(rules_.channels, d.channel, &ChannelRules::name)->subscribed;
  if (kept_too_long && !subscribed) return true;
  // Who settles by a call and was never answered was killed meanwhile, however long the call took.
  const bool unanswered =
      !subscribed && d.answer == Answer::none && d.ending != Ending::none && d.ending != Ending::abandoned;
  const std::int64_t until = d.end_us == 0 ? next_begin_us : d.end_us + rules_.settle_ms * 1000;
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    const bool of_the_call = unanswered && fault.target == d.consumer && touches(fault, d.end_us, next_begin_us);
    return fault.redelivers && concerns(fault, d.consumer) &&
           (of_the_call || touches(fault, d.begin_us - 1'000'000, until));
  });
}

// What was not settled comes again (D1, D10). One that was answered with success was, whatever happened before.
bool Index::explains_failed_settlement(const Delivered& d, std::int64_t next_begin_us) const {
  if (d.answer == Answer::none || d.answer == Answer::ok || next_begin_us < d.settle_begin_us) return false;
  const bool disturbed = std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return fault.redelivers && concerns(fault, d.consumer) && touches(fault, d.settle_begin_us, d.settle_end_us);
  });
  return disturbed || (d.answer == Answer::unknown && on_a_dead_line(d));
}

bool Index::on_a_dead_line(const Delivered& d) const {
  const auto life = history_.lives.find(d.consumer);
  const std::int64_t born_us = life == history_.lives.end() ? 0 : life->second;
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    if (!fault.lurks || !concerns(fault, d.consumer)) return false;
    if (fault.begin_us > d.settle_end_us || fault.end_us < born_us) return false;
    return std::ranges::none_of(history_.faults, [&](const Fault& later) {
      return later.cuts && later.begin_us >= fault.end_us && later.end_us <= d.settle_begin_us;
    });
  });
}

bool Index::explains_two_copies(const Copy& copy, int attempts) const {
  if (rules_.attempts_exact) return false;  // a retry is no record of its own there
  const bool sent_back = std::ranges::any_of(copy.deliveries, [&](const Delivered* d) {
    return d->ending == Ending::retry && d->attempts < attempts &&
           explains_redelivery(*d, std::max(d->end_us, d->settle_end_us));
  });
  const Intent* const published = copy.deliveries.empty() ? nullptr : intent(copy.deliveries.front()->token);
  const bool delayed = published != nullptr && published->due_tick_ms != 0;
  return sent_back ||
         (delayed && std::ranges::any_of(history_.faults, [&](const Fault& fault) {
            return fault.redelivers && touches(fault, published->begin_us, copy.deliveries.front()->begin_us);
          }));
}

bool Index::explains_two_ends(const Copy& copy) const {
  std::int64_t from = INT64_MAX;
  std::int64_t to = 0;
  const auto ended = [&](std::int64_t us) {
    from = std::min(from, us);
    to = std::max(to, us);
  };
  if (explains_two_copies(copy, std::numeric_limits<int>::max())) return true;
  for (const DeadLetterSeen* letter : copy.dead) ended(about_us(*letter));
  for (const Delivered* d : copy.deliveries) {
    if (d->ending == Ending::handled) ended(d->end_us);
  }
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return fault.redelivers && touches(fault, from - apart_us() - 1'000'000, to + apart_us() + rules_.settle_ms * 1000);
  });
}

bool Index::explains_order(const std::string& consumer, std::int64_t from_us, std::int64_t to_us) const {
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return (fault.reorders || (fault.redelivers && concerns(fault, consumer))) && touches(fault, from_us, to_us);
  });
}

bool Index::forgetting(std::int64_t from_us, std::int64_t to_us) const {
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return fault.may_lose_ms > 0 && fault.begin_us - fault.may_lose_ms * 1000 <= to_us &&
           fault.end_us + fault.reach_ms * 1000 >= from_us;
  });
}

bool Index::may_be_forgotten(const Intent& intent) const {
  const std::int64_t end = intent.end_us == 0 ? intent.begin_us : intent.end_us;
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return fault.may_lose_ms > 0 && fault.begin_us - fault.may_lose_ms * 1000 <= end && intent.begin_us <= fault.end_us;
  });
}

bool Index::clock_moved(std::int64_t from_us, std::int64_t to_us, const std::string& whose) const {
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return fault.moves_clock && (whose.empty() || fault.target == whose) && touches(fault, from_us, to_us);
  });
}

bool Index::clock_moved_in_call(const Intent& intent) const {
  return clock_moved(intent.begin_us, intent.end_us == 0 ? INT64_MAX : intent.end_us, intent.publisher);
}

std::int64_t Index::about_us(const DeadLetterSeen& letter) const { return (letter.wall_ms - wall_of_zero_ms_) * 1000; }

// With clocks of their own, that of the letter and the one which tells what the machine's clock was may both be off.
std::int64_t Index::apart_us() const { return (rules_.clocks_apart_ms + 2 * rules_.own_clocks_ms) * 1000; }

// What was found due stays so while it waits for its turn, although the consumer's clock is put back meanwhile.
bool Index::explains_early(const Intent& intent, const Delivered& d) const {
  if (rules_.own_clocks_ms == 0) return clock_moved(intent.begin_us, d.begin_us);
  return clock_moved(intent.begin_us, d.begin_us, d.consumer) || clock_moved_in_call(intent);
}

// Whether it has expired is looked at just before.
bool Index::explains_late(const Intent& intent, const Delivered& d) const {
  if (was_stopped(d)) return true;
  if (rules_.own_clocks_ms == 0) return clock_moved(intent.begin_us, d.begin_us);
  return clock_moved(d.begin_us - rules_.late_tolerance_ms * 1000, d.begin_us, d.consumer) ||
         clock_moved_in_call(intent);
}

// Who gave it up is not known.
bool Index::explains_letter_time(const Intent& intent, const DeadLetterSeen& letter) const {
  return clock_moved(intent.begin_us, rules_.own_clocks_ms == 0 ? INT64_MAX : about_us(letter) + apart_us());
}

bool Index::may_have_expired(const Intent& intent, const Delivered& before, const Delivered& next) const {
  if (intent.expires_s == 0) return false;
  return next.wall_ms >= intent.expires_s * 1000 ||
         (rules_.own_clocks_ms > 0 && clock_moved(before.begin_us, next.begin_us, next.consumer));
}

bool Index::was_stopped(const Delivered& d) const {
  return std::ranges::any_of(history_.faults, [&](const Fault& fault) {
    return !fault.target.empty() && fault.target == d.consumer && touches(fault, d.begin_us - 1'000'000, d.begin_us);
  });
}

std::string Index::tell(const Copy& copy) const {
  std::string text = copy.token + " in " + copy.channel;
  std::int64_t from = INT64_MAX;
  std::int64_t to = 0;
  const auto at = [&](std::int64_t us) {
    from = std::min(from, us);
    to = std::max(to, us);
    return " at " + std::to_string(us / 1000) + " ms";
  };
  if (const Intent* const i = intent(copy.token)) {
    text += ", published" + at(i->begin_us) + " (" + name_of(i->outcome) + (i->key.empty() ? "" : ", key " + i->key) +
            (i->expires_s != 0 ? ", expires" : "") + (i->due_tick_ms != 0 ? ", delayed" : "") + ")";
  }
  for (const Delivered* d : copy.deliveries) {
    text += "; attempt " + std::to_string(d->attempts) + " by " + d->consumer + at(d->begin_us) + ", " +
            name_of(d->ending) + (d->end_us != 0 ? at(d->end_us) : "");
    if (d->answer != Answer::none) {
      text += std::string(", answered ") + name_of(d->answer) +
              (d->answer_code.empty() ? "" : " (" + d->answer_code + ")") + at(d->settle_end_us);
    }
  }
  for (const DeadLetterSeen* letter : copy.dead) {
    text += "; dead letter: " + letter->reason + " after " + std::to_string(letter->attempts);
  }
  text += "; faults:";
  for (const Fault& fault : history_.faults) {
    if (!touches(fault, from, to + 5'000'000)) continue;
    text += " " + fault.name + (fault.target.empty() ? "" : "(" + fault.target + ")") + " " +
            std::to_string(fault.begin_us / 1000) + "-" + std::to_string(fault.end_us / 1000);
  }
  return text;
}

}  // namespace lrpc::queue::torture
