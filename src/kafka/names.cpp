// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/names.hpp"

#include <lrpc/queue/types.hpp>

namespace lrpc::queue::kafka {
namespace {

constexpr std::string_view kRetrySuffix = "-retry";
constexpr std::string_view kDeadSuffix = "-dlq";
constexpr std::size_t kLongestName = 249;  // of a topic on a broker

/// With every '-' doubled: a single one parts topic and channel.
std::string with_dashes_doubled(std::string_view name) {
  std::string doubled;
  for (const char c : name) doubled.append(c == '-' ? 2 : 1, c);
  return doubled;
}

Result<void> check_length(const std::string& name, std::string_view what) {
  if (name.size() <= kLongestName) return {};
  return fail(ErrorCode::invalid_argument, std::string(what) + ": the name on the broker, " + name + ", has " +
                                               std::to_string(name.size()) + " characters; Kafka allows " +
                                               std::to_string(kLongestName));
}

}  // namespace

std::string Names::topic(std::string_view name) const { return prefix_ + std::string(name); }

std::string Names::group(std::string_view topic, std::string_view channel) const {
  return group_prefix_ + std::string(topic) + "-" + std::string(channel);
}

std::string Names::of_channel(std::string_view topic, std::string_view channel, std::string_view kind) const {
  return group_prefix_ + with_dashes_doubled(topic) + "-" + with_dashes_doubled(channel) + std::string(kind);
}

std::string Names::retry_topic(std::string_view topic, std::string_view channel) const {
  return of_channel(topic, channel, kRetrySuffix);
}

std::string Names::dead_topic(std::string_view topic, std::string_view channel) const {
  return of_channel(topic, channel, kDeadSuffix);
}

std::optional<std::string> Names::topic_of(std::string_view broker_name) const {
  if (!broker_name.starts_with(prefix_)) return std::nullopt;
  const std::string_view name = broker_name.substr(prefix_.size());
  if (name.empty() || name.ends_with(kRetrySuffix) || name.ends_with(kDeadSuffix)) return std::nullopt;
  return std::string(name);
}

bool Names::is_of_channel(std::string_view broker_name) const {
  return broker_name.starts_with(group_prefix_) &&
         (broker_name.ends_with(kRetrySuffix) || broker_name.ends_with(kDeadSuffix));
}

std::optional<std::string> Names::channel_of(std::string_view topic, std::string_view group) const {
  const std::string mine = group_prefix_ + std::string(topic) + "-";
  if (group.size() <= mine.size() || !group.starts_with(mine)) return std::nullopt;
  return std::string(group.substr(mine.size()));
}

Result<void> Names::check_topic(std::string_view topic) const {
  if (topic.ends_with(kRetrySuffix) || topic.ends_with(kDeadSuffix)) {
    return fail(ErrorCode::invalid_argument,
                "topic " + std::string(topic) +
                    ": on Kafka a topic's name does not end in -retry or -dlq, as those of "
                    "a channel's own topics do");
  }
  return check_length(this->topic(topic), "topic " + std::string(topic));
}

Result<void> Names::check_channel(std::string_view topic, std::string_view channel) const {
  const std::string what = "channel " + std::string(channel) + " of topic " + std::string(topic);
  if (auto ok = check_length(group(topic, channel), what); !ok) return ok;
  return check_length(retry_topic(topic, channel), what);  // the longer of the two
}

}  // namespace lrpc::queue::kafka
