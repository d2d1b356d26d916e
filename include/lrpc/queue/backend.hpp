// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/clock.hpp>
#include <lrpc/queue/config.hpp>
#include <lrpc/queue/delivery.hpp>
#include <lrpc/queue/diagnosis.hpp>
#include <lrpc/queue/envelope.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/hooks.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/policy.hpp>

/// \file
/// The interface that a back end implements, and the promises that go with it. The engine above it owns the public
/// API, validation, codecs, expiry stamps, retry and dead-letter decisions, subscriptions, key order, hooks. A back
/// end stores messages and deliveries and does exactly what it is told:
///
/// - It never retries a failed call on its own where repeating could repeat the effect; it never decides on retry,
///   expiry or dead letters.
/// - It reports what happened: `unavailable` = certainly not done, `outcome_unknown` = perhaps done.
/// - Every call is safe from many threads at once and ends by its deadline, `set_receiving(false)`, stop token or
/// close.
/// - After `close()` of an object returned, nothing is changed through it any more: calls still under way end at once,
///   they and later ones with the closed error of
///   that object (topic_closed, channel_closed, queue_closed); closing twice is fine. After a channel's deletion its
///   objects give `channel_not_found`, blocked receives included.
/// - The tags of different channels differ, so that a delivery of one channel is unknown to another (D10).
/// - Nothing throws.
///
/// To use a back end of your own, set `Config::backend_factory`; to prove it, run the conformance suite
/// (lrpc::queue_conformance) over it.

namespace lrpc::queue {

using SteadyTime = std::chrono::steady_clock::time_point;

/// What a back end needs from its queue.
struct BackendContext {
  const Config& config;          ///< Valid during the factory call only; copy what is needed later.
  std::shared_ptr<Clock> clock;  ///< The time by which messages live.
  Logger logger;                 ///< Never empty.
};

/// What a back end is, for the engine to adapt to.
struct Capabilities {
  std::string name;          ///< "memory", "redis", ...: the `source` of errors.
  bool serializes = true;    ///< Bodies must be encoded before publish and arrive encoded.
  bool renew_leases = true;  ///< Deliveries received with `renewed` still need `touch` to stay in flight.
  bool batch_acks = true;    ///< An ack costs a round trip: subscriptions collect them.
  Duration publish_timeout = std::chrono::seconds(10);  ///< Bound of a publish where the caller names none.
};

/// One message to publish. The engine has filled in id, timestamp, expiry and `enqueued_at_ms` (for a delayed one:
/// the due time on the wall clock); the body is encoded when the back end serialises.
struct Outgoing {
  EnvelopePtr message;
  Duration delay{0};  ///< From now until it is due.
};

/// How a receive waits.
struct ReceiveOptions {
  Instant now{};          ///< The (coarse) time of the call, for a back end that lives in this process.
  SteadyTime deadline{};  ///< Give up at this instant; one in the past = do not wait.
  /// The first look of a caller who will wait if there is nothing: to answer "nothing" may then be early. Without it a
  /// call that does not wait answers for all that was published before it.
  bool glance = false;
  std::stop_token stop{};  ///< Give up when triggered.
  /// True for a subscription: the engine settles or gives back each delivery and renews its lease by `touch` if
  /// `renew_leases` asks for it. False for next: the user settles it or its lease runs out.
  bool renewed = false;
  std::int64_t limit = 0;  ///< With `renewed` false: behave as if nothing were ready while so many such deliveries
                           ///< are unsettled here; 0 = no limit (D11).
};

/// What to do with a delivery. Acks go through `ack`.
struct Settlement {
  enum class Action : std::uint8_t {
    retry,        ///< Back to the channel, ready again after `delay`; behind what is ready by then.
    give_back,    ///< Back to the channel at once, in front where the back end can.
    keep,         ///< Stays in flight here for another delivery by the holder (a keyed retry, D8), lease renewed; `tag`
                  ///< is replaced by the new delivery's.
    dead_letter,  ///< To the dead letters with `reason` and `error`.
    drop,         ///< Forgotten.
  };
  DeliveryTag tag{};
  Action action = Action::retry;
  bool count_attempt = true;  ///< False: the next delivery has the number of this one (D6), a dead letter one less.
  Duration delay{0};
  DeadReason reason = DeadReason::max_retries;
  std::string error{};
  bool done = false;  ///< Out: false when the delivery was not in flight here (D10); nothing changed then.
};

/// Figures of a channel as the back end knows them.
struct BackendStats {
  std::int64_t ready = 0;
  std::int64_t in_flight = 0;
  std::int64_t delayed = 0;
  std::int64_t dead = 0;
  std::int64_t dropped = 0;  ///< By drop_oldest, dead_letter_limit and retention, here, since the channel was opened.
};

/// A dead letter as stored.
struct DeadRecord {
  EnvelopePtr message{};  ///< Typed or encoded; headers, id and expiry as published.
  DeadReason reason = DeadReason::max_retries;
  std::string error{};
  int attempts = 0;
  std::int64_t first_at_ms = 0;  ///< Unix milliseconds of enqueued_at.
  std::int64_t last_at_ms = 0;   ///< Unix milliseconds when it was given up.
};

/// A page of dead letters; `cursor` empty = no more.
struct DeadPage {
  std::vector<DeadRecord> items{};
  std::string cursor{};
};

/// What `tail` read: messages with the deliveries so far in `attempts` and without a tag, and the cursor of the next
/// call, which is never empty.
struct TailPage {
  std::vector<Delivery> items{};
  std::string cursor{};
};

/// One open channel: the consuming side. The engine opens at most one per name and queue at a time.
class BackendChannel {
 public:
  BackendChannel() = default;
  BackendChannel(const BackendChannel&) = delete;
  BackendChannel& operator=(const BackendChannel&) = delete;
  virtual ~BackendChannel() = default;

