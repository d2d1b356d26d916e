// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The consuming side: each public function is one promise of lrpc/queue/backend.hpp.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <utility>

#include "store.hpp"

namespace journal {
namespace {

using namespace lrpc::queue;

class JournalChannel final : public BackendChannel {
 public:
  JournalChannel(std::shared_ptr<Store> store, std::shared_ptr<ChannelState> state, const ChannelPolicy& policy)
      : store_(std::move(store)), state_(std::move(state)), policy_(policy), dropped_before_(state_->dropped) {}

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    std::unique_lock lock(store_->mutex);
    for (;;) {
      if (auto open = check_open(); !open) return std::unexpected(open.error());
      if (!receiving_) return std::size_t{0};
      const std::int64_t tick = store_->line_up_due(*state_);
      const std::size_t n = take(out.first(std::min(out.size(), room(options, tick))), options.renewed, tick);
      if (n > 0 || options.stop.stop_requested() || std::chrono::steady_clock::now() >= options.deadline) return n;
      const SteadyTime wake_at = std::min(options.deadline, next_event(tick));
      state_->changed.wait_until(lock, options.stop, wake_at,
                                 [&, seen = state_->changes] { return state_->changes != seen; });
    }
  }

  void set_receiving(bool on) noexcept override {
    const std::lock_guard lock(store_->mutex);
    receiving_ = on;
    state_->wake();
  }

  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return open;
    for (std::size_t i = 0; i < tags.size(); ++i) done[i] = state_->held.erase(tags[i].slot) == 1;
    state_->wake();  // a receive that waits at its limit
    return {};
  }

