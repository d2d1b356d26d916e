// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/detail/engine.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue {

/// A page of messages that were read without consuming them, oldest first.
template <class T>
struct MessagePage {
  std::vector<Message<T>> items{};  ///< Perhaps none. `attempts()` counts the deliveries so far.
  std::string cursor{};             ///< Pass it to read on; never empty.
};

/// Where messages of type T are published. A cheap handle, safe to use from many threads; dropping it closes nothing.
/// After `close` its calls give topic_closed or queue_closed.
///
/// Errors of every publish: invalid_argument (options), body_too_large (D15), codec, queue_full (D16, nothing was
/// enqueued), unavailable, timeout, outcome_unknown.
template <class T>
class Topic {
 public:
  explicit Topic(std::shared_ptr<detail::TopicEngine> engine) noexcept : engine_(std::move(engine)) {}

  [[nodiscard]] const std::string& name() const noexcept { return engine_->name(); }

  /// Publishes a body, which is made in place from the argument, to every channel of the topic; returns the message id.
  template <std::convertible_to<T> U = T>
    requires(!std::is_scalar_v<T>)
  [[nodiscard]] Result<std::string> pub(U&& body) {
    return engine_->publish(Envelope::make<T>(std::forward<U>(body)), nullptr);
  }
  [[nodiscard]] Result<std::string> pub(T body)
    requires std::is_scalar_v<T>
  {
    return engine_->publish(Envelope::make<T>(body), nullptr);
  }
  [[nodiscard]] Result<std::string> pub(T body, const PubOptions& options)
    requires std::is_scalar_v<T>
  {
    return engine_->publish(Envelope::make<T>(body), &options);
  }
  template <std::convertible_to<T> U = T>
    requires(!std::is_scalar_v<T>)
  [[nodiscard]] Result<std::string> pub(U&& body, const PubOptions& options) {
    return engine_->publish(Envelope::make<T>(std::forward<U>(body)), &options);
  }

  /// Publishes all bodies or none (D2); returns their ids in order. Empty in, empty out.
  [[nodiscard]] Result<std::vector<std::string>> pub_batch(std::span<const T> bodies, const PubOptions& options = {})
    requires std::copy_constructible<T>
  {
    std::vector<Outgoing> list;
    list.reserve(bodies.size());
    for (const T& body : bodies) list.push_back({.message = Envelope::make<T>(body)});
    return engine_->publish_batch(std::move(list), &options);
  }
  [[nodiscard]] Result<std::vector<std::string>> pub_batch(const std::vector<T>& bodies, const PubOptions& options = {})
    requires std::copy_constructible<T>
  {
    if constexpr (std::same_as<T, bool>) {
      std::vector<Outgoing> list;  // vector<bool> has no contiguous storage
      list.reserve(bodies.size());
      for (const bool body : bodies) list.push_back({.message = Envelope::make<T>(body)});
      return engine_->publish_batch(std::move(list), &options);
    } else {
      return pub_batch(std::span<const T>(bodies), options);
    }
  }
  [[nodiscard]] Result<std::vector<std::string>> pub_batch(std::vector<T>&& bodies, const PubOptions& options = {}) {
    std::vector<Outgoing> list;
    list.reserve(bodies.size());
    for (auto&& body : bodies) list.push_back({.message = Envelope::make<T>(std::move(body))});
    return engine_->publish_batch(std::move(list), &options);
  }
  [[nodiscard]] Result<std::vector<std::string>> pub_batch(std::initializer_list<T> bodies,
                                                           const PubOptions& options = {})
    requires std::copy_constructible<T>
  {
    return pub_batch(std::span<const T>(bodies.begin(), bodies.size()), options);
  }

