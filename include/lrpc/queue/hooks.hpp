// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include <lrpc/queue/envelope.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue {

/// Severity of a log line.
enum class LogLevel { debug, info, warning, error };
/// Receives the library's log lines. Called from many threads; must not call back into the queue.
using Logger = std::function<void(LogLevel, std::string_view)>;

/// A message as an interceptor sees it, its type unknown. Valid during the call only.
class MessageView {
 public:
  explicit MessageView(EnvelopePtr& envelope, int attempts = 0) noexcept : envelope_(&envelope), attempts_(attempts) {}
  [[nodiscard]] std::string id() const { return (*envelope_)->id(); }
  [[nodiscard]] int attempts() const noexcept { return attempts_; }  ///< 0 in a publish.
  [[nodiscard]] const std::string& key() const noexcept { return (*envelope_)->key(); }
  [[nodiscard]] const Headers& headers() const noexcept { return (*envelope_)->headers(); }
  /// In a publish: what is published. Around a handler: what the handler sees; the queue keeps the original.
  void set_header(std::string name, std::string value) {
    envelope_->writable().set_header(std::move(name), std::move(value));
  }
  /// The body as T, null when the topic's type is another.
  template <class T>
  [[nodiscard]] const T* body() const noexcept {
    return (*envelope_)->body_as<T>();
  }

 private:
  EnvelopePtr* envelope_;
  int attempts_;
};

/// One `pub*` call.
struct PublishCall {
  std::string_view topic;
  std::span<MessageView> messages;
};
/// One run of a handler.
struct HandleCall {
  std::string_view topic;
  std::string_view channel;
  MessageView& message;
};

/// Code that runs around every publish and every handler of a queue, for tracing, checks and the like. Called from
/// many threads at once. What an interceptor throws becomes an Error of the publish, or a failure of the handler (D14).
class Interceptor {
 public:
  Interceptor() = default;
  Interceptor(const Interceptor&) = delete;
  Interceptor& operator=(const Interceptor&) = delete;
  virtual ~Interceptor() = default;
  /// Calls `next` to go on and returns its result, or refuses by returning an Error. Each call of `next` publishes: it
  /// may be repeated after an error.
  virtual Result<void> publish(const PublishCall& call, const std::function<Result<void>()>& next) {
    static_cast<void>(call);
    return next();
  }
  /// The same around a subscription's handler, with `next` called at most once; not called for messages that
  /// `Channel::next` hands out.
  virtual Result<ProcessRsp> handle(const HandleCall& call, const std::function<Result<ProcessRsp>()>& next) {
    static_cast<void>(call);
    return next();
  }
};

/// How a delivery ended.
enum class Outcome { acked, retried, dead_lettered, dropped, expired };
[[nodiscard]] std::string_view to_string(Outcome outcome) noexcept;

/// Receives what metrics need. Called from many threads, in the middle of the work: must be quick, must not block or
/// call back into the queue. What it throws is swallowed.
class Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;
  /// A publish of `messages` messages ended; `error` is null when it succeeded.
  virtual void published(std::string_view topic, std::size_t messages, const Error* error,
                         std::chrono::nanoseconds took) {
    static_cast<void>(topic), static_cast<void>(messages), static_cast<void>(error), static_cast<void>(took);
  }
  /// `messages` deliveries were handed to a handler or returned by next.
  virtual void delivered(std::string_view topic, std::string_view channel, std::size_t messages) {
    static_cast<void>(topic), static_cast<void>(channel), static_cast<void>(messages);
  }
  /// A handler ended, normally or by an exception.
  virtual void handled(std::string_view topic, std::string_view channel, bool success, std::chrono::nanoseconds took) {
    static_cast<void>(topic), static_cast<void>(channel), static_cast<void>(success), static_cast<void>(took);
  }
  /// `messages` deliveries ended this way.
  virtual void settled(std::string_view topic, std::string_view channel, Outcome outcome, std::size_t messages) {
    static_cast<void>(topic), static_cast<void>(channel), static_cast<void>(outcome), static_cast<void>(messages);
  }
};

}  // namespace lrpc::queue
