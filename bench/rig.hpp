// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <lrpc/queue.hpp>

#include "body.hpp"

namespace lrpc::queue::bench {

/// Ends the process: a benchmark whose calls fail measures nothing.
[[noreturn]] void die(const std::string& message);

/// The value of a result, or the end.
template <class T>
T must(Result<T>&& result) {
  if (!result) [[unlikely]] {
    die(result.error().message);
  }
  if constexpr (!std::same_as<T, void>) return std::move(*result);
}

/// Only that there is no error.
template <class T>
void check(const Result<T>& result) {
  if (!result) [[unlikely]] {
    die(result.error().message);
  }
}

/// Takes a message of the channel and acks it.
inline void take_and_ack(Channel<Body>& channel) {
  const Result<Message<Body>> message = channel.next();
  check(message);
  benchmark::DoNotOptimize(message->body().sequence);
  check(channel.ack(*message));
}

/// A topic with its channels on the memory back end, all settings the defaults unless given.
class Rig {
 public:
  explicit Rig(std::size_t channels = 1, Config config = {}, const ChannelConfig& channel_config = {})
      : queue_(must(Queue::open(std::move(config)))), topic_(must(queue_.topic<Body>("orders"))) {
    channels_.reserve(channels);
    for (std::size_t i = 0; i < channels; ++i) {
      channels_.push_back(must(topic_.get_or_add_channel(fmt::format("worker-{}", i), channel_config)));
    }
  }

  [[nodiscard]] Queue& queue() { return queue_; }
  [[nodiscard]] Topic<Body>& topic() { return topic_; }
  [[nodiscard]] Channel<Body>& channel() { return channels_.front(); }
  [[nodiscard]] std::vector<Channel<Body>>& channels() { return channels_; }

  /// Publishes `count` messages, one call each.
  void publish(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      check(topic_.pub(Body{.sequence = static_cast<std::uint32_t>(i)}));
    }
  }
  /// Takes and acks `count` messages of the first channel, one call each.
  void consume(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) take_and_ack(channel());
  }

 private:
  Queue queue_;
  Topic<Body> topic_;
  std::vector<Channel<Body>> channels_;
};

}  // namespace lrpc::queue::bench
