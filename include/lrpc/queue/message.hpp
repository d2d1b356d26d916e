// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <lrpc/queue/clock.hpp>
#include <lrpc/queue/delivery.hpp>
#include <lrpc/queue/envelope.hpp>

namespace lrpc::queue {

template <class T>
class Topic;
template <class T>
class Channel;
namespace detail {
template <class T>
struct MessageAccess;
/// Only the library can make one, and with it a message that was delivered.
class MessageKey {
  template <class T>
  friend struct MessageAccess;
  MessageKey() = default;
};
}  // namespace detail

/// A message with its metadata. The body is shared with the queue and with copies of the message and is never
/// changed by them; metadata changed here changes neither the queue nor other copies. Copying is cheap. One object is
/// not safe for use from several threads at once; different copies are. A moved-from message may only be assigned
/// or destroyed.
template <class T>
class Message {
 public:
  /// A message to publish, with a fresh id and the present time.
  explicit Message(T body) : Message(EnvelopePtr(Envelope::make<T>(std::move(body)))) {
    const Instant now = system_clock()->now();
    delivery_.message->set_id(MessageId::generate(now.wall_ms));
    delivery_.message->set_timestamp(now.wall_s());
  }
  /// A message to publish with an id of the caller's. An empty one is filled in at the publish.
  [[nodiscard]] static Message with_id(std::string_view id, T body) {
    Message result{EnvelopePtr(Envelope::make<T>(std::move(body)))};
    if (!id.empty()) result.delivery_.message->set_id(id);
    result.delivery_.message->set_timestamp(system_clock()->now().wall_s());
    return result;
  }

  [[nodiscard]] std::string id() const { return delivery_.message->id(); }
  [[nodiscard]] const T& body() const noexcept { return *static_cast<const T*>(delivery_.message->body()); }
  /// Moves the body out when nobody else holds it (a settled delivery, a message never published), else copies it.
  /// The message keeps its metadata; its body is then moved from.
  [[nodiscard]] T take_body() {
    Envelope& owner = delivery_.message->body_owner();
    if (delivery_.message->unique() && owner.unique())
      return std::move(*const_cast<T*>(static_cast<const T*>(owner.body())));
    return body();
  }
  /// Unix seconds at which the message was made.
  [[nodiscard]] std::int64_t timestamp() const noexcept { return delivery_.message->timestamp(); }
  void set_timestamp(std::int64_t unix_s) { delivery_.message.writable().set_timestamp(unix_s); }
  /// Unix seconds at which it expires; 0 = never.
  [[nodiscard]] std::int64_t expires_at() const noexcept { return delivery_.message->expires_at(); }
  /// Deliveries so far, this one included: 1 at the first delivery; 0 for a message not yet delivered.
  [[nodiscard]] int attempts() const noexcept { return delivery_.attempts; }
  /// The channel that delivered it; empty before that.
  [[nodiscard]] const std::string& channel() const noexcept { return channel_; }

  [[nodiscard]] const Headers& headers() const noexcept { return delivery_.message->headers(); }
  void set_header(std::string name, std::string value) {
    delivery_.message.writable().set_header(std::move(name), std::move(value));
  }
  /// Messages of the same non-empty key are handled in order (D5).
  [[nodiscard]] const std::string& key() const noexcept { return delivery_.message->key(); }
  void set_key(std::string key) { delivery_.message.writable().set_key(std::move(key)); }
  /// When it first became ready in its channel: publish, due time or requeue.
  [[nodiscard]] TimePoint enqueued_at() const noexcept {
    return TimePoint(std::chrono::milliseconds(delivery_.message->enqueued_at_ms()));
  }

  /// Expires `after` from now, rounded up to a whole second; 0 or less = never.
  void set_expires(Duration after) {
    constexpr Duration kLongestLife = std::chrono::hours(24) * 36525;  // as everywhere: more means 100 years
    const std::int64_t now_ms = system_clock()->now().wall_ms;
    if (after > kLongestLife) after = kLongestLife;
    set_expires_at(after.count() <= 0 ? 0 : (now_ms + after.count() + 999) / 1000);
  }
  /// Expires at this unix second; 0 = never.
  void set_expires_at(std::int64_t unix_s) { delivery_.message.writable().set_expires_at(unix_s); }
  /// Whole seconds left, 1 in the last one: -1 = never expires, 0 = expired. By the machine's clock.
  [[nodiscard]] std::int64_t get_ttl() const {
    if (expires_at() == 0) return -1;
    const Instant now = system_clock()->now();
    const std::int64_t left = expires_at() - now.wall_s();
    if (left <= 0) return 0;
    // A begun second is not left any more.
    return left > 1 && now.wall_ms % 1000 != 0 ? left - 1 : left;
  }
  /// By the machine's clock.
  [[nodiscard]] bool is_expired() const { return get_ttl() == 0; }

  /// An independent copy: the same id, metadata and (shared, constant) body.
  [[nodiscard]] Message clone() const {
    Message result(*this);
    result.delivery_.message = Envelope::alias(delivery_.message);
    return result;
  }
  /// For the library: a message whose delivery is filled in later, or is there.
  Message(detail::MessageKey /*key*/, const std::string& channel) : channel_(channel) {}
  Message(detail::MessageKey /*key*/, Delivery&& delivery, const std::string& channel)
      : delivery_(std::move(delivery)), channel_(channel) {}

  void reset_attempts() noexcept { delivery_.attempts = 0; }
  void increment_attempts() noexcept { ++delivery_.attempts; }

 private:
  friend struct detail::MessageAccess<T>;
  explicit Message(EnvelopePtr&& envelope) noexcept : delivery_{.message = std::move(envelope)} {}
  [[nodiscard]] const EnvelopePtr& envelope() const noexcept { return delivery_.message; }

  Delivery delivery_{};
  std::string channel_{};
};

}  // namespace lrpc::queue
