// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <lrpc/queue/detail/engine.hpp>

#include "engine/channel_core.hpp"
#include "engine/runner.hpp"

namespace lrpc::queue::detail {

/// One open channel. Lock order: `mutex_`, then a runner's; none is held during back-end calls or waits for handlers.
class ChannelImpl final : public ChannelEngine, public std::enable_shared_from_this<ChannelImpl> {
 public:
  /// `forget` takes the channel out of its topic's list; called once, when it has ended.
  ChannelImpl(std::shared_ptr<ChannelCore> core, bool implicit, std::function<void(ChannelImpl*)> forget)
      : core_(std::move(core)), implicit_(implicit), forget_(std::move(forget)) {}

  [[nodiscard]] const std::string& name() const noexcept override { return core_->name; }
  Result<void> next(Delivery& out, const std::optional<Duration>& timeout, const std::stop_token& stop) override;
  Result<void> next_batch(std::span<Delivery> out, std::size_t& taken, Duration timeout) override;
  Result<void> ack(const DeliveryTag& tag) override;
  Result<void> ack_id(std::string_view id) override;
  Result<void> ack_many(std::span<const DeliveryTag> tags,
                        const std::function<std::string(std::size_t)>& id_of) override;
  Result<void> nack(const DeliveryTag& tag, const NackOptions& options) override;
  Result<void> nack_id(std::string_view id, const NackOptions& options) override;
  Result<void> nack_many(std::span<const DeliveryTag> tags, const std::function<std::string(std::size_t)>& id_of,
                         const NackOptions& options) override;
  Result<void> touch(const DeliveryTag& tag, const std::optional<Duration>& lease) override;
  Result<void> touch_id(std::string_view id, const std::optional<Duration>& lease) override;
  Result<void> touch_many(std::span<const DeliveryTag> tags, const std::function<std::string(std::size_t)>& id_of,
                          const std::optional<Duration>& lease) override;
  Result<std::shared_ptr<SubscriptionEngine>> subscribe(AnyHandler handler) override;
  Result<std::int64_t> depth() override;
  Result<ChannelStats> stats() override;
  Result<void> pause() override;
  Result<void> resume() override;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all) override;
  Result<std::int64_t> purge_dead() override;
  Result<std::int64_t> drop_all() override;
  Result<void> close() override;

  [[nodiscard]] ChannelCore& core() noexcept { return *core_; }
  /// Opened by get_channel, so that a get_or_add_channel before the first delivery may replace its settings.
  [[nodiscard]] bool replaceable() const noexcept { return implicit_ && !core_->delivered_any; }
  void made_explicit() noexcept { implicit_ = false; }

  /// First half of a close: no new deliveries. Does not wait. False when somebody else has begun it.
  bool begin_close();
  /// Second half, for who began it: waits for handlers, gives everything back. `parent` is released when the channel
  /// has ended, which is after this returns when the caller runs a handler of the channel. `timeout` when a handler
  /// still runs.
  Result<void> finish_close(std::shared_ptr<void> parent);
  /// The channel was deleted: ends everything that is open on it.
  void mark_deleted();
  /// Asks the back end whether another process deleted the channel.
  void look_for_deletion();
  /// Where begin_close returned false: waits until the close that another thread began, or the handlers of a deleted
  /// channel, have ended; not when this thread runs one of the handlers.
  Result<void> await_end();

 private:
  /// Fills `out` from the front; `taken` of them, at least one.
  Result<void> take(std::span<Delivery> out, std::size_t& taken, const std::optional<Duration>& timeout,
                    const std::stop_token& stop);
  bool wait_for_resume(const std::optional<SteadyTime>& deadline, const std::stop_token& stop);
  Result<void> end();
  bool wait_out(Error& error, SteadyTime deadline, const std::stop_token& stop, int failures);
  [[nodiscard]] std::vector<std::shared_ptr<Runner>> runners();
  [[nodiscard]] bool is_open() const noexcept {
    return core_->life.load(std::memory_order_acquire) == ChannelLife::open;
  }
  /// While the channel closes, its last handlers may still settle what they have (D20).
  [[nodiscard]] bool settles() const noexcept {
    return core_->life.load(std::memory_order_acquire) <= ChannelLife::closing;
  }
  [[nodiscard]] std::unexpected<Error> closed() const { return std::unexpected(core_->closed_error()); }
  [[nodiscard]] std::unexpected<Error> explain(Error&& error, std::string_view doing) {
    return std::unexpected(core_->explain(std::move(error), doing));
  }
  [[nodiscard]] Error not_found(std::string_view what) const;
  [[nodiscard]] bool unseen(std::string_view id);
  Result<DeliveryTag> find(std::string_view id);
  Result<void> report(std::span<const bool> done, const std::function<std::string(std::size_t)>& id_of) const;

  const std::shared_ptr<ChannelCore> core_;
  std::atomic<bool> implicit_;
  std::atomic<bool> subscribed_{false};  // ever
  const std::function<void(ChannelImpl*)> forget_;
  std::mutex receiving_mutex_;  // pause, resume and close switch receiving one at a time; before `mutex_`
  std::mutex mutex_;
  std::condition_variable_any changed_;  // resume, close
  std::vector<std::shared_ptr<Runner>> runners_;
  SteadyTime close_deadline_{};
  bool ended_ = false;
};

}  // namespace lrpc::queue::detail
