// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <lrpc/queue/detail/engine.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/subscription.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue {

/// A message given up, kept with its reason (D18).
template <class T>
struct DeadLetter {
  std::optional<Message<T>> message{};  ///< Empty when the body cannot be decoded.
  std::string id{};
  std::vector<std::byte> raw{};  ///< The encoded body; empty on a back end that does not serialise.
  std::string reason{};          ///< "max_retries", "expired", "undecodable" or "rejected".
  std::string error{};           ///< Text of the last failure, or of the reason a handler or nack gave.
  int attempts = 0;
  TimePoint first_at{};  ///< When it first became ready.
  TimePoint last_at{};   ///< When it was given up.
};

/// A page of dead letters, oldest first.
template <class T>
struct DeadLetterPage {
  std::vector<DeadLetter<T>> items{};
  std::string cursor{};  ///< Pass it to get the next page; empty = no more.
};

namespace detail {

template <class F>
concept handler_result = std::same_as<F, void> || std::same_as<F, ProcessRsp> || std::same_as<F, Result<void>> ||
                         std::same_as<F, Result<ProcessRsp>>;

/// Calls the handler and brings its answer into one form.
template <class T, class Handler>
Result<ProcessRsp> call_handler(Handler& handler, Message<T>& message) {
  using R = std::invoke_result_t<Handler&, Message<T>&>;
  if constexpr (std::same_as<R, void>) {
    handler(message);
    return ProcessRsp{};
  } else if constexpr (std::same_as<R, Result<void>>) {
    Result<void> result = handler(message);
    if (!result) return std::unexpected(std::move(result.error()));
    return ProcessRsp{};
  } else {
    return handler(message);
  }
}

}  // namespace detail

/// What `subscribe` takes: called with `Message<T>&`, returns void, ProcessRsp, Result<void> or Result<ProcessRsp>.
template <class F, class T>
concept MessageHandler = std::invocable<F&, Message<T>&> && std::copy_constructible<F> &&
                         detail::handler_result<std::invoke_result_t<F&, Message<T>&>>;

/// A named, independent copy of a topic's stream; its consumers compete. A cheap handle, safe to use from many threads;
/// dropping it closes nothing. After `close` its calls give channel_closed (or topic_closed, queue_closed), after a
/// deletion of the channel channel_not_found.
template <class T>
class Channel {
 public:
  explicit Channel(std::shared_ptr<detail::ChannelEngine> engine) noexcept : engine_(std::move(engine)) {}

  /// The channel's name; usable also after close.
  [[nodiscard]] const std::string& name() const noexcept { return engine_->name(); }

  /// Runs `handler` for each message, at most max_in_flight at once, until the channel closes; returns at once. Success
  /// acks; an error, an exception or `retry` hands the message out again after the retry delay (D8, D14). The handler
  /// may settle its delivery itself; its answer is then ignored. It is called from several threads at once: the one
  /// object given here is shared by them.
  template <MessageHandler<T> Handler>
  [[nodiscard]] Result<Subscription> subscribe(Handler handler) {
    auto shared = std::make_shared<Handler>(std::move(handler));
    // The engine outlives its subscriptions, so a plain pointer to it is enough.
    auto call = [shared, engine = engine_.get()](Delivery&& delivery) -> Result<ProcessRsp> {
      auto message = detail::MessageAccess<T>::make(std::move(delivery), engine->name());
      return detail::call_handler<T>(*shared, message);
    };
    return detail::map_result(engine_->subscribe(std::move(call)), [](std::shared_ptr<detail::SubscriptionEngine>&& s) {
      return Subscription(std::move(s));
    });
  }

