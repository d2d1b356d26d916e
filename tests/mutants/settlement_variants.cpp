// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "of_channel.hpp"

namespace lrpc::queue::mutants {
namespace {

using Action = Settlement::Action;

/// Changes each settlement before it is carried out.
class ChangedSettlements : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> settle(std::span<Settlement> settlements) override {
    for (Settlement& s : settlements) change(s);
    return PassChannel::settle(settlements);
  }

 protected:
  virtual void change(Settlement& settlement) = 0;
};

class NackedLost final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override {
    if (s.action == Action::retry) s.action = Action::drop;
  }
};

class RetryDelayIgnored final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override { s.delay = Duration{0}; }
};

class SkipAttemptsIgnored final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override { s.count_attempt = s.count_attempt || s.action == Action::retry; }
};

class FailuresNotCounted final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override { s.count_attempt = false; }
};

class PrefetchedLost final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override {
    if (s.action == Action::give_back) s.action = Action::drop;
  }
};

class PrefetchedCounted final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override { s.count_attempt = s.count_attempt || s.action == Action::give_back; }
};

class DeadLettersVanish final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override {
    if (s.action == Action::dead_letter) s.action = Action::drop;
  }
};

class DeadLetterErrorLost final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override { s.error.clear(); }
};

class DeadLetterReasonLost final : public ChangedSettlements {
  using ChangedSettlements::ChangedSettlements;
  void change(Settlement& s) override { s.reason = DeadReason::max_retries; }
};

/// A retry that waits makes all that is ready wait.
class RetryBlocksTheChannel final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> settle(std::span<Settlement> settlements) override {
    auto result = PassChannel::settle(settlements);
    for (const Settlement& s : settlements) {
      if (s.action != Action::retry || s.delay.count() == 0) continue;
      settle_all(take_ready(1000), {.action = Action::retry, .count_attempt = false, .delay = s.delay});
    }
    return result;
  }
};

class StaleAckAccepted final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override {
    auto result = PassChannel::ack(tags, done);
    std::ranges::fill(done, true);
    return result;
  }
};

class StaleNackAccepted final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> settle(std::span<Settlement> settlements) override {
    auto result = PassChannel::settle(settlements);
    for (Settlement& s : settlements) s.done = true;
    return result;
  }
};

/// Forgets an ack now and then: the message comes again.
class AcksForgotten final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override {
    if (acks_.fetch_add(1) % 3 != 1) return PassChannel::ack(tags, done);
    for (std::size_t i = 0; i < tags.size(); ++i) {
      Settlement again{.tag = tags[i], .action = Action::retry, .count_attempt = false};
      if (auto result = PassChannel::settle(std::span(&again, 1)); !result) return result;
      done[i] = again.done;
    }
    return {};
  }

 private:
  std::atomic<int> acks_{0};
};

/// Acks of a batch settle only its first message.
class BatchAckTakesOnlyTheFirst final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override {
    const std::size_t taken = std::min<std::size_t>(tags.size(), 1);
    auto result = PassChannel::ack(tags.first(taken), done.first(taken));
    std::ranges::fill(done.subspan(taken), true);
    return result;
  }
};

/// A requeued dead letter goes on counting where it had stopped.
class RequeueKeepsAttempts final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override {
    if (const auto page = PassChannel::dead_letters(1000, {})) {
      const std::lock_guard lock(mutex_);
      for (const DeadRecord& record : page->items) before_[record.message->id()] = record.attempts;
    }
    return PassChannel::requeue_dead(ids, all, fresh_ttl);
  }
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    auto count = PassChannel::receive(out, options);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < count.value_or(0); ++i) {
      if (const auto found = before_.find(out[i].message->id()); found != before_.end()) {
        out[i].tag.attempts = out[i].attempts += found->second;
      }
    }
    return count;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int> before_;
};

