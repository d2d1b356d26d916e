// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "engine/channel_core.hpp"

namespace lrpc::queue::detail {

/// Brings a subscription's outcomes to the back end. Where an ack costs a round trip they are collected: whoever comes
/// first carries them, and what arrives meanwhile goes with the next trip. What fails because the back end cannot be
/// reached is tried again (`retry`): a delivery's tag makes a repetition harmless. Thread-safe; owns no thread.
class SettleQueue {
 public:
  explicit SettleQueue(std::shared_ptr<ChannelCore> core) : core_(std::move(core)) {}

  /// Acks; with `may_wait`, where an ack costs a round trip, only notes it: the caller flushes soon (`deferred`).
  void ack(const DeliveryTag& tag, bool may_wait = false);
  void settle(Settlement settlement);
  void settle(std::vector<Settlement> settlements);

  /// When `retry` should be called; SteadyTime::max() when nothing waits for it.
  [[nodiscard]] SteadyTime retry_at() const;
  /// Whether something waits for `retry`, without a lock.
  [[nodiscard]] bool retries() const noexcept { return retries_.load(std::memory_order_acquire); }
  void retry();
  /// The deliveries whose outcome has not arrived yet: their leases must be renewed.
  [[nodiscard]] std::vector<DeliveryTag> pending() const;
  /// Whether acks were noted since the last flush, without a lock.
  [[nodiscard]] bool deferred() const noexcept { return deferred_.load(std::memory_order_acquire); }
  /// Sends what has gathered, or leaves it to who is sending now. Fills `out` from the front with what a back end hands
  /// out in the same trip, and returns how many came: none does not say that there are none.
  std::size_t flush(std::span<Delivery> out = {});
  /// As flush, and waits for who is sending now: when it returns all has arrived, or waits for `retry`.
  void flush_all();

 private:
  bool send_acks(std::span<const DeliveryTag> tags, std::span<Delivery> out, std::size_t& received);
  bool send(std::span<Settlement> settlements);
  bool failed(Error error, std::string_view doing);

  const std::shared_ptr<ChannelCore> core_;
  mutable std::mutex mutex_;  // innermost: nothing is called with it held
  std::vector<DeliveryTag> acks_;
  std::vector<Settlement> settlements_;
  std::vector<DeliveryTag> on_the_way_;
  std::condition_variable sent_;  // flushing_ has ended
  bool flushing_ = false;
  int failures_ = 0;
  SteadyTime retry_at_ = SteadyTime::max();
  std::atomic<bool> deferred_{false};
  std::atomic<bool> retries_{false};  // retry_at_ is set
};

}  // namespace lrpc::queue::detail
