// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory/channel.hpp"

#include <algorithm>
#include <utility>

#include "base/fence.hpp"

namespace lrpc::queue::memory {
namespace {

Waiter& waiter_of(detail::ListNode& node) noexcept { return static_cast<Waiter&>(node); }

void release(Garbage& garbage) noexcept {
  for (const auto& [message, references] : garbage) Envelope::drop_refs(message, references);
}

}  // namespace

void ChannelState::wake_one() noexcept {
  if (detail::ListNode* node = waiters.front()) {
    node->unlink();
    waiter_of(*node).parker.unpark();
  }
}

// Somebody must watch the timers: whoever wakes leads before it sleeps again.
void ChannelState::wake_new_leader() noexcept {
  detail::List& sleepers = waiters.empty() ? limited : waiters;
  if (detail::ListNode* node = sleepers.front()) {
    node->unlink();
    waiter_of(*node).parker.unpark();
  }
}

void ChannelState::wake_all() noexcept {
  waiters.splice_back(limited);
  while (!waiters.empty()) wake_one();
}

void ChannelState::wake_as_needed() noexcept {
  if (waiting.load(std::memory_order_relaxed) == 0) return;
  if (store.has_ready()) wake_one();
  if (leader == nullptr) {
    if (store.next_event() != detail::TimerWheel::kNever) wake_new_leader();
  } else if (store.next_event() < leader_tick) {
    leader->parker.unpark();
  }
}

MemoryChannel::MemoryChannel(std::shared_ptr<ChannelState> state, std::shared_ptr<Clock> clock,
                             const ChannelPolicy& policy)
    : state_(std::move(state)), clock_(std::move(clock)), coarse_lag_ms_(clock_->coarse_lag_ms()) {
  MemoryChannel::configure(policy);
  const std::lock_guard lock(state_->mutex);
  dropped_before_ = state_->dropped;
}

void MemoryChannel::configure(const ChannelPolicy& policy) {
  const std::lock_guard lock(state_->mutex);
  lease_ms_ = policy.ack_timeout.count();
  dead_letter_limit_ = policy.dead_letter_limit;
}

Result<void> MemoryChannel::check_open() const {
  if (state_->deleted) return fail(ErrorCode::channel_not_found, "channel " + state_->name + " was deleted");
  if (closed_) return fail(ErrorCode::channel_closed, "channel " + state_->name + " is closed");
  return {};
}

Result<std::size_t> MemoryChannel::receive(std::span<Delivery> out, const ReceiveOptions& options) {
  Instant now = clock_->coarse();
  ChannelState& s = *state_;
  std::unique_lock lock(s.mutex);
  for (;;) {
    if (closed_ || s.deleted) return std::unexpected(std::move(check_open().error()));
    if (!receiving_) return std::size_t{0};
    if (s.store.next_event() <= now.tick_ms) {
      s.store.run_timers(now.tick_ms);
      if (!s.limited.empty()) s.wake_all();  // a lease that ran out left room (D11)
    }
    std::size_t room = out.size();
    if (options.limit > 0 && !options.renewed) {
      const std::int64_t left = options.limit - s.store.unrenewed();
      room = std::min(room, static_cast<std::size_t>(std::max<std::int64_t>(left, 0)));
    }
    const std::size_t n = s.store.take(out.first(room), options.renewed, lease_end(now.tick_ms), now.tick_ms);
    if (n > 0) {
      s.wake_as_needed();
      return n;
    }
    if (room == 0) s.wake_as_needed();  // what we may not take is for others
    const bool over = options.deadline == SteadyTime{} || options.stop.stop_requested();
    if (over || wait(lock, options, room == 0) == Wait::give_up) {
      s.wake_as_needed();  // a wake-up that was meant for us goes on to another
      return std::size_t{0};
    }
    now = clock_->now();
  }
}

MemoryChannel::Wait MemoryChannel::wait(std::unique_lock<std::mutex>& lock, const ReceiveOptions& options,
                                        bool at_limit) {
  ChannelState& s = *state_;
  SteadyTime wake_at = options.deadline;
  if (wake_at != SteadyTime::max() && std::chrono::steady_clock::now() >= wake_at) return Wait::give_up;
  Waiter waiter;
  s.waiting.fetch_add(1, std::memory_order_relaxed);
  detail::full_fence();
  if (!at_limit && s.store.has_ready()) {
    s.waiting.fetch_sub(1, std::memory_order_relaxed);
    return Wait::again;
  }
  if (at_limit) {
    s.limited.push_back(waiter);
  } else {
    // The newest is woken first (its cache is warm) and the leader last, so that its duty seldom changes hands.
    waiter.insert_before(*s.waiters.end().next);
  }
  if (s.leader == nullptr) {
    s.leader = &waiter;
    waiter.unlink();
    (at_limit ? s.limited : s.waiters).push_back(waiter);
    s.leader_tick = s.store.next_event();
    if (s.leader_tick != detail::TimerWheel::kNever) wake_at = std::min(wake_at, clock_->real(s.leader_tick));
  }
  lock.unlock();
  {
    const auto unpark = [&] { waiter.parker.unpark(); };
    std::optional<std::stop_callback<decltype(unpark)>> on_stop;
    if (options.stop.stop_possible()) on_stop.emplace(options.stop, unpark);
    waiter.parker.park_until(wake_at);
  }
  lock.lock();
  if (waiter.linked()) waiter.unlink();
  s.waiting.fetch_sub(1, std::memory_order_relaxed);
  if (s.leader == &waiter) {
    s.leader = nullptr;
    // Somebody else must watch the timers if we do not come back.
    if (s.store.next_event() != detail::TimerWheel::kNever) s.wake_new_leader();
  }
  return Wait::again;
}

void MemoryChannel::set_receiving(bool on) noexcept {
  const std::lock_guard lock(state_->mutex);
  receiving_ = on;
  if (!on) state_->wake_all();
}

Result<void> MemoryChannel::ack(std::span<const DeliveryTag> tags, std::span<bool> done) {
  ChannelState& s = *state_;
  // Batches release their messages in runs, so that no lock is held while bodies are destroyed and nothing is
  // allocated.
  constexpr std::size_t kRun = 64;
  for (std::size_t begin = 0; begin < tags.size(); begin += kRun) {
    std::array<Envelope*, kRun> settled;
    std::size_t count = 0;
    {
      const std::lock_guard lock(s.mutex);
      if (closed_ || s.deleted) return check_open();
      const std::size_t end = std::min(tags.size(), begin + kRun);
      for (std::size_t i = begin; i < end; ++i) {
        Slot* slot = s.store.held(tags[i]);
        done[i] = slot != nullptr;
        if (slot != nullptr) settled[count++] = s.store.remove(*slot);
      }
      if (!s.limited.empty()) s.wake_all();
    }
    for (std::size_t i = 0; i < count; ++i) Envelope::drop_refs(settled[i]);
  }
  return {};
}

Result<void> MemoryChannel::settle(std::span<Settlement> settlements) {
  ChannelState& s = *state_;
  const Instant now = clock_->now();
  Garbage garbage;
  {
    const std::lock_guard lock(s.mutex);
    if (closed_ || s.deleted) return check_open();
    for (Settlement& settlement : settlements) {
      Slot* slot = s.store.held(settlement.tag);
      settlement.done = slot != nullptr;
      if (slot != nullptr) settle_one(settlement, *slot, now, garbage);
    }
    if (!s.limited.empty()) s.wake_all();
    s.wake_as_needed();
  }
  release(garbage);
  return {};
}

void MemoryChannel::settle_one(Settlement& settlement, Slot& slot, Instant now, Garbage& garbage) {
  Store& store = state_->store;
  switch (settlement.action) {
    case Settlement::Action::retry:
      store.retry(slot, settlement.count_attempt, now.tick_ms + settlement.delay.count(), now.tick_ms);
      break;
    case Settlement::Action::give_back:
      store.give_back(slot, settlement.count_attempt);
      break;
    case Settlement::Action::keep:
      settlement.tag = store.keep(slot, settlement.count_attempt, lease_end(now.tick_ms), now.tick_ms);
      break;
    case Settlement::Action::dead_letter:
      state_->dropped += store.bury(slot, settlement, now.wall_ms, dead_letter_limit_);
      break;
    case Settlement::Action::drop:
      garbage.emplace_back(store.remove(slot), 1);
      break;
  }
}

Result<void> MemoryChannel::touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) {
  ChannelState& s = *state_;
  const Instant now = clock_->now();
  const std::lock_guard lock(s.mutex);
  if (closed_ || s.deleted) return check_open();
  for (std::size_t i = 0; i < tags.size(); ++i) {
    Slot* slot = s.store.held(tags[i]);
    done[i] = slot != nullptr;
    if (slot != nullptr) s.store.renew(*slot, now.tick_ms + lease.count(), now.tick_ms);
  }
  s.wake_as_needed();
  return {};
}

