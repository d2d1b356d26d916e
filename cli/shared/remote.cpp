// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/remote.hpp"

#include <fmt/format.h>

#include <utility>

namespace lrpc::queue::cli {

Result<Config> remote_config(Session& session, std::string_view command) {
  Result<Config> config = load_config(session.globals, session.console);
  if (config && config->storage_type == StorageType::memory) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} has no effect on storage \"memory\", which no other process sees: name a server with "
                            "--redis ADDRESS, or a configuration with --config or --storage",
                            command));
  }
  return config;
}

void remote_footer(CLI::App& command, const char* text) {
  command.footer(fmt::format(
      "Needs a back end that processes share: --redis, --brokers, or a --config that names one; see lrpc-queue --help."
      "\n\n{}",
      text));
}

Result<RemoteTopic> open_remote(const Config& config, const std::string& topic, const std::string& channel) {
  Result<void> valid = validate_name("topic", topic);
  if (valid && !channel.empty()) valid = validate_name("channel", channel);
  if (!valid) return std::unexpected(std::move(valid.error()));
  Result<Queue> queue = Queue::open(config);
  if (!queue) return std::unexpected(std::move(queue.error()));
  auto opened = queue->topic<RawBody>(topic);
  if (!opened) return std::unexpected(std::move(opened.error()));
  return RemoteTopic{.queue = std::move(*queue), .topic = std::move(*opened)};
}

Result<RemoteTopic> open_remote(Session& session, std::string_view command, const std::string& topic,
                                const std::string& channel) {
  const Result<Config> config = remote_config(session, command);
  if (!config) return std::unexpected(config.error());
  return open_remote(*config, topic, channel);
}

void add_channel_name(CLI::App& command, ChannelName& name) {
  command.add_option("TOPIC", name.topic, "Name of the topic")->required()->type_name("");
  command.add_option("CHANNEL", name.channel, "Name of the channel")->required()->type_name("");
}

std::string json_begin(const ChannelName& name) {
  return fmt::format("{{\"topic\":{},\"channel\":{}", json_quoted(name.topic), json_quoted(name.channel));
}

}  // namespace lrpc::queue::cli
