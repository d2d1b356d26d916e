// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/backend.hpp>

#include "base/mutex.hpp"
#include "base/parker.hpp"
#include "base/timer_wheel.hpp"
#include "memory/store.hpp"

namespace lrpc::queue::memory {

/// A consumer that waits for a message; lives on its stack. Linked while it may be chosen to be woken; who takes it out
/// of its list owes it a release.
struct Waiter : detail::ListNode {
  detail::Parker parker;
};

/// How many consumers of a topic's channels are asleep or about to be: a producer looks at it after its push and a full
/// fence.
using Sleepers = std::atomic<std::uint32_t>;

/// Waiters that were chosen under a channel's lock. Declared before the lock, it wakes them after it: they would run
/// into the lock otherwise.
class WakeUps {
 public:
  WakeUps() = default;
  WakeUps(const WakeUps&) = delete;
  WakeUps& operator=(const WakeUps&) = delete;
  ~WakeUps() { release(); }
  /// Wakes them now; for who goes to sleep itself, without the lock.
  void release() noexcept {
    for (std::size_t i = 0; i < count_; ++i) chosen_[i]->release();
    count_ = 0;
  }
  void add(Waiter& waiter) noexcept {
    if (count_ < chosen_.size()) {
      chosen_[count_++] = &waiter.parker;
    } else {
      waiter.parker.release();
    }
  }

 private:
  std::array<detail::Parker*, 4> chosen_{};
  std::size_t count_ = 0;
};

/// What a channel is, open or not: its messages and those who wait for them. All members but `waiting` and the
/// producing side of the store are guarded by `mutex`.
struct ChannelState {
  ChannelState(std::string channel_name, std::shared_ptr<Sleepers> of_topic)
      : name(std::move(channel_name)), sleepers(std::move(of_topic)) {}

  std::string name;
  const std::shared_ptr<Sleepers> sleepers;
  std::atomic<std::uint32_t> waiting{0};  // consumers that are asleep or about to be
  alignas(64) detail::Mutex mutex;
  bool deleted = false;
  bool spinning = false;         // a consumer looks for a message in a loop
  int spins_in_vain = 0;         // of the last ones
  std::int64_t dropped = 0;      // by overflow and dead_letter_limit
  detail::List waiters;          // for a message; the leader last
  detail::List limited;          // for a settlement, at their limit (D11)
  Waiter* leader = nullptr;      // the one that sleeps no longer than the next timer
  std::int64_t leader_tick = 0;  // and until when
  Store store;

  // Each holds `mutex`.
  void count_sleeper() noexcept {
    waiting.fetch_add(1, std::memory_order_relaxed);
    sleepers->fetch_add(1, std::memory_order_relaxed);
  }
  void uncount_sleeper() noexcept {
    waiting.fetch_sub(1, std::memory_order_relaxed);
    sleepers->fetch_sub(1, std::memory_order_relaxed);
  }
  void wake(Waiter& waiter, WakeUps& wake_ups) noexcept;
  void wake_all(WakeUps& wake_ups) noexcept;
  /// After a settlement or an expired lease: whoever was at its limit looks again.
  void wake_limited(WakeUps& wake_ups) noexcept {
    if (!limited.empty()) wake_all(wake_ups);
  }
  /// After a change: wakes a consumer if something is ready, the leader if a timer is due earlier than it thinks.
  void wake_as_needed(WakeUps& wake_ups) noexcept {
    if (waiting.load(std::memory_order_relaxed) != 0) wake_someone(wake_ups);
  }

 private:
  void wake_someone(WakeUps& wake_ups) noexcept;
};

/// The consuming side of the memory back end.
class MemoryChannel final : public BackendChannel {
 public:
  MemoryChannel(std::shared_ptr<ChannelState> state, std::shared_ptr<Clock> clock, const ChannelPolicy& policy);

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override;
  void set_receiving(bool on) noexcept override;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override;
  Result<void> settle(std::span<Settlement> settlements) override;
  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override;
  std::optional<DeliveryTag> find(std::string_view id) override;
  Result<bool> ack_id(std::string_view id) override;
  Result<BackendStats> stats() override;
  Result<std::int64_t> drop_all() override;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override;
  Result<std::int64_t> purge_dead() override;
  void configure(const ChannelPolicy& policy) override;
  Result<void> close() override;

 private:
  enum class Wait { again, give_up };

  [[nodiscard]] Result<void> check_open() const;
  [[nodiscard]] std::int64_t lease_end(std::int64_t coarse_tick) const noexcept {
    return coarse_tick + lease_ms_ + coarse_lag_ms_;
  }
  using Lock = std::unique_lock<detail::Mutex>;
  Wait wait(Lock& lock, const ReceiveOptions& options, bool at_limit, WakeUps& wake_ups);
  bool spin(Lock& lock, WakeUps& wake_ups);
  void settle_one(Settlement& settlement, Slot& slot, Instant now, Garbage& garbage);

  const std::shared_ptr<ChannelState> state_;
  const std::shared_ptr<Clock> clock_;
  const std::int64_t coarse_lag_ms_;
  // Guarded by the state's mutex.
  std::int64_t lease_ms_ = 0;
  std::int64_t dead_letter_limit_ = 0;
  std::int64_t dropped_before_ = 0;
  bool receiving_ = true;
  bool closed_ = false;
};

}  // namespace lrpc::queue::memory
