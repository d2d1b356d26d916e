// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/queue.hpp>
#include <lrpc/queue/topic.hpp>

#include "shared/raw_body.hpp"
#include "shared/session.hpp"

/// \file
/// The way to a queue for commands that work with other processes.

namespace lrpc::queue::cli {

/// The configuration; `invalid_argument` on memory, where such a command has nobody to work with. `command`: its name.
[[nodiscard]] Result<Config> remote_config(Session& session, std::string_view command);

/// Sets the end of a command's --help, `text` beneath what all such commands need.
void remote_footer(CLI::App& command, const char* text);

/// A connected queue with one open topic.
struct RemoteTopic {
  Queue queue;
  Topic<RawBody> topic;
};

/// Opens a topic, its name (and that of the channel, where one is given) checked before connecting.
[[nodiscard]] Result<RemoteTopic> open_remote(const Config& config, const std::string& topic,
                                              const std::string& channel = {});
/// The same for a topic that has to be there: on Kafka, where opening one makes it, `channel_not_found` says that it is
/// not.
[[nodiscard]] Result<RemoteTopic> open_existing(const Config& config, const std::string& topic,
                                                const std::string& channel = {});
/// The same for a command without settings of its own.
[[nodiscard]] Result<RemoteTopic> open_existing(Session& session, std::string_view command, const std::string& topic,
                                                const std::string& channel = {});

/// A channel that must exist, as the positional arguments TOPIC and CHANNEL name it.
struct ChannelName {
  std::string topic{};
  std::string channel{};
};
/// Adds both to a command.
void add_channel_name(CLI::App& command, ChannelName& name);

/// Opens the channel, runs `work(channel)`, which returns what to print or an Error, and prints it; returns the exit
/// code.
template <class Work>
int with_channel(Session& session, std::string_view command, const ChannelName& name, Work&& work) {
  auto remote = open_existing(session, command, name.topic, name.channel);
  if (!remote) return session.report(remote.error());
  auto channel = remote->topic.get_channel(name.channel);
  if (!channel) return session.report(channel.error());
  const Result<std::string> text = work(*channel);
  return text ? session.print(*text) : session.report(text.error());
}

/// `{"topic":...,"channel":...`, to be continued.
[[nodiscard]] std::string json_begin(const ChannelName& name);

}  // namespace lrpc::queue::cli
