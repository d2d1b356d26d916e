// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "checker.hpp"

#include <algorithm>
#include <map>
#include <ranges>
#include <unordered_set>

#include "checker_index.hpp"

namespace lrpc::queue::torture {
namespace {

/// What became of one message in one channel, checked by itself.
class CopyCheck {
 public:
  CopyCheck(const Index& index, const Copy& copy, Verdict& verdict)
      : index_(index), rules_(index.rules()), copy_(copy), verdict_(verdict) {}

  void run() {
    const Intent* const intent = index_.intent(copy_.token);
    if (intent == nullptr || intent->outcome == Published::refused) {
      ++verdict_.unexpected;
      report(verdict_, "unexpected",
             (intent == nullptr ? "never published: " : "refused (" + intent->code + "): ") + index_.tell(copy_));
      return;
    }
    check_redeliveries();
    check_attempts();
    check_foreign_acks();
    for (const Delivered* d : copy_.deliveries) {
      check_times(*intent, *d);
      if (d->answer == Answer::unknown || d->answer == Answer::failed) ++verdict_.failed_settlements;
    }
    for (const DeadLetterSeen* letter : copy_.dead) check_letter(*intent, *letter);
  }

 private:
  void check_redeliveries() {
    const auto& list = copy_.deliveries;
    for (std::size_t i = 0; i + 1 < list.size(); ++i) {
      const Delivered& d = *list[i];
      const Delivered& next = *list[i + 1];
      const std::int64_t until = std::max(d.begin_us, next.begin_us);
      const bool of_another_copy = next.attempts <= d.attempts && index_.explains_two_copies(copy_, next.attempts);
      if (d.ending == Ending::retry && rules_.max_retries >= 0 && d.attempts > rules_.max_retries &&
          !index_.explains_redelivery(d, until) && !of_another_copy) {
        report(verdict_, "cap", index_.tell(copy_));
      }
      if (d.ending == Ending::retry || d.ending == Ending::retry_same || d.ending == Ending::abandoned) {
        ++verdict_.asked_again;
      } else {
        const bool disturbed = of_another_copy || index_.explains_disturbance(d, until);
        const bool not_settled = !disturbed && index_.explains_failed_settlement(d, until);
        count_duplicate(disturbed || not_settled);
        if (not_settled) ++verdict_.not_settled;
      }
    }
    // Given up, and also handled: or given up twice.
    const bool handled = std::ranges::any_of(list, [](const Delivered* d) { return d->ending == Ending::handled; });
    const std::size_t endings = copy_.dead.size() + (handled ? 1 : 0);
    for (std::size_t i = 1; i < endings && !copy_.dead.empty(); ++i) {
      count_duplicate(index_.explains_two_ends(copy_));
    }
  }

  void count_duplicate(bool explained) {
    ++(explained ? verdict_.duplicated : verdict_.unexplained);
    if (!explained) report(verdict_, "unexplained", index_.tell(copy_));
  }

  void check_attempts() {
    if (!rules_.attempts_exact) return;
    int same = 0;
    int seen = 0;
    for (const Delivered* d : copy_.deliveries) {
      ++seen;
      if (d->attempts < seen - same && !index_.forgetting(copy_.deliveries.front()->begin_us, d->begin_us)) {
        report(verdict_, "attempts", index_.tell(copy_));
        return;
      }
      if (d->ending == Ending::retry_same) ++same;
    }
  }

  void check_foreign_acks() {
    if (!rules_.attempts_exact) return;
    for (const Delivered* d : copy_.deliveries) {
      if (d->answer != Answer::ok) continue;
      const bool foreign = std::ranges::any_of(copy_.deliveries, [&](const Delivered* other) {
        return other->attempts > d->attempts && other->begin_us < d->settle_begin_us &&
               !index_.forgetting(d->begin_us, d->settle_begin_us);
      });
      if (foreign) report(verdict_, "foreign_ack", index_.tell(copy_));
    }
  }

  void check_times(const Intent& intent, const Delivered& d) {
    if (d.tick_ms + rules_.early_tolerance_ms < intent.due_tick_ms && !index_.explains_early(intent, d)) {
      report(verdict_, "early", std::to_string(intent.due_tick_ms - d.tick_ms) + " ms: " + index_.tell(copy_));
    }
    // Expiry counts from a moment of the call, and the clock that it is compared with is a coarse one.
    constexpr std::int64_t kCoarseMs = 10;
    const std::int64_t call_ms = std::max<std::int64_t>(intent.end_us - intent.begin_us, 0) / 1000;
    const std::int64_t over = d.wall_ms - intent.expires_s * 1000;
    if (intent.expires_s != 0 && over >= rules_.late_tolerance_ms + call_ms + kCoarseMs &&
        !index_.explains_late(intent, d)) {
      report(verdict_, "late", std::to_string(over) + " ms: " + index_.tell(copy_));
    }
  }

