// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/timer_wheel.hpp"
#include "memory/dead_letters.hpp"
#include "memory/fifo.hpp"
#include "memory/garbage.hpp"
#include "memory/slots.hpp"

namespace lrpc::queue::memory {

/// The messages of one channel and what becomes of them: line, leases, delays, dead letters. Neither locks, waits nor
/// reads a clock. `push`, `room` and the fifo's producing side belong to the holder of the topic's lock; everything
/// else to the holder of the channel's lock.
///
/// References: a message in the FIFO carries two, the slot's and the one its first delivery takes along, so that
/// handing it out costs no atomic write; everywhere else a message carries one.
class Store {
 public:
  Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  // -- Producer: holder of the topic's lock ---------------------------------------------------------------------

  /// Messages held: ready, in flight and delayed (D19). Exact for the producer; never too low for others.
  [[nodiscard]] std::int64_t depth() const noexcept {
    const std::uint64_t removed = removed_.load(std::memory_order_acquire);  // first, so that the rest is not older
    return static_cast<std::int64_t>(fifo_.pushed() + others_.load(std::memory_order_acquire) - removed);
  }
  /// Whether `count` more keep the depth within `limit`.
  [[nodiscard]] bool has_room(std::int64_t count, std::int64_t limit) noexcept {
    const auto held = [&] {
      return static_cast<std::int64_t>(fifo_.pushed() + others_.load(std::memory_order_acquire) - removed_seen_);
    };
    // The consumer's counter, which costs a cache miss, is looked at only when the last look does not suffice.
    if (count <= limit - held()) return true;
    removed_seen_ = removed_.load(std::memory_order_acquire);
    return count <= limit - held();
  }
  [[nodiscard]] Fifo& fifo() noexcept { return fifo_; }

  // -- Consumer: holder of the channel's lock -------------------------------------------------------------------

  /// Adds a message that is due later; takes over one reference.
  void add_delayed(Envelope* message, std::int64_t due_tick, std::int64_t now_tick);
  /// Brings what is due by now into line: delayed messages behind, expired leases in front.
  void run_timers(std::int64_t now_tick);
  /// The earliest time at which run_timers may have something to do.
  [[nodiscard]] std::int64_t next_event() const noexcept {
    return leases_.empty() ? wheel_.next_event() : std::min(wheel_.next_event(), first_lease());
  }

  /// Hands out what is ready, up to out.size(). `lease_end` is the tick at which a lease of these ends.
  std::size_t take(std::span<Delivery> out, bool renewed, std::int64_t lease_end, std::int64_t now_tick);
  [[nodiscard]] bool has_ready() const noexcept;
  /// Deliveries handed to next and not settled.
  [[nodiscard]] std::int64_t unrenewed() const noexcept { return unrenewed_; }

  /// The slot whose newest delivery is `tag` and not settled; null when there is none (D10). A delivery whose lease
  /// ran out counts until it is handed out again (D9).
  [[nodiscard]] Slot* held(const DeliveryTag& tag) const noexcept {
    Slot* slot = slots_.find(tag.slot);
    return slot != nullptr && tag.generation != 0 && slot->generation == tag.generation ? slot : nullptr;
  }
  /// The newest unsettled delivery of that id.
  [[nodiscard]] Slot* find(const Envelope::IdQuery& id);

  // The ways a delivery ends. Each takes a held slot.

  /// Returns the message, whose reference the caller releases.
  Envelope* remove(Slot& slot) noexcept {
    Envelope* message = slot.message;
    detach(slot);
    slots_.release(slot);
    count_removed(1);
    return message;
  }
  void retry(Slot& slot, bool count_attempt, std::int64_t due_tick, std::int64_t now_tick);
  void give_back(Slot& slot, bool count_attempt);
  /// Starts the next delivery without leaving the holder; returns its tag.
  DeliveryTag keep(Slot& slot, bool count_attempt, std::int64_t lease_end, std::int64_t now_tick);
  /// Returns how many dead letters had to go for the limit.
  std::int64_t bury(Slot& slot, Settlement& settlement, std::int64_t now_wall_ms, std::int64_t limit, Garbage& garbage);
  void renew(Slot& slot, std::int64_t lease_end, std::int64_t now_tick);
  /// Gives all deliveries back, in their order, attempts counted.
  void give_back_all();

  /// Drops up to `n` of the oldest ready messages; returns how many.
  std::int64_t drop_ready(std::int64_t n, Garbage& garbage);
  /// Drops all ready and delayed messages; returns how many.
  std::int64_t drop_waiting(Garbage& garbage);
  /// Drops everything, dead letters included.
  void clear(Garbage& garbage);

  DeadLetters& dead() noexcept { return dead_; }
  /// Puts a dead letter's message back in line as new (its enqueued_at is `now_wall_ms`).
  void requeue(const DeadRecord& record, std::int64_t now_wall_ms, Duration fresh_ttl);

  [[nodiscard]] std::int64_t in_flight_count() const noexcept { return in_flight_; }
  [[nodiscard]] std::int64_t delayed_count() const noexcept { return delayed_; }

 private:
  void count_removed(std::uint64_t n) noexcept {
    removed_.store(removed_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  [[nodiscard]] std::int64_t first_lease() const noexcept { return static_cast<const Slot*>(leases_.front())->due; }
  [[nodiscard]] bool fits_line(std::int64_t lease_end) noexcept;
  void start_lease(Slot& slot, std::int64_t end, std::int64_t now_tick);
  void end_lease(Slot& slot) noexcept;
  void lease_ran_out(Slot& slot);
  void leave_flight(Slot& slot) noexcept;
  void detach(Slot& slot) noexcept;
  void enter_flight(Slot& slot, bool renewed, std::int64_t lease_end, std::int64_t now_tick);
  void line_up_behind(Slot& slot);
  void line_up_in_front(Slot& slot);
  Slot* next_in_line() noexcept;

  Fifo fifo_;
  // Producer's side; seldom written.
  alignas(64) std::atomic<std::uint64_t> others_{0};  // messages that came in otherwise than through the FIFO
  std::uint64_t removed_seen_ = 0;
  // Consumer's side.
  alignas(64) std::atomic<std::uint64_t> removed_{0};
  SlotTable slots_;
  detail::List leases_;       // by their end, as they began: most leases of a channel are equally long
  detail::TimerWheel wheel_;  // the other leases, and delays
  detail::List front_;        // given back or lease run out, by their old order: before the FIFO
  detail::List behind_;       // retried or due, by the FIFO position they queued at
  std::int64_t queued_ = 0;   // in front_ and behind_
  std::int64_t in_flight_ = 0;
  std::int64_t unrenewed_ = 0;
  std::int64_t delayed_ = 0;
  std::uint64_t generation_;
  IdIndex index_;
  DeadLetters dead_;
};

}  // namespace lrpc::queue::memory