class RequeueTakesAll final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::int64_t> requeue_dead(std::span<const std::string> /*ids*/, bool /*all*/, Duration fresh_ttl) override {
    return PassChannel::requeue_dead({}, true, fresh_ttl);
  }
};

class RequeueKeepsThePassedExpiry final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration /*fresh_ttl*/) override {
    return PassChannel::requeue_dead(ids, all, Duration(1));
  }
};

class PurgeKeepsDeadLetters final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::int64_t> purge_dead() override {
    auto stats = PassChannel::stats();
    if (!stats) return std::unexpected(std::move(stats.error()));
    return stats->dead;
  }
};

class DeadLetterTimesLost final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override {
    auto page = PassChannel::dead_letters(limit, cursor);
    if (!page) return page;
    for (DeadRecord& record : page->items) record.first_at_ms = record.last_at_ms;
    return page;
  }
};

class DeadLettersNewestFirst final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override {
    auto page = PassChannel::dead_letters(limit, cursor);
    if (page) std::ranges::reverse(page->items);
    return page;
  }
};

/// A page is the last one even where more follow.
class DeadLettersOfOnePage final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override {
    auto page = PassChannel::dead_letters(limit, cursor);
    if (page) page->cursor.clear();
    return page;
  }
};

}  // namespace

std::vector<Variant> settlement_variants() {
  return {
      of_channel<NackedLost>("nacked_lost", "a nacked message is gone", {"D1", "D6", "D8"}),
      of_channel<RetryDelayIgnored>("retry_delay_ignored", "a retry comes at once", {"D8"}),
      of_channel<SkipAttemptsIgnored>("skip_attempts_ignored", "every failure counts", {"D6"}),
      of_channel<FailuresNotCounted>("failures_not_counted", "no failure counts", {"D6", "D7"}),
      of_channel<PrefetchedLost>("prefetched_lost_at_close", "what no handler saw is gone", {"D20"}),
      of_channel<PrefetchedCounted>("prefetched_counted", "what no handler saw counts an attempt", {"D20"}),
      of_channel<DeadLettersVanish>("dead_letters_vanish", "dead letters are dropped", {"D7", "D18"}),
      of_channel<DeadLetterErrorLost>("dead_letter_error_lost", "dead letters have no error text", {"D14", "D18"}),
      of_channel<DeadLetterReasonLost>("dead_letter_reason_lost", "every reason is max_retries", {"D12", "D18"}),
      of_channel<RetryBlocksTheChannel>("retry_blocks_channel", "a waiting retry holds up what is ready", {"D8"}),
      of_channel<StaleAckAccepted>("stale_ack_accepted", "an ack of a lost lease reports done", {"D9", "D10"}),
      of_channel<StaleNackAccepted>("stale_nack_accepted", "a nack of a lost lease reports done", {"D9", "D10"}),
      of_channel<AcksForgotten>("acks_forgotten", "some acked messages come again", {"D1", "D5", "D10"}),
      of_channel<BatchAckTakesOnlyTheFirst>("batch_ack_only_first", "a span of acks settles one", {"D10", "D19"}),
      of_channel<RequeueKeepsAttempts>("requeue_keeps_attempts", "requeued dead letters go on counting", {"D18"}),
      of_channel<RequeueTakesAll>("requeue_takes_all", "requeue by id takes every dead letter", {"D18"}),
      of_channel<RequeueKeepsThePassedExpiry>("requeue_without_fresh_ttl", "a requeued expired message expires at once",
                                              {"D18"}),
      of_channel<PurgeKeepsDeadLetters>("purge_does_nothing", "purge counts and keeps", {"D18"}),
      of_channel<DeadLetterTimesLost>("dead_letter_times_lost", "first_at is last_at", {"D18"}),
      of_channel<DeadLettersNewestFirst>("dead_letters_newest_first", "the list is reversed", {"D18"}),
      of_channel<DeadLettersOfOnePage>("dead_letters_one_page", "there is never a next page", {"D18"}),
  };
}

}  // namespace lrpc::queue::mutants
