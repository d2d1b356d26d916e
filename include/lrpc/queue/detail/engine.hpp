// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/config.hpp>
#include <lrpc/queue/envelope.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/types.hpp>

/// \file
/// The type-erased engine behind the typed handles. Not for users: the typed classes say what each call promises.

namespace lrpc::queue::detail {

/// A handler whose message type is unknown: gets the delivery, returns the handler's answer. May throw.
using AnyHandler = std::function<Result<ProcessRsp>(Delivery&& delivery)>;
/// The callback of pub_async.
using PublishCallback = std::move_only_function<void(Result<std::string>)>;

/// Decodes an encoded message: a new envelope of the given type with the same header. Code `codec` on failure, also
/// when the user's codec throws.
[[nodiscard]] Result<EnvelopePtr> decode_envelope(const BodyType& type, const Envelope& encoded);

class SubscriptionEngine {
 public:
  SubscriptionEngine() = default;
  SubscriptionEngine(const SubscriptionEngine&) = delete;
  SubscriptionEngine& operator=(const SubscriptionEngine&) = delete;
  virtual ~SubscriptionEngine() = default;
  virtual Result<void> stop(const std::optional<Duration>& timeout) = 0;
  virtual Result<void> wait(const std::stop_token& stop) = 0;
};

class ChannelEngine {
 public:
  ChannelEngine() = default;
  ChannelEngine(const ChannelEngine&) = delete;
  ChannelEngine& operator=(const ChannelEngine&) = delete;
  virtual ~ChannelEngine() = default;

  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  /// One message for next / try_next: without a timeout it waits for the stop token or close.
  virtual Result<void> next(Delivery& out, const std::optional<Duration>& timeout, const std::stop_token& stop) = 0;
  /// Fills `out` from the front, at least one; `taken` says how many.
  virtual Result<void> next_batch(std::span<Delivery> out, std::size_t& taken, Duration timeout) = 0;
  virtual Result<void> ack(const DeliveryTag& tag) = 0;
  virtual Result<void> ack_id(std::string_view id) = 0;
  /// `id_of(i)` is called only for the error text and the accepted list.
  virtual Result<void> ack_many(std::span<const DeliveryTag> tags,
                                const std::function<std::string(std::size_t)>& id_of) = 0;
  virtual Result<void> nack(const DeliveryTag& tag, const NackOptions& options) = 0;
  virtual Result<void> nack_id(std::string_view id, const NackOptions& options) = 0;
  virtual Result<void> nack_many(std::span<const DeliveryTag> tags,
                                 const std::function<std::string(std::size_t)>& id_of, const NackOptions& options) = 0;
  virtual Result<void> touch(const DeliveryTag& tag, const std::optional<Duration>& lease) = 0;
  virtual Result<void> touch_id(std::string_view id, const std::optional<Duration>& lease) = 0;
  virtual Result<void> touch_many(std::span<const DeliveryTag> tags,
                                  const std::function<std::string(std::size_t)>& id_of,
                                  const std::optional<Duration>& lease) = 0;
  virtual Result<std::shared_ptr<SubscriptionEngine>> subscribe(AnyHandler handler) = 0;

  virtual Result<std::int64_t> depth() = 0;
  virtual Result<ChannelStats> stats() = 0;
  virtual Result<void> pause() = 0;
  virtual Result<void> resume() = 0;
  virtual Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) = 0;
  virtual Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all) = 0;
  virtual Result<std::int64_t> purge_dead() = 0;
  virtual Result<std::int64_t> drop_all() = 0;
  virtual Result<void> close() = 0;
};

class TopicEngine {
 public:
  TopicEngine() = default;
  TopicEngine(const TopicEngine&) = delete;
  TopicEngine& operator=(const TopicEngine&) = delete;
  virtual ~TopicEngine() = default;

  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  /// Publishes one fresh message; `options` may be null. The hot path of `pub`.
  virtual Result<std::string> publish(EnvelopePtr message, const PubOptions* options) = 0;
  /// The delays of `batch` are filled in by `options`.
  virtual Result<std::vector<std::string>> publish_batch(std::vector<Outgoing> batch, const PubOptions* options) = 0;
  virtual Result<void> publish_async(EnvelopePtr message, const PubOptions& options, PublishCallback callback) = 0;
  virtual Result<void> flush(Duration timeout) = 0;
  virtual Result<std::shared_ptr<ChannelEngine>> open_channel(std::string_view name, const ChannelConfig* config) = 0;
  virtual Result<std::vector<std::string>> channels() = 0;
  virtual Result<void> delete_channel(std::string_view name) = 0;
  virtual Result<TailPage> tail(std::string_view channel, std::string_view cursor, std::size_t limit,
                                Duration wait) = 0;
  virtual Result<void> close() = 0;
};

class QueueEngine {
 public:
  QueueEngine() = default;
  QueueEngine(const QueueEngine&) = delete;
  QueueEngine& operator=(const QueueEngine&) = delete;
  virtual ~QueueEngine() = default;

  static Result<std::shared_ptr<QueueEngine>> open(Config config);
  virtual Result<std::shared_ptr<TopicEngine>> open_topic(std::string_view name, const TopicConfig& config,
                                                          const BodyType& type) = 0;
  virtual Result<std::vector<std::string>> topics() = 0;
  virtual Result<void> ping() = 0;
  virtual Result<Diagnosis> diagnose() = 0;
  virtual Result<void> close() = 0;
};

/// The only door between Message<T> and the engine.
template <class T>
struct MessageAccess {
  static Message<T> make(Delivery&& delivery, const std::string& channel) {
    return Message<T>(MessageKey{}, std::move(delivery), channel);
  }
  static void append(std::vector<Message<T>>& messages, Delivery&& delivery, const std::string& channel) {
    messages.emplace_back(MessageKey{}, std::move(delivery), channel);
  }
  /// A message for `delivery(message)` to be filled in.
  static Result<Message<T>> make_empty(const std::string& channel) {
    return Result<Message<T>>(std::in_place, MessageKey{}, channel);
  }
  static Delivery& delivery(Message<T>& message) noexcept { return message.delivery_; }
  static Message<T> make(EnvelopePtr envelope, int attempts, const std::string& channel) {
    return Message<T>(MessageKey{}, Delivery{.message = std::move(envelope), .attempts = attempts}, channel);
  }
  static EnvelopePtr take_envelope(Message<T>&& message) { return std::move(message.delivery_.message); }
  static const DeliveryTag& tag(const Message<T>& message) noexcept { return message.delivery_.tag; }
};

}  // namespace lrpc::queue::detail
