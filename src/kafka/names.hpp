// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::kafka {

/// What a topic and its channels are called on the broker (contract section 7).
class Names {
 public:
  /// `group_id` is `consumer_group_id`; empty = the manual's groups.
  Names(std::string topic_prefix, std::string group_id)
      : prefix_(std::move(topic_prefix)), group_prefix_(group_id.empty() ? prefix_ : std::move(group_id) + "-") {}

  [[nodiscard]] std::string topic(std::string_view name) const;
  [[nodiscard]] std::string group(std::string_view topic, std::string_view channel) const;
  [[nodiscard]] std::string retry_topic(std::string_view topic, std::string_view channel) const;
  [[nodiscard]] std::string dead_topic(std::string_view topic, std::string_view channel) const;

  /// The inverse of `topic`; empty for what is no topic of ours: another prefix, or a retry or dead-letter topic.
  [[nodiscard]] std::optional<std::string> topic_of(std::string_view broker_name) const;
  /// Whether it is the retry or dead-letter topic of a channel.
  [[nodiscard]] bool is_of_channel(std::string_view broker_name) const;
  /// The channel of a group of `topic`; empty for another's group.
  [[nodiscard]] std::optional<std::string> channel_of(std::string_view topic, std::string_view group) const;

  /// `invalid_argument` for a topic that would read as one of a channel's own, or whose name is too long for a broker.
  [[nodiscard]] Result<void> check_topic(std::string_view topic) const;
  /// `invalid_argument` when a name made of both is too long for a broker.
  [[nodiscard]] Result<void> check_channel(std::string_view topic, std::string_view channel) const;

 private:
  [[nodiscard]] std::string of_channel(std::string_view topic, std::string_view channel, std::string_view kind) const;

  std::string prefix_;
  std::string group_prefix_;
};

}  // namespace lrpc::queue::kafka