  /// Waits for a message. It must be settled within ack_timeout (or touched), else it is handed out again. `cancelled`
  /// when the token is triggered.
  [[nodiscard]] Result<Message<T>> next(const std::stop_token& stop = {}) { return take(std::nullopt, stop); }
  /// As next, but gives `no_message` after `timeout`; 0 = only what is ready now.
  [[nodiscard]] Result<Message<T>> try_next(Duration timeout) { return take(timeout, {}); }
  /// Up to `max` messages: returns as soon as one is there, with what is ready then. `no_message` after `timeout`,
  /// never an empty vector. `max` 0 is `invalid_argument`.
  [[nodiscard]] Result<std::vector<Message<T>>> next_batch(std::size_t max, Duration timeout) {
    std::array<Delivery, kFew> few;
    std::vector<Delivery> many(max <= kFew ? 0 : std::min(max, kMost));
    const std::span<Delivery> room = max <= kFew ? std::span(few).first(max) : std::span(many);
    std::size_t taken = 0;
    if (auto got = engine_->next_batch(room, taken, timeout); !got) return std::unexpected(std::move(got.error()));
    Result<std::vector<Message<T>>> messages(std::in_place);
    messages->reserve(taken);
    for (Delivery& d : room.first(taken)) detail::MessageAccess<T>::append(*messages, std::move(d), name());
    return messages;
  }

  /// Settles this delivery as done. `message_not_found` when it is not in flight here any more (D10).
  [[nodiscard]] Result<void> ack(const Message<T>& message) { return engine_->ack(tag(message)); }
  /// Settles the newest delivery of that id held here.
  [[nodiscard]] Result<void> ack(std::string_view id) { return engine_->ack_id(id); }
  /// Settles all it can; `message_not_found` if any was missing, `Error.accepted` then lists the settled ids.
  [[nodiscard]] Result<void> ack(std::span<const Message<T>> messages) {
    const Tags all(messages);
    return engine_->ack_many(all.list(), ids(messages));
  }
  [[nodiscard]] Result<void> ack(const std::vector<Message<T>>& messages) { return ack(std::span(messages)); }

  /// Hands the delivery back as failed: it comes again after the delay, or becomes a dead letter (D7, D8).
  [[nodiscard]] Result<void> nack(const Message<T>& message, const NackOptions& options = {}) {
    return engine_->nack(tag(message), options);
  }
  [[nodiscard]] Result<void> nack(std::string_view id, const NackOptions& options = {}) {
    return engine_->nack_id(id, options);
  }
  [[nodiscard]] Result<void> nack(std::span<const Message<T>> messages, const NackOptions& options = {}) {
    const Tags all(messages);
    return engine_->nack_many(all.list(), ids(messages), options);
  }
  [[nodiscard]] Result<void> nack(const std::vector<Message<T>>& messages, const NackOptions& options = {}) {
    return nack(std::span(messages), options);
  }

  /// Makes the lease end `lease` from now (default ack_timeout; must be more than 0) (D9).
  [[nodiscard]] Result<void> touch(const Message<T>& message, std::optional<Duration> lease = std::nullopt) {
    return engine_->touch(tag(message), lease);
  }
  [[nodiscard]] Result<void> touch(std::string_view id, std::optional<Duration> lease = std::nullopt) {
    return engine_->touch_id(id, lease);
  }
  [[nodiscard]] Result<void> touch(std::span<const Message<T>> messages, std::optional<Duration> lease = std::nullopt) {
    const Tags all(messages);
    return engine_->touch_many(all.list(), ids(messages), lease);
  }
  [[nodiscard]] Result<void> touch(const std::vector<Message<T>>& messages,
                                   std::optional<Duration> lease = std::nullopt) {
    return touch(std::span(messages), lease);
  }

  /// Ready + in flight + delayed messages; dead letters excluded (D19).
  [[nodiscard]] Result<std::int64_t> depth() { return engine_->depth(); }
  [[nodiscard]] Result<ChannelStats> stats() { return engine_->stats(); }
  /// Stops handing out messages to this Queue's consumers of the channel: running handlers go on, `try_next` gives
  /// no_message, `next` waits for resume.
  [[nodiscard]] Result<void> pause() { return engine_->pause(); }
  [[nodiscard]] Result<void> resume() { return engine_->resume(); }