  /// Fills `out` from the front with what is ready, at least one, at most `out.size()`; waits as `options` says.
  /// Returns 0 when nothing came before the deadline, the stop or set_receiving(false). Counts the attempt of each
  /// delivery. The lease of each is the channel's ack_timeout from now. Expired messages are handed out like others:
  /// the engine settles them.
  virtual Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) = 0;
  /// Switches receiving off (pause, close) and on again. While off every receive returns 0 at once, those that are
  /// blocked now included. On at first. Never blocks.
  virtual void set_receiving(bool on) noexcept = 0;

  /// Removes acked deliveries from the channel. `done[i]` (same size as `tags`) tells whether delivery i was in flight
  /// here; the others are left as they are (D10). An Error means that the whole call failed.
  virtual Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) = 0;
  /// `ack` for a subscription that wants more at once. A back end that can do it in the same round trip also receives
  /// (`renewed`, without waiting) into `out`; `received` tells how many came, whether or not the ack succeeded.
  virtual Result<void> ack_and_receive(std::span<const DeliveryTag> tags, std::span<bool> done,
                                       std::span<Delivery> /*out*/, std::size_t& received) {
    received = 0;
    return ack(tags, done);
  }
  /// Carries out the settlements in order, setting `done` of each. An Error means that the whole call failed.
  virtual Result<void> settle(std::span<Settlement> settlements) = 0;
  /// Makes the leases end `lease` from now; `done` as in ack.
  virtual Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) = 0;
  /// The newest delivery of that id in flight here, its number in `attempts`.
  [[nodiscard]] virtual std::optional<DeliveryTag> find(std::string_view id) = 0;
  /// Acks the newest delivery of that id; false when there is none. For back ends that can do better than this.
  virtual Result<bool> ack_id(std::string_view id) {
    const std::optional<DeliveryTag> tag = find(id);
    bool done = false;
    if (tag) {
      if (auto result = ack({&*tag, 1}, {&done, 1}); !result) return std::unexpected(std::move(result.error()));
    }
    return done;
  }

  [[nodiscard]] virtual Result<BackendStats> stats() = 0;
  /// Removes all ready and delayed messages; in-flight ones stay with their consumers. Returns how many.
  virtual Result<std::int64_t> drop_all() = 0;
  /// At most `limit` dead letters, oldest first, from `cursor` (empty = from the start; one not made by this call is
  /// `invalid_argument`).
  virtual Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) = 0;
  /// Puts dead letters back as ready messages with attempts starting over, enqueued now; one whose expiry has passed
  /// gets `fresh_ttl` (0 = never). Unknown ids are passed over. `ids` empty and `all` = every one. Returns how many.
  virtual Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) = 0;
  /// Forgets all dead letters. Returns how many.
  virtual Result<std::int64_t> purge_dead() = 0;

  /// Replaces the settings; only before the first receive.
  virtual void configure(const ChannelPolicy& policy) = 0;
  /// Gives every delivery still in flight here back at once, its attempt counted; ends blocked receives.
  virtual Result<void> close() = 0;
};

