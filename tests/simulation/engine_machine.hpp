// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/clock.hpp>

#include "base/timer_wheel.hpp"
#include "engine/channel_core.hpp"
#include "engine/settle_queue.hpp"
#include "machine.hpp"

namespace lrpc::queue::simulation {

/// Where a message stands as the engine's rules see it.
enum class Life : std::uint8_t { none, ready, out, settling, delayed, dead, gone };
enum class LifeEvent : std::uint8_t {
  publish,
  deliver,
  expire,
  dead_expired,
  dead_retries,
  ack,
  nack,
  reject,
  arrive_acked,
  arrive_ready,
  arrive_delayed,
  arrive_dead,
  arrive_dropped,
  lease_ends,
  due
};

extern Coverage life_coverage;

/// A channel of the memory back end behind a line that may be broken: what is sent then is refused, as unavailable.
class BrokenLine final : public BackendChannel {
 public:
  explicit BrokenLine(std::shared_ptr<BackendChannel> inner) : inner_(std::move(inner)) {}
  bool broken = false;
  bool refuses = false;  ///< For good: nobody tries again.

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    return inner_->receive(out, options);
  }
  void set_receiving(bool on) noexcept override { inner_->set_receiving(on); }
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override {
    if (auto bad = fault()) return std::unexpected(*bad);
    return inner_->ack(tags, done);
  }
  Result<void> settle(std::span<Settlement> settlements) override {
    if (auto bad = fault()) return std::unexpected(*bad);
    return inner_->settle(settlements);
  }
  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override {
    return inner_->touch(tags, lease, done);
  }
  std::optional<DeliveryTag> find(std::string_view id) override { return inner_->find(id); }
  Result<BackendStats> stats() override { return inner_->stats(); }
  Result<std::int64_t> drop_all() override { return inner_->drop_all(); }
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override {
    return inner_->dead_letters(limit, cursor);
  }
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override {
    return inner_->requeue_dead(ids, all, fresh_ttl);
  }
  Result<std::int64_t> purge_dead() override { return inner_->purge_dead(); }
  void configure(const ChannelPolicy& policy) override { inner_->configure(policy); }
  Result<void> close() override { return inner_->close(); }

 private:
  [[nodiscard]] std::optional<Error> fault() const {
    if (broken) return Error{.code = ErrorCode::unavailable, .message = "broken", .retryable = true};
    if (refuses) return Error{.code = ErrorCode::backend, .message = "refused"};
    return std::nullopt;
  }
  std::shared_ptr<BackendChannel> inner_;
};

/// The engine's parts that need no thread: what is delivered and what becomes of a failure (the policy, by way of the
/// core of a channel), outcomes on their way (the settle queue), and the timing wheel.
class EngineMachine final : public Machine {
 public:
  EngineMachine(std::uint64_t seed, Journal& journal);
  void step() override;
  void finish() override;

 private:
  struct Message {
    int attempts = 0;
    Life life = Life::ready;
    std::int64_t due = 0;
    std::int64_t lease_end = 0;
    bool renewed = false;
    bool lease_expired = false;
    std::int64_t expires_at = 0;
    std::int64_t enqueued_at_ms = 0;
    DeliveryTag tag{};
    std::uint64_t delivery = 0;
  };
  /// An outcome that the queue has, as it should arrive.
  struct Coming {
    int message = 0;
    std::uint64_t delivery = 0;
    Life becomes = Life::gone;
    Duration delay{0};
    bool counts = true;
    DeadReason reason = DeadReason::max_retries;
    DeliveryTag tag{};
  };
  struct Timer : detail::TimerNode {
    int number = 0;
  };
  using Step = bool (EngineMachine::*)();

  bool publish();
  bool receive();
  bool ack();
  bool fail();
  bool break_line();
  bool retry_line();
  bool pass_time();
  bool look_at_dead();
  bool add_timer();
  bool remove_timer();
  bool turn_wheel();

  void sent();
  void run_timers();
  void arrive(const Coming& coming);
  /// Whether it may be delivered as this attempt, by the contract's words (D7, D12).
  [[nodiscard]] std::optional<std::pair<Life, DeadReason>> given_up(const Message& message) const;
  [[nodiscard]] std::int64_t expiry_of(const Message& message) const;
  [[nodiscard]] Message* out_by(int number, std::uint64_t delivery);
  void count(Life from, LifeEvent event, Life to) const { life_coverage.count(from, event, to); }
  template <class Text>
  void say(Text&& text) {
    journal_.add(std::forward<Text>(text));
  }

  Random random_;
  Journal& journal_;
  std::shared_ptr<ManualClock> clock_;
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<BackendTopic> topic_;
  std::shared_ptr<BrokenLine> line_;
  ChannelPolicy policy_;
  std::shared_ptr<detail::ChannelCore> core_;
  std::unique_ptr<detail::SettleQueue> queue_;
  std::map<int, Message> messages_;
  int last_message_ = 0;
  std::uint64_t last_delivery_ = 0;
  std::vector<std::pair<int, std::uint64_t>> user_;
  std::vector<Coming> acks_;  ///< On their way, in order.
  std::vector<Coming> settlements_;
  std::deque<std::pair<int, DeadReason>> dead_;
  bool waits_for_retry_ = false;

  detail::TimerWheel wheel_;
  std::deque<Timer> timers_;
  std::multimap<std::int64_t, int> due_;
  std::int64_t wheel_now_ = 0;
};

}  // namespace lrpc::queue::simulation
