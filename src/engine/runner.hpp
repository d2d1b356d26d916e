// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <lrpc/queue/detail/engine.hpp>

#include "engine/channel_core.hpp"
#include "engine/settle_queue.hpp"

namespace lrpc::queue::detail {

/// A running subscription: fetches deliveries, runs the handler on up to max_in_flight threads, keeps the order of
/// keys, renews leases, bounds handlers, drains.
///
/// Threads: workers, started as they are needed and ended when idle for a while. One of the workers that have nothing
/// to do fetches, the others sleep. A timekeeper, started when first needed, does what must happen at a time: held
/// retries, lease renewals, handler_timeout, repeated settlements, and finding work that waits behind a handler that
/// unexpectedly takes long. All members behind `mutex_` belong to its holder; no back-end call and no user code runs
/// with it held. Threads hold a shared pointer to the runner.
class Runner final : public SubscriptionEngine, public std::enable_shared_from_this<Runner> {
 public:
  /// An explicit delay beyond this gives up the order of the key (D8).
  static constexpr Duration kLongestHold = std::chrono::minutes(1);

  /// `owner` is kept alive until the last thread has ended.
  Runner(std::shared_ptr<ChannelCore> core, std::shared_ptr<void> owner, AnyHandler handler);
  ~Runner() override;

  /// False when the system gives no thread.
  [[nodiscard]] bool start();
  Result<void> stop(const std::optional<Duration>& timeout) override;
  Result<void> wait(const std::stop_token& stop) override;

  /// Takes no more messages and gives back those that no handler has seen. Does not wait.
  void begin_stop();
  /// Waits until no handler runs, the caller's own excepted, then ends the threads. False when `deadline` came first:
  /// the deliveries of the handlers still running are then given back and their results ignored (D20).
  bool await_stop(SteadyTime deadline);
  /// Whether the calling thread runs a handler of this subscription.
  [[nodiscard]] bool in_handler() const noexcept;
  /// Calls `action` once the calling thread's handler has ended and its outcome is stored. Only when in_handler().
  void after_handler(std::function<void()> action);
  /// If `tag` is the delivery of a handler running here and has a key: keeps it here until `retry.delay` has passed and
  /// with it the later messages of the key (D8). False = not done, `retry` is to be settled as any other.
  bool hold(DeliveryTag tag, const Settlement& retry);
  /// To be called after the channel was paused or resumed.
  void pause_changed();
  /// Messages fetched that no handler has seen: they count as ready.
  [[nodiscard]] std::int64_t prefetched() const;
  /// Whether a message of that id is among them, or waits for its key: it is not in flight for whoever settles by id.
  [[nodiscard]] bool holds_unseen(const Envelope::IdQuery& id) const;
  [[nodiscard]] bool ended() const;

 private:
  struct Item {
    Delivery delivery{};
    std::int64_t admitted_s = 0;         // the second at which it had not expired
    bool again = false;                  // a held retry: must be admitted anew
    std::unique_ptr<Settlement> keep{};  // of a held retry: what the back end could not be told yet

    /// Empty = no order to keep.
    [[nodiscard]] const std::string& key() const noexcept { return delivery.message->key(); }
  };
  /// A keyed retry that waits here for its time (D8).
  struct Held {
    std::int64_t due = 0;
    Item item{};
  };
  /// The order of one key: one item is out (running, ready to run or held), the later ones wait.
  struct KeyLine {
    std::deque<Item> waiting;
  };
  struct Worker {
    std::thread thread;
    bool busy = false;                  // in the handler
    std::atomic<bool> handling{false};  // the handler has not returned
    std::optional<Held> retry{};        // to be held once it has
    std::atomic<bool> given_up{false};  // handler_timeout or stop: the outcome is decided, the result ignored
    DeliveryTag tag{};
    EnvelopePtr message{};  // only of keyed items
    std::string key{};
    std::int64_t started_tick = 0;
    std::function<void()> after{};  // see after_handler
  };
  using Workers = std::list<Worker>;
  enum class Speed : std::uint8_t { unknown, fast, slow };

