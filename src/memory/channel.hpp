// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/backend.hpp>

#include "base/parker.hpp"
#include "base/timer_wheel.hpp"
#include "memory/store.hpp"

namespace lrpc::queue::memory {

/// A consumer that waits for a message; lives on its stack.
struct Waiter : detail::ListNode {
  detail::Parker parker;
};

/// What a channel is, open or not: its messages and those who wait for them. All members but `waiting` and the
/// producing side of the store are guarded by `mutex`.
struct ChannelState {
  explicit ChannelState(std::string channel_name) : name(std::move(channel_name)) {}

  std::string name;
  std::mutex mutex;
  Store store;
  bool deleted = false;
  std::int64_t dropped = 0;  // by overflow and dead_letter_limit

  /// Consumers that are asleep or about to be; a producer reads it after its push and a full fence.
  std::atomic<std::uint32_t> waiting{0};
  detail::List waiters;          // for a message; the leader last
  detail::List limited;          // for a settlement, at their limit (D11)
  Waiter* leader = nullptr;      // the one that sleeps no longer than the next timer
  std::int64_t leader_tick = 0;  // and until when

  // Each holds `mutex`.
  void wake_one() noexcept;
  void wake_new_leader() noexcept;
  void wake_all() noexcept;
  /// After a change: wakes a consumer if something is ready, the leader if a timer is due earlier than it thinks.
  void wake_as_needed() noexcept;
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
  Wait wait(std::unique_lock<std::mutex>& lock, const ReceiveOptions& options, bool at_limit);
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
