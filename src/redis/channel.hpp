// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/gate.hpp"
#include "redis/channel_store.hpp"
#include "redis/held.hpp"
#include "redis/listener.hpp"
#include "redis/reader.hpp"
#include "redis/topic_store.hpp"

namespace lrpc::queue::redis {

/// Of the line, not of the question: worth another try.
[[nodiscard]] inline bool passes(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::outcome_unknown ||
         error.code == ErrorCode::timeout;
}

/// The consuming side of a channel: one consumer of its group. Of the threads that receive one at a time asks the
/// server, the others wait for their turn.
/// Locks: `rebuild_mutex_`, then `mutex_`, which is not held while the server is asked.
class RedisChannel final : public BackendChannel, public Ears, public std::enable_shared_from_this<RedisChannel> {
 public:
  struct Parts {
    std::shared_ptr<TopicStore> topic{};
    std::shared_ptr<Route> route{};
    std::shared_ptr<Listener> listener{};
    std::shared_ptr<Clock> clock{};
    Logger logger{};
    std::string topic_name{};
    std::string name{};
    Incarnation incarnation{};
    ChannelPolicy policy{};
  };
  static std::shared_ptr<RedisChannel> open(Parts parts);
  explicit RedisChannel(Parts parts);

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override;
  void set_receiving(bool on) noexcept override;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override;
  Result<void> ack_and_receive(std::span<const DeliveryTag> tags, std::span<bool> done, std::span<Delivery> out,
                               std::size_t& received) override;
  Result<void> settle(std::span<Settlement> settlements) override;
  Result<void> touch(std::span<const DeliveryTag> tags, Duration time, std::span<bool> done) override;
  std::optional<DeliveryTag> find(std::string_view id) override;
  Result<BackendStats> stats() override;
  Result<std::int64_t> drop_all() override;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override;
  Result<std::int64_t> purge_dead() override;
  void configure(const ChannelPolicy& policy) override;
  Result<void> close() override;

  void heard() noexcept override;
  [[nodiscard]] bool wants_tick() const override { return long_leases_; }
  void tick() override;

  [[nodiscard]] const std::string& name() const noexcept { return parts_.name; }
  /// A message of another call here is due after this time.
  void delayed(Duration delay) noexcept {
    due_in(delay);
    wake();
  }
  /// Deleted by this process; others hear of it from the server.
  void was_deleted() noexcept {
    dead_ = true;
    wake();
  }
  /// Messages that were dropped to make room.
  void count_dropped(std::int64_t count) noexcept { dropped_ += count; }

 private:
  void wake() noexcept;
  void due_in(Duration delay) noexcept;
  void make_store();
  Result<std::size_t> ask(std::span<Delivery> out, const ReceiveOptions& options);
  Result<std::size_t> read_at_once(std::span<Delivery> out, bool renewed);
  Result<std::size_t> look(std::span<Delivery> out, bool renewed);
  void send_back(const std::vector<Taken>& taken);
  Result<void> find_lost();
  [[nodiscard]] bool look_is_due();
  [[nodiscard]] SteadyTime next_look();
  std::size_t hand_out(std::vector<Taken>&& taken, std::span<Delivery> out, bool renewed);
  [[nodiscard]] std::size_t room(const ReceiveOptions& options, std::size_t wanted) const;
  Result<void> rebuild(std::uint64_t rebuilt);
  std::unexpected<Error> explain(Error error, std::uint64_t rebuilt);
  template <class F>
  auto guarded(F&& call) -> decltype(call());
  Result<void> carry_out(std::vector<Outcome>& outcomes);
  struct Acking {
    std::vector<Handle> handles{};
    std::vector<std::size_t> places{};  // in the tags
    std::unique_ptr<bool[]> acked{};
    [[nodiscard]] std::span<bool> flags() const noexcept { return {acked.get(), handles.size()}; }
  };
  [[nodiscard]] Acking begin_ack(std::span<const DeliveryTag> tags) const;
  Result<void> end_ack(const Acking& acking, Result<void> result, std::span<const DeliveryTag> tags,
                       std::span<bool> done);
  bool begin_reading();
  void end_reading();
  Result<void> ack_some(std::span<const DeliveryTag> tags, std::span<bool> done);
  Result<void> touch_all(std::span<const DeliveryTag> tags, std::span<bool> done);
  void not_settled(DeliveryTag tag, const Error& error);
  [[nodiscard]] std::int64_t now() const { return parts_.clock->now().tick_ms; }
  [[nodiscard]] Duration lease() const noexcept { return Duration(lease_.load()); }
  [[nodiscard]] std::shared_ptr<ChannelStore> store() const {
    const std::lock_guard lock(mutex_);
    return store_;
  }
  [[nodiscard]] SteadyTime deadline() const;
  [[nodiscard]] std::unexpected<Error> closed() const;
  [[nodiscard]] std::unexpected<Error> deleted() const;

  Parts parts_;                      // `incarnation` guarded by mutex_
  std::atomic<std::int64_t> lease_;  // milliseconds
  std::atomic<std::int64_t> dead_limit_;
  std::shared_ptr<ChannelStore> store_;  // guarded by mutex_
  detail::Gate gate_;
  Waker waker_;
  std::atomic<bool> receiving_{true};
  std::atomic<bool> dead_{false};
  std::atomic<bool> look_{true};                        // there is something to look for
  std::atomic<std::int64_t> next_due_{Held::kForever};  // tick at which a delayed message is due
  std::atomic<std::int64_t> next_upkeep_{0};
  std::atomic<bool> maybe_lost_{false};  // entries may have been handed out that did not arrive
  std::atomic<bool> long_leases_{false};
  std::atomic<std::int64_t> dropped_{0};

  std::mutex rebuild_mutex_;               // before mutex_; held while the keys are made anew
  std::atomic<std::uint64_t> rebuilt_{0};  // how often they were
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t wakes_ = 0;
  bool asking_ = false;        // somebody asks the server, and waits
  bool searching_ = false;     // for entries that did not arrive: nobody else may read meanwhile
  std::int64_t promised_ = 0;  // deliveries that calls under way may bring to next
  std::size_t reading_ = 0;    // calls that read without being the one who asks
  HeldTable held_;
  std::int64_t kept_alive_at_ = 0;

  // Of who is asking.
  Reader reader_;
  std::string cursor_ = "0-0";
  std::vector<Ended> lost_;

  std::shared_ptr<void> on_jump_;  // last: ends before what it wakes
};

/// A call that may come after an operator's DEL; then it is made again.
template <class F>
auto RedisChannel::guarded(F&& call) -> decltype(call()) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (dead_) return deleted();
  const std::uint64_t rebuilt = rebuilt_;
  auto result = call();
  if (result || !is_gone(result.error())) return result;
  if (auto ok = rebuild(rebuilt); !ok) return std::unexpected(std::move(ok.error()));
  return call();
}

}  // namespace lrpc::queue::redis