  /// Publishes a message with its own id, timestamp, expiry, key and headers; an empty id or zero timestamp is filled
  /// in, attempts and channel are reset. The same id published twice is two messages.
  [[nodiscard]] Result<std::string> pub_msg(Message<T> message, const PubOptions& options = {}) {
    return engine_->publish(detail::MessageAccess<T>::take_envelope(std::move(message)), &options);
  }
  [[nodiscard]] Result<std::vector<std::string>> pub_msg_batch(std::vector<Message<T>> messages,
                                                               const PubOptions& options = {}) {
    std::vector<Outgoing> list;
    list.reserve(messages.size());
    for (auto& m : messages) list.push_back({.message = detail::MessageAccess<T>::take_envelope(std::move(m))});
    return engine_->publish_batch(std::move(list), &options);
  }
  [[nodiscard]] Result<std::vector<std::string>> pub_msg_batch(std::span<const Message<T>> messages,
                                                               const PubOptions& options = {}) {
    return pub_msg_batch(std::vector<Message<T>>(messages.begin(), messages.end()), options);
  }
  [[nodiscard]] Result<std::vector<std::string>> pub_msg_batch(std::initializer_list<Message<T>> messages,
                                                               const PubOptions& options = {}) {
    return pub_msg_batch(std::vector<Message<T>>(messages), options);
  }

  /// Hands a body over to be published in the background and returns. The callback runs exactly once, on a thread of
  /// the library, with what `pub` would have returned; when this call itself returns an error it never runs. When
  /// max_pending_publishes wait already, the call waits up to the publish time-out, then gives queue_full. Messages of
  /// one thread are published in the order of the calls. The callback must not block for long; it may publish.
  [[nodiscard]] Result<void> pub_async(T body, const PubOptions& options, detail::PublishCallback callback) {
    return engine_->publish_async(Envelope::make<T>(std::move(body)), options, std::move(callback));
  }
  /// Waits until the callback of every earlier pub_async of this topic has returned, else `timeout`.
  [[nodiscard]] Result<void> flush(Duration timeout) { return engine_->flush(timeout); }

  /// Opens a channel, making it when missing. An open channel is returned as it is; a differing configuration is logged
  /// and ignored (D23).
  [[nodiscard]] Result<Channel<T>> get_or_add_channel(std::string_view name, const ChannelConfig& config = {}) {
    return detail::map_result(engine_->open_channel(name, &config), wrap_channel);
  }
  /// Opens an existing channel with inherited settings; `channel_not_found` when there is none.
  [[nodiscard]] Result<Channel<T>> get_channel(std::string_view name) {
    return detail::map_result(engine_->open_channel(name, nullptr), wrap_channel);
  }
  /// The names of the topic's channels, sorted, those of other processes included.
  [[nodiscard]] Result<std::vector<std::string>> channel_list() { return engine_->channels(); }
  /// Removes a channel with its messages. Open handles of it then give channel_not_found for good.
  [[nodiscard]] Result<void> delete_channel(std::string_view name) { return engine_->delete_channel(name); }

  /// Looks on: reads messages without consuming them, joining nothing. At most `limit` after `cursor`: empty = what
  /// arrives from now on, "0" = from the oldest kept, else the cursor of the page before. Returns as soon as one is
  /// there, with no items after `wait`. `channel`: whose copy to read, those in flight or delayed perhaps left out; on
  /// Kafka the topic itself is read, and the name may be empty. A body that cannot be decoded is passed over: a Topic
  /// of Bytes shows all. `unsupported` on memory.
  [[nodiscard]] Result<MessagePage<T>> tail(std::string_view channel, std::string_view cursor, std::size_t limit,
                                            Duration wait);

  /// Closes the topic's channels and ends this Queue's use of the topic (D20).
  Result<void> close() { return engine_->close(); }

 private:
  static Channel<T> wrap_channel(std::shared_ptr<detail::ChannelEngine>&& engine) {
    return Channel<T>(std::move(engine));
  }

  std::shared_ptr<detail::TopicEngine> engine_;
};

template <class T>
Result<MessagePage<T>> Topic<T>::tail(std::string_view channel, std::string_view cursor, std::size_t limit,
                                      Duration wait) {
  return detail::map_result(engine_->tail(channel, cursor, limit, wait), [&](TailPage&& page) {
    MessagePage<T> result{.items = {}, .cursor = std::move(page.cursor)};
    const std::string name(channel);
    for (Delivery& item : page.items) {
      if (item.malformed) continue;
      if (item.message->encoded()) {
        if constexpr (has_codec<T>) {
          auto decoded = detail::decode_envelope(TypedEnvelope<T>::kType, *item.message);
          if (!decoded) continue;
          item.message = std::move(*decoded);
        } else {
          continue;  // a topic of such a T opens only where nothing is encoded
        }
      }
      result.items.push_back(detail::MessageAccess<T>::make(std::move(item), name));
    }
    return result;
  });
}

}  // namespace lrpc::queue
