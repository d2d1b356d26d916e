// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <lrpc/queue/detail/engine.hpp>

namespace lrpc::queue {

/// Control of a running subscription. Dropping it stops nothing. Copyable, thread-safe.
class Subscription {
 public:
  explicit Subscription(std::shared_ptr<detail::SubscriptionEngine> engine) noexcept : engine_(std::move(engine)) {}

  /// Stops taking messages, gives back those that no handler has seen and waits for running handlers, at most
  /// `timeout` (default: the channel's close_timeout). `timeout` error when one still runs: its message is handed out
  /// again at once and its late result is ignored (D20). From within one of its own handlers it does not wait for that
  /// handler. Calling it again is fine.
  Result<void> stop(std::optional<Duration> timeout = std::nullopt) { return engine_->stop(timeout); }

  /// Waits until the subscription has ended, by `stop` or because the channel was closed. `cancelled` when the token
  /// is triggered first.
  [[nodiscard]] Result<void> wait(const std::stop_token& stop = {}) { return engine_->wait(stop); }

 private:
  std::shared_ptr<detail::SubscriptionEngine> engine_;
};

}  // namespace lrpc::queue