std::optional<DeliveryTag> MemoryChannel::find(std::string_view id) {
  const std::lock_guard lock(state_->mutex);
  Slot* slot = state_->store.find(id);
  if (slot == nullptr) return std::nullopt;
  return DeliveryTag{.slot = slot->number, .generation = slot->generation, .attempts = slot->attempts};
}

Result<BackendStats> MemoryChannel::stats() {
  const Instant now = clock_->now();
  ChannelState& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  s.store.run_timers(now.tick_ms);
  if (!s.limited.empty()) s.wake_all();
  s.wake_as_needed();
  BackendStats stats{.ready = 0,
                     .in_flight = s.store.in_flight_count(),
                     .delayed = s.store.delayed_count(),
                     .dead = s.store.dead().size(),
                     .dropped = s.dropped - dropped_before_};
  stats.ready = s.store.depth() - stats.in_flight - stats.delayed;
  return stats;
}

Result<std::int64_t> MemoryChannel::drop_all() {
  Garbage garbage;
  std::int64_t dropped = 0;
  {
    const std::lock_guard lock(state_->mutex);
    if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
    dropped = state_->store.drop_waiting(garbage);
  }
  release(garbage);
  return dropped;
}

Result<DeadPage> MemoryChannel::dead_letters(std::size_t limit, std::string_view cursor) {
  const std::lock_guard lock(state_->mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  return state_->store.dead().page(limit, cursor);
}

Result<std::int64_t> MemoryChannel::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  const Instant now = clock_->now();
  ChannelState& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  const std::vector<DeadRecord> records = s.store.dead().take(ids, all);
  for (const DeadRecord& record : records) s.store.requeue(record, now.wall_ms, fresh_ttl);
  s.wake_as_needed();
  return static_cast<std::int64_t>(records.size());
}

Result<std::int64_t> MemoryChannel::purge_dead() {
  const std::lock_guard lock(state_->mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  return state_->store.dead().purge();
}

Result<void> MemoryChannel::close() {
  const std::lock_guard lock(state_->mutex);
  if (closed_) return {};
  closed_ = true;
  if (!state_->deleted) state_->store.give_back_all();
  state_->wake_all();
  return {};
}

}  // namespace lrpc::queue::memory
