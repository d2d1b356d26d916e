// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace lrpc::queue::redis {

/// The names of a topic's keys (docs/wire-format.md). No topic or channel name holds a ':', so they cannot meet.
class Keys {
 public:
  /// With `cluster` the topic becomes a hash tag, so that all its keys lie in one slot.
  Keys(std::string_view prefix, std::string_view topic, bool cluster)
      : topic_(topic), base_(std::string(prefix) + (cluster ? "{" + topic_ + "}" : topic_)) {}

  /// The hash of the topic's channels.
  [[nodiscard]] const std::string& registry() const noexcept { return base_; }
  /// What was published while there was no channel: a stream.
  [[nodiscard]] std::string backlog() const { return base_ + "::backlog"; }
  /// A channel's messages, ready and in flight: a stream.
  [[nodiscard]] std::string stream(std::string_view channel) const { return base_ + ":" + std::string(channel); }
  /// Those that are due later: a sorted set by unix milliseconds.
  [[nodiscard]] std::string delayed(std::string_view channel) const { return stream(channel) + ":delayed"; }
  /// The dead letters: a stream.
  [[nodiscard]] std::string dead(std::string_view channel) const { return stream(channel) + ":dead"; }
  /// The consumer group of a channel's stream; no key, so never tagged.
  [[nodiscard]] std::string group(std::string_view channel) const { return topic_ + ":" + std::string(channel); }

 private:
  std::string topic_;
  std::string base_;
};

}  // namespace lrpc::queue::redis