  /// Dead letters, oldest first. `limit` 0 is `invalid_argument`.
  [[nodiscard]] Result<DeadLetterPage<T>> dead_letters(std::size_t limit = 100, std::string_view cursor = {});
  /// Puts dead letters back with attempts starting over; an expiry that has passed is replaced by a fresh message_ttl.
  /// Unknown ids are passed over. Returns how many.
  [[nodiscard]] Result<std::int64_t> requeue_dead(std::span<const std::string> ids) {
    return engine_->requeue_dead(ids, false);
  }
  /// All of them.
  [[nodiscard]] Result<std::int64_t> requeue_dead() { return engine_->requeue_dead({}, true); }
  /// Forgets all dead letters. Returns how many.
  [[nodiscard]] Result<std::int64_t> purge_dead() { return engine_->purge_dead(); }
  /// Removes all ready and delayed messages; in-flight ones stay with their consumers. Returns how many.
  [[nodiscard]] Result<std::int64_t> drop_all() { return engine_->drop_all(); }

  /// Ends this Queue's use of the channel (D20): blocked calls return, running handlers get close_timeout (error
  /// `timeout` when one still runs), unsettled messages go back. The channel and its messages stay.
  Result<void> close() { return engine_->close(); }

 private:
  static constexpr std::size_t kFew = 64;       // a usual batch
  static constexpr std::size_t kMost = 65'536;  // of one call, so that a huge max does not allocate for nothing

  static const DeliveryTag& tag(const Message<T>& message) noexcept { return detail::MessageAccess<T>::tag(message); }
  /// The tags of many messages; those of a usual batch without an allocation.
  class Tags {
   public:
    explicit Tags(std::span<const Message<T>> messages)
        : many_(messages.size() <= kFew ? 0 : messages.size()),
          list_(messages.size() <= kFew ? few_.data() : many_.data(), messages.size()) {
      std::ranges::transform(messages, list_.begin(), tag);
    }
    Tags(const Tags&) = delete;
    Tags& operator=(const Tags&) = delete;
    ~Tags() = default;
    [[nodiscard]] std::span<const DeliveryTag> list() const noexcept { return list_; }

   private:
    std::array<DeliveryTag, kFew> few_;
    std::vector<DeliveryTag> many_;
    std::span<DeliveryTag> list_;
  };
  static std::function<std::string(std::size_t)> ids(std::span<const Message<T>> messages) {
    return [messages](std::size_t i) { return messages[i].id(); };
  }
  Result<Message<T>> take(const std::optional<Duration>& timeout, const std::stop_token& stop) {
    // Filled in where it is: it is not copied on its way.
    Result<Message<T>> message = detail::MessageAccess<T>::make_empty(engine_->name());
    if (auto got = engine_->next(detail::MessageAccess<T>::delivery(*message), timeout, stop); !got) {
      message = std::unexpected(std::move(got.error()));
    }
    return message;
  }

  std::shared_ptr<detail::ChannelEngine> engine_;
};

template <class T>
Result<DeadLetterPage<T>> Channel<T>::dead_letters(std::size_t limit, std::string_view cursor) {
  return detail::map_result(engine_->dead_letters(limit, cursor), [&](DeadPage&& page) {
    DeadLetterPage<T> result{.items = {}, .cursor = std::move(page.cursor)};
    result.items.reserve(page.items.size());
    for (DeadRecord& record : page.items) {
      DeadLetter<T> letter{.message = std::nullopt,
                           .id = record.message->id(),
                           .raw = {},
                           .reason = std::string(to_string(record.reason)),
                           .error = std::move(record.error),
                           .attempts = record.attempts,
                           .first_at = TimePoint(std::chrono::milliseconds(record.first_at_ms)),
                           .last_at = TimePoint(std::chrono::milliseconds(record.last_at_ms))};
      EnvelopePtr typed = record.message;
      if (record.message->encoded()) {
        const auto bytes = record.message->encoded_body();
        letter.raw.assign(bytes.begin(), bytes.end());
        typed = EnvelopePtr{};
        if constexpr (has_codec<T>) {
          if (record.reason != DeadReason::undecodable) {
            if (auto decoded = detail::decode_envelope(TypedEnvelope<T>::kType, *record.message)) typed = *decoded;
          }
        }
      }
      if (typed) letter.message = detail::MessageAccess<T>::make(std::move(typed), record.attempts, name());
      result.items.push_back(std::move(letter));
    }
    return result;
  });
}

}  // namespace lrpc::queue
