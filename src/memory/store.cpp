// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory/store.hpp"

#include <algorithm>

namespace lrpc::queue::memory {
namespace {

Slot& slot_of(detail::ListNode& node) noexcept { return static_cast<Slot&>(node); }

// Generations of different channels never meet, so that a tag is only good for its own channel: 24 bits of channel,
// 40 bits of deliveries.
std::uint64_t first_generation() noexcept {
  static std::atomic<std::uint64_t> channels{0};
  return (channels.fetch_add(1, std::memory_order_relaxed) + 1) << 40U;
}

}  // namespace

Store::Store() : generation_(first_generation()) {}

Store::~Store() {
  Garbage garbage;
  clear(garbage);
}

void Store::add_delayed(Envelope* message, std::int64_t due_tick, std::int64_t now_tick) {
  Slot& slot = slots_.acquire();
  slot.message = message;
  slot.state = Slot::State::delayed;
  wheel_.insert(slot, due_tick, now_tick);
  ++delayed_;
  others_.fetch_add(1, std::memory_order_release);
}

void Store::run_timers(std::int64_t now_tick) {
  wheel_.advance(now_tick, [this](detail::TimerNode& node) {
    Slot& slot = slot_of(node);
    if (slot.state == Slot::State::delayed) {
      --delayed_;
      line_up_behind(slot);
    } else {
      lease_ran_out(slot);
    }
  });
  while (!leases_.empty() && first_lease() <= now_tick) {
    Slot& slot = slot_of(*leases_.front());
    end_lease(slot);
    lease_ran_out(slot);
  }
}

// Keeps its generation: a late ack counts until the next hand-over (D9).
void Store::lease_ran_out(Slot& slot) {
  leave_flight(slot);
  slot.lease_expired = true;
  line_up_in_front(slot);
}

bool Store::has_ready() const noexcept { return queued_ > 0 || !fifo_.empty(); }

// What was given back comes first, then whatever queued up at or before the FIFO's present position.
Slot* Store::next_in_line() noexcept {
  if (detail::ListNode* node = front_.front()) return &slot_of(*node);
  if (detail::ListNode* node = behind_.front()) {
    Slot& slot = slot_of(*node);
    if (slot.order <= fifo_.popped()) return &slot;
  }
  return nullptr;
}

std::size_t Store::take(std::span<Delivery> out, bool renewed, std::int64_t lease_end, std::int64_t now_tick) {
  if (!renewed && !fits_line(lease_end)) wheel_.reserve(lease_end, now_tick);  // before anything changes
  std::size_t n = 0;
  std::size_t fresh = fifo_.available(out.size());
  while (n < out.size()) {
    Slot* slot = queued_ > 0 ? next_in_line() : nullptr;
    if (slot != nullptr) {
      slot->unlink();
      --queued_;
      slot->message->add_refs(1);
    } else if (fresh > 0) {
      slot = &slots_.acquire();
      slot->order = fifo_.popped();
      slot->message = fifo_.pop();
      --fresh;
    } else {
      break;
    }
    ++slot->attempts;
    Delivery& delivery = out[n++];
    delivery.message = EnvelopePtr::adopt(slot->message);
    delivery.attempts = slot->attempts;
    delivery.lease_expired = slot->lease_expired;
    slot->lease_expired = false;
    enter_flight(*slot, renewed, lease_end, now_tick);
    delivery.tag = {.slot = slot->number, .generation = slot->generation, .attempts = slot->attempts};
  }
  return n;
}

void Store::enter_flight(Slot& slot, bool renewed, std::int64_t lease_end, std::int64_t now_tick) {
  slot.generation = ++generation_;
  slot.state = Slot::State::in_flight;
  slot.renewed = renewed;
  ++in_flight_;
  if (!renewed) {
    ++unrenewed_;
    start_lease(slot, lease_end, now_tick);
  }
  if (index_.active() && !slot.indexed) index_.insert(slot);
}

bool Store::fits_line(std::int64_t lease_end) noexcept {
  return leases_.empty() || slot_of(*leases_.back()).due <= lease_end;
}

void Store::start_lease(Slot& slot, std::int64_t end, std::int64_t now_tick) {
  if (fits_line(end)) {
    slot.due = end;
    slot.listed = true;
    leases_.push_back(slot);
  } else {
    wheel_.insert(slot, end, now_tick);
  }
}

void Store::end_lease(Slot& slot) noexcept {
  if (slot.listed) {
    slot.listed = false;
    slot.unlink();
  } else {
    wheel_.remove(slot);
  }
}

void Store::leave_flight(Slot& slot) noexcept {
  --in_flight_;
  if (!slot.renewed) --unrenewed_;
  if (slot.linked()) end_lease(slot);
}

// Ends the newest delivery of a held slot: in flight, or back in line by an expired lease.
void Store::detach(Slot& slot) noexcept {
  if (slot.state == Slot::State::in_flight) {
    leave_flight(slot);
  } else {
    slot.unlink();
    --queued_;
    slot.lease_expired = false;
  }
  if (slot.indexed) index_.remove(slot);
  slot.generation = 0;
}

void Store::line_up_behind(Slot& slot) {
  slot.state = Slot::State::queued;
  slot.order = fifo_.pushed();
  behind_.push_back(slot);
  ++queued_;
}

void Store::line_up_in_front(Slot& slot) {
  slot.state = Slot::State::queued;
  // By the order of the first hand-over. They mostly come back in that order; the search is bounded all the same.
  constexpr int kSteps = 256;
  detail::ListNode* position = &front_.end();
  for (int i = 0; i < kSteps; ++i) {
    detail::ListNode* before = position->prev;
    if (before == &front_.end() || slot_of(*before).order <= slot.order) break;
    position = before;
  }
  slot.insert_before(*position);
  ++queued_;
}

Slot* Store::find(const Envelope::IdQuery& id) {
  if (!index_.active()) {
    index_.start(slots_.used() * 2);
    slots_.for_each([this](Slot& slot) {
      if (slot.generation != 0) index_.insert(slot);
    });
  }
  return index_.find(id);
}

void Store::retry(Slot& slot, bool count_attempt, std::int64_t due_tick, std::int64_t now_tick) {
  wheel_.reserve(due_tick, now_tick);  // before anything changes
  detach(slot);
  if (!count_attempt) --slot.attempts;
  if (due_tick <= now_tick) {
    line_up_behind(slot);
  } else {
    slot.state = Slot::State::delayed;
    wheel_.insert(slot, due_tick, now_tick);
    ++delayed_;
  }
}

void Store::give_back(Slot& slot, bool count_attempt) {
  detach(slot);
  if (!count_attempt) --slot.attempts;
  line_up_in_front(slot);
}

DeliveryTag Store::keep(Slot& slot, bool count_attempt, std::int64_t lease_end, std::int64_t now_tick) {
  const bool renewed = slot.renewed;
  if (!renewed) wheel_.reserve(lease_end, now_tick);  // before anything changes
  detach(slot);
  if (count_attempt) ++slot.attempts;
  enter_flight(slot, renewed, lease_end, now_tick);
  return {.slot = slot.number, .generation = slot.generation, .attempts = slot.attempts};
}

std::int64_t Store::bury(Slot& slot, Settlement& settlement, std::int64_t now_wall_ms, std::int64_t limit,
                         Garbage& garbage) {
  const int attempts = slot.attempts - (settlement.count_attempt ? 0 : 1);
  DeadRecord record{.message = EnvelopePtr::adopt(remove(slot)),
                    .reason = settlement.reason,
                    .error = std::move(settlement.error),
                    .attempts = attempts,
                    .first_at_ms = 0,
                    .last_at_ms = now_wall_ms};
  record.first_at_ms = record.message->enqueued_at_ms();
  return dead_.add(std::move(record), limit, garbage);
}

void Store::renew(Slot& slot, std::int64_t lease_end, std::int64_t now_tick) {
  if (slot.renewed) return;
  wheel_.reserve(lease_end, now_tick);  // before anything changes
  if (slot.state == Slot::State::in_flight) {
    end_lease(slot);
  } else {
    slot.unlink();
    --queued_;
    slot.lease_expired = false;
    slot.state = Slot::State::in_flight;
    ++in_flight_;
    ++unrenewed_;
  }
  // Not in the line of leases: one that ends late would keep the following ones out of it.
  wheel_.insert(slot, lease_end, now_tick);
}

void Store::give_back_all() {
  std::vector<Slot*> held;
  slots_.for_each([&](Slot& slot) {
    if (slot.state == Slot::State::in_flight) held.push_back(&slot);
  });
  std::ranges::sort(held, {}, &Slot::order);
  for (Slot* slot : held) give_back(*slot, true);
}

std::int64_t Store::drop_ready(std::int64_t n, Garbage& garbage) {
  std::int64_t dropped = 0;
  for (; dropped < n; ++dropped) {
    if (Slot* slot = queued_ > 0 ? next_in_line() : nullptr) {
      garbage.add(slot->message, 1);
      detach(*slot);
      slots_.release(*slot);
    } else if (!fifo_.empty()) {
      garbage.add(fifo_.pop(), 2);
    } else {
      break;
    }
  }
  count_removed(static_cast<std::uint64_t>(dropped));
  return dropped;
}

std::int64_t Store::drop_waiting(Garbage& garbage) {
  const std::int64_t ready = drop_ready(std::numeric_limits<std::int64_t>::max(), garbage);
  std::vector<Slot*> delayed;
  slots_.for_each([&](Slot& slot) {
    if (slot.state == Slot::State::delayed) delayed.push_back(&slot);
  });
  for (Slot* slot : delayed) {
    wheel_.remove(*slot);
    garbage.add(slot->message, 1);
    slots_.release(*slot);
  }
  delayed_ = 0;
  count_removed(delayed.size());
  return ready + static_cast<std::int64_t>(delayed.size());
}

void Store::clear(Garbage& garbage) {
  give_back_all();
  drop_waiting(garbage);
  dead_.purge(garbage);
}

void Store::requeue(const DeadRecord& record, std::int64_t now_wall_ms, Duration fresh_ttl) {
  // The dead record may be shared with a page that a user reads, and other channels share the envelope: a header of
  // its own for this channel.
  EnvelopePtr message = Envelope::alias(record.message);
  message->set_enqueued_at_ms(now_wall_ms);
  const std::int64_t expires_at = message->expires_at();
  if (expires_at != 0 && Instant{.wall_ms = now_wall_ms}.wall_s() >= expires_at) {
    message->set_expires_at(expiry_after(now_wall_ms, fresh_ttl));
  }
  Slot& slot = slots_.acquire();
  slot.message = message.release();
  line_up_behind(slot);
  others_.fetch_add(1, std::memory_order_release);
}

}  // namespace lrpc::queue::memory
