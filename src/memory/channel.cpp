// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory/channel.hpp"

#include <algorithm>
#include <utility>

#include "base/fence.hpp"
#include "base/futex.hpp"

namespace lrpc::queue::memory {
namespace {

Waiter& waiter_of(detail::ListNode& node) noexcept { return static_cast<Waiter&>(node); }

constexpr int kSpinRounds = 40;  // with their pauses, a few microseconds: less than a sleep and a wake-up cost
constexpr int kSpinsInVain = 8;  // after so many in a row, only every 16th wait begins with a spin
constexpr int kSpinAgain = 16;

}  // namespace

void ChannelState::wake(Waiter& waiter, WakeUps& wake_ups) noexcept {
  waiter.unlink();
  uncount_sleeper();
  wake_ups.add(waiter);
}

void ChannelState::wake_all(WakeUps& wake_ups) noexcept {
  waiters.splice_back(limited);
  while (detail::ListNode* node = waiters.front()) wake(waiter_of(*node), wake_ups);
}

void ChannelState::wake_someone(WakeUps& wake_ups) noexcept {
  if (!waiters.empty() && store.has_ready()) wake(waiter_of(*waiters.front()), wake_ups);
  if (leader == nullptr) {
    // Somebody must watch the timers: whoever wakes leads before it sleeps again.
    detail::List& line = waiters.empty() ? limited : waiters;
    if (!line.empty() && store.next_event() != detail::TimerWheel::kNever) {
      wake(waiter_of(*line.front()), wake_ups);
    }
  } else if (store.next_event() < leader_tick) {
    leader->parker.poke();
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
  Instant now = options.now;
  ChannelState& s = *state_;
  WakeUps wake_ups;
  Lock lock(s.mutex);
  for (bool spun = false;;) {
    if (closed_ || s.deleted) return std::unexpected(std::move(check_open().error()));
    if (!receiving_) return std::size_t{0};
    if (s.store.next_event() <= now.tick_ms) {
      s.store.run_timers(now.tick_ms);
      s.wake_limited(wake_ups);  // a lease that ran out left room (D11)
    }
    std::size_t room = out.size();
    if (options.limit > 0 && !options.renewed) {
      const std::int64_t left = options.limit - s.store.unrenewed();
      room = std::min(room, static_cast<std::size_t>(std::max<std::int64_t>(left, 0)));
    }
    const std::size_t n = s.store.take(out.first(room), options.renewed, lease_end(now.tick_ms), now.tick_ms);
    if (n > 0) {
      s.wake_as_needed(wake_ups);
      return n;
    }
    const bool at_limit = room == 0;
    const bool over = options.deadline == SteadyTime{} || options.stop.stop_requested();
    // What we may not take, or a wake-up that was meant for us, is for others.
    if (at_limit || over) s.wake_as_needed(wake_ups);
    if (over) return std::size_t{0};
    if (!at_limit && !spun) {
      spun = true;
      if (spin(lock, wake_ups)) {
        now = clock_->coarse();
        continue;
      }
    }
    if (wait(lock, options, at_limit, wake_ups) == Wait::give_up) {
      s.wake_as_needed(wake_ups);
      return std::size_t{0};
    }
    now = clock_->now();
  }
}

// Looks for a message in a loop for a while, without the lock: where messages come one after the other this spares
// the producer a system call for each. True when there may be one. One consumer at a time, and seldom where it has been
// in vain lately.
bool MemoryChannel::spin(Lock& lock, WakeUps& wake_ups) {
  ChannelState& s = *state_;
  if (s.spinning || !detail::may_spin()) return false;
  if (s.spins_in_vain > kSpinsInVain) {
    ++s.spins_in_vain;
    if (s.spins_in_vain < kSpinsInVain + kSpinAgain) return false;
  }
  const std::uint64_t popped = s.store.fifo().popped();
  s.spinning = true;
  lock.unlock();
  wake_ups.release();
  bool found = false;
  for (int round = 0; round < kSpinRounds && !found; ++round) {
    // Seldom enough not to take the cache line away from the producer all the time.
    for (int i = std::min(round, 8); i >= 0; --i) detail::spin_pause();
    found = s.store.fifo().pushed() != popped;
  }
  lock.lock();
  s.spinning = false;
  s.spins_in_vain = found ? 0 : std::min(s.spins_in_vain, kSpinsInVain) + 1;
  return found;
}

MemoryChannel::Wait MemoryChannel::wait(Lock& lock, const ReceiveOptions& options, bool at_limit, WakeUps& wake_ups) {
  ChannelState& s = *state_;
  SteadyTime wake_at = options.deadline;
  if (wake_at != SteadyTime::max() && std::chrono::steady_clock::now() >= wake_at) return Wait::give_up;
  Waiter waiter;
  s.count_sleeper();
  detail::full_fence();
  if (closed_ || s.deleted || !receiving_ || (!at_limit && s.store.has_ready())) {
    s.uncount_sleeper();
    return Wait::again;
  }
  detail::List& line = at_limit ? s.limited : s.waiters;
  if (s.leader == nullptr) {
    s.leader = &waiter;
    line.push_back(waiter);
    s.leader_tick = s.store.next_event();
    if (s.leader_tick != detail::TimerWheel::kNever) wake_at = std::min(wake_at, clock_->real(s.leader_tick));
  } else {
    // The newest is woken first (its cache is warm) and the leader last, so that its duty seldom changes hands.
    waiter.insert_before(*line.end().next);
  }
  lock.unlock();
  wake_ups.release();
  detail::Parker::Woken woken{};
  {
    const auto poke = [&] { waiter.parker.poke(); };
    std::optional<std::stop_callback<decltype(poke)>> on_stop;
    if (options.stop.stop_possible()) on_stop.emplace(options.stop, poke);
    woken = waiter.parker.park_until(wake_at);
  }
  lock.lock();
  if (s.leader == &waiter) s.leader = nullptr;
  if (waiter.linked()) {
    waiter.unlink();
    s.uncount_sleeper();
  } else if (woken != detail::Parker::Woken::released) {
    // Somebody has chosen us this moment and is about to say so.
    lock.unlock();
    while (waiter.parker.park_until(SteadyTime::max()) != detail::Parker::Woken::released) {
    }
    lock.lock();
  }
  // Whoever returns from receive looks whether somebody else must watch the timers now.
  return Wait::again;
}

void MemoryChannel::set_receiving(bool on) noexcept {
  WakeUps wake_ups;
  const std::lock_guard lock(state_->mutex);
  receiving_ = on;
  if (!on) state_->wake_all(wake_ups);
}

Result<void> MemoryChannel::ack(std::span<const DeliveryTag> tags, std::span<bool> done) {
  ChannelState& s = *state_;
  if (tags.size() == 1) {
    EnvelopePtr settled;  // destroyed last: without the lock, and when nobody waits for it
    WakeUps wake_ups;
    const std::lock_guard lock(s.mutex);
    if (closed_ || s.deleted) return check_open();
    Slot* slot = s.store.held(tags[0]);
    done[0] = slot != nullptr;
    if (slot != nullptr) settled = EnvelopePtr::adopt(s.store.remove(*slot));
    s.wake_limited(wake_ups);
    return {};
  }
  // Batches release their messages in runs, so that no lock is held while bodies are destroyed and nothing is
  // allocated.
  constexpr std::size_t kRun = 64;
  for (std::size_t begin = 0; begin < tags.size(); begin += kRun) {
    std::array<Envelope*, kRun> settled;
    std::size_t count = 0;
    WakeUps wake_ups;
    {
      const std::lock_guard lock(s.mutex);
      if (closed_ || s.deleted) return check_open();
      const std::size_t end = std::min(tags.size(), begin + kRun);
      for (std::size_t i = begin; i < end; ++i) {
        Slot* slot = s.store.held(tags[i]);
        done[i] = slot != nullptr;
        if (slot != nullptr) settled[count++] = s.store.remove(*slot);
      }
      s.wake_limited(wake_ups);
    }
    for (std::size_t i = 0; i < count; ++i) Envelope::drop_refs(settled[i]);
  }
  return {};
}

Result<bool> MemoryChannel::ack_id(std::string_view id) {
  const Envelope::IdQuery query(id);  // parsed without the lock
  EnvelopePtr settled;
  WakeUps wake_ups;
  const std::lock_guard lock(state_->mutex);
  if (closed_ || state_->deleted) return std::unexpected(std::move(check_open().error()));
  Slot* slot = state_->store.find(query);
  if (slot == nullptr) return false;
  settled = EnvelopePtr::adopt(state_->store.remove(*slot));
  state_->wake_limited(wake_ups);
  return true;
}

Result<void> MemoryChannel::settle(std::span<Settlement> settlements) {
  ChannelState& s = *state_;
  const Instant now = clock_->now();
  Garbage garbage;
  WakeUps wake_ups;
  const std::lock_guard lock(s.mutex);
  if (closed_ || s.deleted) return check_open();
  for (Settlement& settlement : settlements) {
    Slot* slot = s.store.held(settlement.tag);
    settlement.done = slot != nullptr;
    if (slot != nullptr) settle_one(settlement, *slot, now, garbage);
  }
  s.wake_limited(wake_ups);
  s.wake_as_needed(wake_ups);
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
      state_->dropped += store.bury(slot, settlement, now.wall_ms, dead_letter_limit_, garbage);
      break;
    case Settlement::Action::drop:
      garbage.add(store.remove(slot), 1);
      break;
  }
}

Result<void> MemoryChannel::touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) {
  ChannelState& s = *state_;
  const Instant now = clock_->now();
  WakeUps wake_ups;
  const std::lock_guard lock(s.mutex);
  if (closed_ || s.deleted) return check_open();
  for (std::size_t i = 0; i < tags.size(); ++i) {
    Slot* slot = s.store.held(tags[i]);
    done[i] = slot != nullptr;
    if (slot != nullptr) s.store.renew(*slot, now.tick_ms + lease.count(), now.tick_ms);
  }
  s.wake_as_needed(wake_ups);
  return {};
}