  Result<void> settle(std::span<Settlement> settlements) override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return open;
    for (Settlement& settlement : settlements) {
      auto delivery = state_->held.extract(settlement.tag.slot);
      settlement.done = !delivery.empty();
      if (settlement.done) settle_one(settlement, std::move(delivery.mapped()));
    }
    store_->line_up_due(*state_);
    state_->wake();
    return {};
  }

  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return open;
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const auto it = state_->held.find(tags[i].slot);
      done[i] = it != state_->held.end();
      if (done[i]) it->second.lease_end = store_->clock->now().tick_ms + lease.count();
    }
    state_->wake();  // the next lease to end may now be an earlier one
    return {};
  }

  std::optional<DeliveryTag> find(std::string_view id) override {
    const std::lock_guard lock(store_->mutex);
    for (auto it = state_->held.rbegin(); it != state_->held.rend(); ++it) {  // the newest first
      if (it->second.entry.message->id_is(Envelope::IdQuery(id))) return tag_of(it->first, it->second.entry);
    }
    return std::nullopt;
  }

  Result<BackendStats> stats() override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return std::unexpected(open.error());
    const std::int64_t tick = store_->line_up_due(*state_);
    const auto over =
        std::ranges::count_if(state_->held, [&](const auto& item) { return item.second.lease_over(tick); });
    return BackendStats{.ready = static_cast<std::int64_t>(state_->ready.size()) + over,
                        .in_flight = static_cast<std::int64_t>(state_->held.size()) - over,
                        .delayed = static_cast<std::int64_t>(state_->delayed.size()),
                        .dead = static_cast<std::int64_t>(state_->dead.size()),
                        .dropped = state_->dropped - dropped_before_};
  }

  Result<std::int64_t> drop_all() override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return std::unexpected(open.error());
    const std::int64_t before = state_->depth();
    std::erase_if(state_->held,
                  [&, tick = store_->line_up_due(*state_)](const auto& item) { return item.second.lease_over(tick); });
    state_->ready.clear();
    state_->delayed.clear();
    return before - state_->depth();
  }

  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return std::unexpected(open.error());
    std::uint64_t after = 0;
    const char* const end = cursor.data() + cursor.size();
    const auto [parsed, error] = std::from_chars(cursor.data(), end, after);
    if (!cursor.empty() && (error != std::errc{} || parsed != end)) {
      return fail(ErrorCode::invalid_argument, "this cursor is not one that dead_letters returned");
    }
    DeadPage page;
    auto it = state_->dead.upper_bound(after);
    for (; it != state_->dead.end() && page.items.size() < limit; ++it) page.items.push_back(it->second);
    if (it != state_->dead.end()) page.cursor = std::to_string(std::prev(it)->first);
    return page;
  }

  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return std::unexpected(open.error());
    const Instant now = store_->clock->now();
    const auto count = std::erase_if(state_->dead, [&](auto& item) {
      EnvelopePtr message = item.second.message;
      if (!all && std::ranges::find(ids, message->id()) == ids.end()) return false;
      Envelope& header = message.writable();  // the message is shared: a header of its own
      header.set_enqueued_at_ms(now.wall_ms);
      if (header.expires_at() != 0 && now.wall_s() >= header.expires_at()) {
        header.set_expires_at(expiry_after(now.wall_ms, fresh_ttl));
      }
      state_->ready.emplace(++store_->last_number, Entry{.message = std::move(message)});
      return true;
    });
    state_->wake();
    return static_cast<std::int64_t>(count);
  }

  Result<std::int64_t> purge_dead() override {
    const std::lock_guard lock(store_->mutex);
    if (auto open = check_open(); !open) return std::unexpected(open.error());
    return static_cast<std::int64_t>(std::exchange(state_->dead, {}).size());
  }

  void configure(const ChannelPolicy& policy) override {
    const std::lock_guard lock(store_->mutex);
    policy_ = policy;
  }

  Result<void> close() override {
    const std::lock_guard lock(store_->mutex);
    if (std::exchange(closed_, true)) return {};
    for (auto& [number, held] : state_->held) state_->ready.emplace(held.place, std::move(held.entry));
    state_->held.clear();
    state_->wake();
    return {};
  }

 private:
  Result<void> check_open() const {
    if (state_->deleted) return fail(ErrorCode::channel_not_found, "the channel was deleted");
    if (closed_) return fail(ErrorCode::channel_closed, "the channel is closed");
    return {};
  }

  static DeliveryTag tag_of(std::uint64_t number, const Entry& entry) {
    return {.slot = number, .generation = 1, .attempts = entry.attempts};
  }

  // How many deliveries `options` allows (D11).
  std::size_t room(const ReceiveOptions& options, std::int64_t tick) const {
    if (options.renewed || options.limit == 0) return SIZE_MAX;
    const auto mine = std::ranges::count_if(
        state_->held, [&](const auto& item) { return !item.second.renewed && !item.second.lease_over(tick); });
    return static_cast<std::size_t>(std::max<std::int64_t>(options.limit - mine, 0));
  }

  std::size_t take(std::span<Delivery> out, bool renewed, std::int64_t tick) {
    std::size_t n = 0;
    // Leases that ran out come first, lest a stream of new messages keeps them waiting for ever. New deliveries get
    // higher numbers and a lease from now on, so this loop does not meet them.
    for (auto it = state_->held.begin(); it != state_->held.end() && n < out.size();) {
      const auto held = it++;
      if (!held->second.lease_over(tick)) continue;
      Held again = std::move(state_->held.extract(held).mapped());
      out[n] = hand_over(std::move(again.entry), again.place, renewed, tick);
      out[n++].lease_expired = true;
    }
    for (; n < out.size() && !state_->ready.empty(); ++n) {
      auto first = state_->ready.extract(state_->ready.begin());
      out[n] = hand_over(std::move(first.mapped()), first.key(), renewed, tick);
    }
    return n;
  }

  Delivery hand_over(Entry entry, std::uint64_t place, bool renewed, std::int64_t tick) {
    ++entry.attempts;
    const DeliveryTag tag = tag_of(++store_->last_number, entry);
    Delivery delivery{.message = entry.message, .tag = tag, .attempts = entry.attempts};
    state_->held.emplace(tag.slot, Held{.entry = std::move(entry),
                                        .place = place,
                                        .renewed = renewed,
                                        .lease_end = tick + policy_.ack_timeout.count()});
    return delivery;
  }

  // The instant at which time alone makes something ready. What is due already does not count: a receive looks at it
  // before it waits.
  SteadyTime next_event(std::int64_t tick) const {
    std::int64_t next = INT64_MAX;
    if (!state_->delayed.empty()) next = state_->delayed.begin()->first;
    for (const auto& [number, held] : state_->held) {
      if (!held.renewed && held.lease_end > tick) next = std::min(next, held.lease_end);
    }
    return next == INT64_MAX ? SteadyTime::max() : store_->clock->real(next);
  }

  void settle_one(Settlement& settlement, Held held) {
    const Instant now = store_->clock->now();
    if (!settlement.count_attempt) --held.entry.attempts;
    switch (settlement.action) {
      case Settlement::Action::retry:
        state_->delayed.emplace(now.tick_ms + settlement.delay.count(), std::move(held.entry));
        break;
      case Settlement::Action::give_back:
        state_->ready.emplace(held.place, std::move(held.entry));
        break;
      case Settlement::Action::keep:
        settlement.tag = hand_over(std::move(held.entry), held.place, held.renewed, now.tick_ms).tag;
        break;
      case Settlement::Action::dead_letter: {
        DeadRecord record{.message = std::move(held.entry.message),
                          .reason = settlement.reason,
                          .error = std::move(settlement.error),
                          .attempts = held.entry.attempts,
                          .first_at_ms = 0,
                          .last_at_ms = now.wall_ms};
        record.first_at_ms = record.message->enqueued_at_ms();
        state_->dead.emplace(++store_->last_number, std::move(record));
        for (; static_cast<std::int64_t>(state_->dead.size()) > policy_.dead_letter_limit; ++state_->dropped) {
          state_->dead.erase(state_->dead.begin());
        }
        break;
      }
      case Settlement::Action::drop:
        break;
    }
  }

  const std::shared_ptr<Store> store_;
  const std::shared_ptr<ChannelState> state_;
  ChannelPolicy policy_;
  const std::int64_t dropped_before_;
  bool receiving_ = true;
  bool closed_ = false;
};

}  // namespace

std::shared_ptr<BackendChannel> open_channel(std::shared_ptr<Store> store, std::shared_ptr<ChannelState> state,
                                             const ChannelPolicy& policy) {
  return std::make_shared<JournalChannel>(std::move(store), std::move(state), policy);
}

}  // namespace journal