  // workers (runner.cpp)
  void work(Workers::iterator me);
  void run(std::unique_lock<std::mutex>& lock, Worker& me, Item& item);
  Result<ProcessRsp> call_handler(Delivery&& delivery);
  Result<ProcessRsp> intercept(std::size_t index, const HandleCall& call, EnvelopePtr& message, Delivery& delivery);
  void finish(const Worker& me, Result<ProcessRsp>&& result, bool quick);
  void settle_failure(const Worker& me, const Failure& failure, std::string error, bool may_hold);
  enum class Kept : std::uint8_t { yes, later, lost };
  Kept tell_keep(Item& item);
  enum class Admitted : std::uint8_t { yes, later, late, no };
  std::size_t admit(std::span<Delivery> deliveries, Instant now);
  [[nodiscard]] Admitted admit_again(Item& item);
  [[nodiscard]] bool still_ours(const DeliveryTag& tag);
  [[nodiscard]] std::int64_t due_after(Duration delay) const;
  [[nodiscard]] std::optional<Settlement> hold_until(Held held);
  [[nodiscard]] static Settlement give_back(const Item& item);
  void release_key(const std::string& key);
  void measure(std::chrono::nanoseconds took) noexcept;
  void ensure_helper();
  void ensure_progress();

  // fetching (runner_fetch.cpp)
  [[nodiscard]] std::size_t capacity() const;
  [[nodiscard]] bool can_fetch() const;
  void fetch(std::unique_lock<std::mutex>& lock);
  void enqueue(Delivery&& delivery, Instant now);
  void fetch_failed(std::unique_lock<std::mutex>& lock, Error error);
  /// Items taken away; their bodies must be released without the lock.
  struct Unseen {
    std::vector<Settlement> back{};
    std::vector<EnvelopePtr> messages{};
  };
  [[nodiscard]] Unseen take_unseen();

  // time (runner_time.cpp)
  void keep_time();
  void wake_timekeeper();
  void time_handler();
  void time_step(std::unique_lock<std::mutex>& lock);
  void release_held(std::int64_t now_tick);
  [[nodiscard]] std::int64_t handler_ends(const Worker& worker) const;
  [[nodiscard]] std::vector<Settlement> expire_handlers(std::int64_t now_tick);
  void renew_leases(std::unique_lock<std::mutex>& lock, Instant now);
  [[nodiscard]] std::vector<EnvelopePtr> forget_lost(std::span<const DeliveryTag> lost);
  [[nodiscard]] bool stranded() const;
  [[nodiscard]] SteadyTime next_step(Instant now);

  // the end (runner_stop.cpp)
  void join_threads(std::unique_lock<std::mutex>& lock);

  const std::shared_ptr<ChannelCore> core_;
  std::shared_ptr<void> owner_;
  const AnyHandler handler_;
  SettleQueue settle_;
  std::shared_ptr<void> jumps_;  // registration at the clock
  std::stop_source fetch_stop_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;          // workers without work
  std::condition_variable time_;          // the timekeeper
  std::condition_variable_any ended_cv_;  // those who wait for the end
  std::deque<Item> ready_;                // to be run next
  std::unordered_map<std::string, KeyLine> keys_;
  std::multimap<std::int64_t, Item> held_;  // keyed retries by due tick (D8)
  std::size_t key_waiting_ = 0;             // in all KeyLines
  Workers workers_;
  std::list<std::thread> finished_;  // to be joined
  std::thread timekeeper_;
  std::vector<Delivery> buffer_;  // of the fetching worker
  int max_in_flight_ = 0;         // fixed at start
  int live_ = 0;                  // workers whose thread has not ended
  int idle_count_ = 0;
  int wakeups_ = 0;  // idle workers notified and not yet up
  int active_ = 0;   // handlers running
  bool fetching_ = false;
  bool stopping_ = false;
  bool timekeeper_on_ = false;
  bool time_requested_ = false;  // the timekeeper must look again
  bool timing_ = false;          // the timekeeper looks before the first handler_timeout of those running
  bool watching_ = false;        // look every millisecond for work that is stuck
  bool quit_ = false;            // the timekeeper must end
  std::uint64_t runs_ = 0;       // handlers started
  std::uint64_t runs_seen_ = 0;  // at the timekeeper's last look
  int fetch_failures_ = 0;
  std::int64_t renew_at_tick_ = 0;
  Speed speed_ = Speed::unknown;
  double average_ns_ = 0;
};

}  // namespace lrpc::queue::detail
