// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/policy.hpp>

#include "engine/context.hpp"
#include "engine/counters.hpp"

namespace lrpc::queue::detail {

/// Where a channel stands. It only ever moves to the right, from `open` on.
enum class ChannelLife : std::uint8_t { open, closing, closed, deleted };

/// What next and the subscriptions of one open channel share: the way of a delivery from the back end to the user and
/// of its outcome back. Thread-safe.
class ChannelCore {
 public:
  ChannelCore(std::shared_ptr<const Context> shared_context, std::string topic_name, std::string channel_name,
              const BodyType& body_type, std::shared_ptr<BackendChannel> backend_channel, const ChannelPolicy& policy)
      : context(std::move(shared_context)),
        topic(std::move(topic_name)),
        name(std::move(channel_name)),
        type(body_type),
        backend(std::move(backend_channel)),
        policy_(std::make_unique<const ChannelPolicy>(policy)),
        current_(policy_.get()) {}

  const std::shared_ptr<const Context> context;
  const std::string topic;
  const std::string name;
  const BodyType& type;
  const std::shared_ptr<BackendChannel> backend;
  Counters counters;
  std::atomic<ChannelLife> life{ChannelLife::open};
  std::atomic<bool> paused{false};
  std::atomic<bool> delivered_any{false};

  [[nodiscard]] const ChannelPolicy& policy() const noexcept { return *current_.load(std::memory_order_acquire); }
  /// Replaces the settings of a channel that was opened by get_channel and has delivered nothing yet; once at most, by
  /// the holder of the topic's lock.
  void reconfigure(const ChannelPolicy& policy) {
    backend->configure(policy);
    replaced_ = std::make_unique<const ChannelPolicy>(policy);
    current_.store(replaced_.get(), std::memory_order_release);
  }

  /// channel_closed or channel_not_found; only when not open.
  [[nodiscard]] Error closed_error() const;
  /// Adds topic, channel and back end to an error of the back end, and notes a deletion that it tells of.
  [[nodiscard]] Error explain(Error error, std::string_view doing);

  /// Sorts out what must not be delivered (expired, given up, undecodable), decodes the rest, moves it to the front
  /// of `deliveries` and returns how many remain. What could not be sorted out, because the back end does not answer,
  /// goes to `undone`, for deliveries whose lease goes on by itself, or is left to its lease.
  std::size_t admit(std::span<Delivery> deliveries, Instant now, std::vector<Settlement>* undone = nullptr);
  /// Counts deliveries that are handed to the user now.
  void count_delivered(std::span<const Delivery> deliveries);

  /// The settlement that carries out what becomes of a failed delivery.
  [[nodiscard]] Settlement settlement_for(const DeliveryTag& tag, const Failure& failure, std::string error) const;
  /// Counts and reports a settlement that took effect.
  void count_settled(const Settlement& settlement);
  void count_acked(std::size_t n);

 private:
  std::size_t sort_out(std::span<Delivery> deliveries, std::int64_t now_s, std::vector<Settlement>* undone);
  [[nodiscard]] static Settlement give_up(const DeliveryTag& tag, const Decision& decision, bool delivered,
                                          std::string error);

  std::unique_ptr<const ChannelPolicy> policy_;
  std::unique_ptr<const ChannelPolicy> replaced_;  // readers may still hold the first one
  std::atomic<const ChannelPolicy*> current_;
};

}  // namespace lrpc::queue::detail