std::optional<DeliveryTag> MemoryChannel::find(std::string_view id) {
  const Envelope::IdQuery query(id);
  const std::lock_guard lock(state_->mutex);
  Slot* slot = state_->store.find(query);
  if (slot == nullptr) return std::nullopt;
  return DeliveryTag{.slot = slot->number, .generation = slot->generation, .attempts = slot->attempts};
}

Result<BackendStats> MemoryChannel::stats() {
  const Instant now = clock_->now();
  ChannelState& s = *state_;
  WakeUps wake_ups;
  const std::lock_guard lock(s.mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  s.store.run_timers(now.tick_ms);
  s.wake_limited(wake_ups);
  s.wake_as_needed(wake_ups);
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
  const std::lock_guard lock(state_->mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  return state_->store.drop_waiting(garbage);
}

Result<DeadPage> MemoryChannel::dead_letters(std::size_t limit, std::string_view cursor) {
  const std::lock_guard lock(state_->mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  return state_->store.dead().page(limit, cursor);
}

Result<std::int64_t> MemoryChannel::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  const Instant now = clock_->now();
  ChannelState& s = *state_;
  WakeUps wake_ups;
  const std::lock_guard lock(s.mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  const std::vector<DeadRecord> records = s.store.dead().take(ids, all);
  for (const DeadRecord& record : records) s.store.requeue(record, now.wall_ms, fresh_ttl);
  s.wake_as_needed(wake_ups);
  return static_cast<std::int64_t>(records.size());
}

Result<std::int64_t> MemoryChannel::purge_dead() {
  Garbage garbage;
  const std::lock_guard lock(state_->mutex);
  if (auto open = check_open(); !open) return std::unexpected(std::move(open.error()));
  return state_->store.dead().purge(garbage);
}

Result<void> MemoryChannel::close() {
  WakeUps wake_ups;
  const std::lock_guard lock(state_->mutex);
  if (closed_) return {};
  closed_ = true;
  if (!state_->deleted) state_->store.give_back_all();
  state_->wake_all(wake_ups);
  return {};
}

}  // namespace lrpc::queue::memory