  void check_letter(const Intent& intent, const DeadLetterSeen& letter) {
    std::string wrong;
    if (letter.reason == "max_retries") {
      if (letter.attempts <= rules_.max_retries) wrong = "given up too early";
      if (!letter.has_error) wrong = "no error";
    } else if (letter.reason == "rejected") {
      const bool rejected =
          std::ranges::any_of(copy_.deliveries, [](const Delivered* d) { return d->ending == Ending::reject; });
      if (!rejected) wrong = "nobody rejected it";
      if (!letter.has_error) wrong = "no error";
    } else if (letter.reason == "expired") {
      if (intent.expires_s == 0 || (letter.wall_ms + rules_.clocks_apart_ms < intent.expires_s * 1000 &&
                                    !index_.explains_letter_time(intent, letter))) {
        wrong = "not expired";
      }
    } else {
      wrong = "reason " + letter.reason;
    }
    if (!wrong.empty()) report(verdict_, "dead_letter", wrong + ": " + index_.tell(copy_));
  }

  const Index& index_;
  const Rules& rules_;
  const Copy& copy_;
  Verdict& verdict_;
};

/// Whether the copy came to an end; counts how.
bool ended(const Index& index, const ChannelRules& channel, const Intent& intent, const Copy* copy, Verdict& verdict) {
  if (copy != nullptr && !copy->dead.empty()) return ++verdict.dead > 0;
  if (copy != nullptr &&
      std::ranges::any_of(copy->deliveries, [](const Delivered* d) { return d->ending == Ending::handled; })) {
    return ++verdict.handled > 0;
  }
  const bool past = intent.expires_s != 0 && intent.expires_s * 1000 <= index.last_wall_ms();
  return past && !channel.expired_become_dead && ++verdict.expired > 0;
}

/// Every message that was accepted comes to an end in every channel; one of unknown outcome, in all or in none.
void check_losses(const Index& index, Verdict& verdict) {
  for (const auto& [token, intent] : index.history().intents) {
    ++verdict.attempted;
    const bool seen = index.seen(token);
    switch (intent.outcome) {
      case Published::accepted:
        ++verdict.accepted;
        break;
      case Published::refused:
        ++verdict.refused;
        continue;
      case Published::unknown:
        ++verdict.unknown;
        if (!seen) continue;
        ++verdict.recovered;
        break;
    }
    for (const ChannelRules& channel : index.rules().channels) {
      const Copy* const copy = index.copy(channel.name, token);
      if (ended(index, channel, intent, copy, verdict)) continue;
      if (index.may_be_forgotten(intent)) {
        ++verdict.lost_allowed;
        continue;
      }
      ++verdict.lost;
      report(verdict, "lost",
             copy != nullptr ? index.tell(*copy) : index.tell(Copy{.channel = channel.name, .token = token}));
    }
  }
}

void check_depths(const Index& index, Verdict& verdict) {
  const auto& depths = index.history().depths;
  for (const ChannelRules& channel : index.rules().channels) {
    const auto found = depths.find(channel.name);
    if (found == depths.end()) {
      report(verdict, "depth", "the depth of " + channel.name + " was not asked for");
    } else if (found->second != 0) {
      report(verdict, "depth", std::to_string(found->second) + " left in " + channel.name);
    }
  }
}

}  // namespace

bool Verdict::failed(std::string_view check) const {
  return std::ranges::any_of(findings, [&](const Finding& finding) { return finding.check == check; });
}

void Verdict::add(const Verdict& other) {
  for (const auto field :
       {&Verdict::attempted, &Verdict::accepted, &Verdict::refused, &Verdict::unknown, &Verdict::recovered,
        &Verdict::handled, &Verdict::dead, &Verdict::expired, &Verdict::lost, &Verdict::lost_allowed,
        &Verdict::unexpected, &Verdict::deliveries, &Verdict::asked_again, &Verdict::duplicated, &Verdict::not_settled,
        &Verdict::unexplained, &Verdict::failed_settlements, &Verdict::broken}) {
    this->*field += other.*field;
  }
  for (const Finding& finding : other.findings) {
    if (findings.size() < kMostFindings) findings.push_back(finding);
  }
}

// Of each check the first few: one that fails thousands of times must not hide the others.
void report(Verdict& verdict, std::string_view check, std::string text) {
  ++verdict.broken;
  constexpr std::ptrdiff_t kOfOneCheck = 3;
  const auto before = std::ranges::count(verdict.findings, check, &Finding::check);
  if (verdict.findings.size() >= 4 * kMostFindings || before >= kOfOneCheck) return;
  verdict.findings.push_back({.check = std::string(check), .text = std::move(text)});
}

Verdict check(const History& history, const Rules& rules) {
  const Index index(history, rules);
  Verdict verdict;
  verdict.deliveries = static_cast<std::int64_t>(history.deliveries.size());
  check_losses(index, verdict);
  for (const ChannelRules& channel : rules.channels) {
    for (const Copy* copy : index.copies(channel.name)) CopyCheck(index, *copy, verdict).run();
  }
  check_order(index, verdict);
  check_depths(index, verdict);
  for (const DeadLetterSeen& letter : history.dead) {
    if (letter.token.empty()) report(verdict, "dead_letter", "no body, in " + letter.channel);
  }
  return verdict;
}

}  // namespace lrpc::queue::torture
