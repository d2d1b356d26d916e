// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/remote.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
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

namespace {

Result<void> check_names(const std::string& topic, const std::string& channel) {
  Result<void> valid = validate_name("topic", topic);
  return valid && !channel.empty() ? validate_name("channel", channel) : valid;
}

Result<RemoteTopic> open_topic(Queue queue, const std::string& topic) {
  auto opened = queue.topic<RawBody>(topic);
  if (!opened) return std::unexpected(std::move(opened.error()));
  return RemoteTopic{.queue = std::move(queue), .topic = std::move(*opened)};
}

/// A topic that was just made becomes known to one broker after the other.
Result<void> check_there(Queue& queue, const std::string& topic) {
  constexpr int kLooks = 5;
  constexpr Duration kBetween{200};
  for (int look = 1;; ++look) {
    const auto topics = queue.topics();
    if (!topics) return std::unexpected(topics.error());
    if (std::ranges::binary_search(*topics, topic)) return {};
    if (look == kLooks) break;
    std::this_thread::sleep_for(kBetween);
  }
  return fail(ErrorCode::channel_not_found,
              fmt::format("there is no topic {}; \"lrpc-queue topics\" lists those that are there", topic));
}

}  // namespace

Result<RemoteTopic> open_remote(const Config& config, const std::string& topic, const std::string& channel) {
  if (Result<void> valid = check_names(topic, channel); !valid) return std::unexpected(std::move(valid.error()));
  Result<Queue> queue = Queue::open(config);
  if (!queue) return std::unexpected(std::move(queue.error()));
  return open_topic(std::move(*queue), topic);
}

Result<RemoteTopic> open_existing(const Config& config, const std::string& topic, const std::string& channel) {
  if (config.storage_type != StorageType::kafka) return open_remote(config, topic, channel);
  if (Result<void> valid = check_names(topic, channel); !valid) return std::unexpected(std::move(valid.error()));
  Result<Queue> queue = Queue::open(config);
  if (!queue) return std::unexpected(std::move(queue.error()));
  if (Result<void> there = check_there(*queue, topic); !there) return std::unexpected(std::move(there.error()));
  return open_topic(std::move(*queue), topic);
}

Result<RemoteTopic> open_existing(Session& session, std::string_view command, const std::string& topic,
                                  const std::string& channel) {
  const Result<Config> config = remote_config(session, command);
  if (!config) return std::unexpected(config.error());
  return open_existing(*config, topic, channel);
}

void add_channel_name(CLI::App& command, ChannelName& name) {
  command.add_option("TOPIC", name.topic, "Name of the topic")->required()->type_name("");
  command.add_option("CHANNEL", name.channel, "Name of the channel")->required()->type_name("");
}

std::string json_begin(const ChannelName& name) {
  return fmt::format("{{\"topic\":{},\"channel\":{}", json_quoted(name.topic), json_quoted(name.channel));
}

}  // namespace lrpc::queue::cli