/// A publish that has begun (`BackendTopic::begin_publish`). For one thread.
class Publishing {
 public:
  Publishing() = default;
  Publishing(const Publishing&) = delete;
  Publishing& operator=(const Publishing&) = delete;
  virtual ~Publishing() = default;
  /// Waits for its end and tells what `BackendTopic::publish` would; within the time-out it was begun with. Once.
  virtual Result<void> wait() = 0;
};

/// One open topic: the publishing side and its channels.
class BackendTopic {
 public:
  BackendTopic() = default;
  BackendTopic(const BackendTopic&) = delete;
  BackendTopic& operator=(const BackendTopic&) = delete;
  virtual ~BackendTopic() = default;

  /// Stores every message for every channel of the topic, or in the backlog when there is none (D4). All or none where
  /// the back end can (D2), else `Error.accepted` lists the ids that were stored. Ends within `timeout`. Refuses whole
  /// with `queue_full` what would make a channel exceed max_msg_size (D16). The messages belong to the back end, which
  /// may move them out; nobody else refers to them. One that was not stored is left in `batch`.
  virtual Result<void> publish(std::span<Outgoing> batch, Duration timeout) = 0;
  /// Begins a `publish` and leaves the waiting to the result, so that one thread may have several under way; they are
  /// stored in the order in which they began. What `batch` refers to must live until the result is gone. Null: the back
  /// end knows no such thing, and nothing has begun.
  [[nodiscard]] virtual std::unique_ptr<Publishing> begin_publish(std::span<Outgoing> /*batch*/, Duration /*timeout*/) {
    return nullptr;
  }
  /// Opens a channel; with `create` it is made when missing, else `channel_not_found`.
  virtual Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                               bool create) = 0;
  /// The topic's channels, sorted, of all processes.
  [[nodiscard]] virtual Result<std::vector<std::string>> channels() = 0;
  /// Removes a channel and its messages; `channel_not_found` when there is none.
  virtual Result<void> delete_channel(const std::string& name) = 0;
  /// Reads on without consuming: joins no group and changes nothing. At most `limit` messages after `cursor`: empty =
  /// what arrives from now on, "0" = from the oldest kept, else as an earlier page gave it (others are
  /// `invalid_argument`). Waits until `deadline` for at least one; a page without items is no error. `channel`: whose
  /// copy to read, `channel_not_found` when there is none; a back end that keeps one copy for all reads that, and takes
  /// an empty name too, which is `invalid_argument` elsewhere. What another program left unreadable has `malformed`
  /// set.
  virtual Result<TailPage> tail(const std::string& channel, std::string_view cursor, std::size_t limit,
                                SteadyTime deadline);
  /// Ends this queue's use of the topic; what is stored stays.
  virtual Result<void> close() = 0;
};

/// One connected back end.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  [[nodiscard]] virtual const Capabilities& capabilities() const noexcept = 0;
  /// Opens a topic. The engine opens at most one per name at a time and has checked the name.
  virtual Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) = 0;
  /// The topics that exist, sorted.
  [[nodiscard]] virtual Result<std::vector<std::string>> topics() = 0;
  /// Asks the back end for a sign of life.
  virtual Result<void> ping(SteadyTime deadline) = 0;
  /// Looks at the server and its settings for what endangers the promises. Changes nothing.
  virtual Result<Diagnosis> diagnose(SteadyTime deadline);
  /// Releases everything. The engine has closed all topics before.
  virtual Result<void> close() = 0;
};

}  // namespace lrpc::queue
