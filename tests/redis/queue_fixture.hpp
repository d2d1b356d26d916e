// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue.hpp>

#include "fixture.hpp"
#include "support/traffic.hpp"

namespace lrpc::queue::redis {

inline constexpr std::string_view kRegistry = "lrpc:queue:orders";
inline constexpr std::string_view kStream = "lrpc:queue:orders:billing";
inline constexpr std::string_view kDelayed = "lrpc:queue:orders:billing:delayed";
inline constexpr std::string_view kGroup = "orders:billing";

inline const std::vector<std::string> kDurable{"--appendonly", "yes", "--appendfsync", "always"};

[[nodiscard]] inline Config queue_config(const RedisServer& server) {
  Config config{.storage_type = StorageType::redis, .retry_delay = Duration(10)};
  config.redis_config = server.config();
  config.logger = [](LogLevel, std::string_view) {};  // faults are what the tests are about
  return config;
}

/// What one process has open: the topic "orders", and its channel "billing" unless told otherwise.
struct Party {
  explicit Party(Config config, const std::string& name = "billing", const ChannelConfig& settings = {})
      : queue(must(Queue::open(std::move(config)))),
        topic(must(queue.topic<std::string>("orders"))),
        channel(must(topic.get_or_add_channel(name, settings))) {}
  explicit Party(const RedisServer& server, const ChannelConfig& settings = {})
      : Party(queue_config(server), "billing", settings) {}

  Queue queue;
  Topic<std::string> topic;
  Channel<std::string> channel;
};

/// A message that has to come.
inline Message<std::string> await_message(Channel<std::string>& channel) { return must(channel.try_next(kPatience)); }

using support::Ledger;
using support::Publisher;

/// Cuts every connection but the client's own; returns how many.
inline std::int64_t cut_connections(Client& client) {
  std::int64_t cut = 0;
  for (const auto type : {"normal", "pubsub"}) {
    cut += must(ask(client, {"CLIENT", "KILL", "TYPE", type, "SKIPME", "yes"}, Repeat::safe)).number().value_or(0);
  }
  return cut;
}

/// How often the server has carried out the command, or all commands without a name, those of scripts included.
inline std::int64_t commands_run(Client& client, const std::string& name = {}) {
  const std::string stats(must(ask(client, {"INFO", "commandstats"}, Repeat::safe)).text());
  const std::string wanted = name.empty() ? "cmdstat_" : "cmdstat_" + name + ":";
  std::int64_t total = 0;
  for (auto at = stats.find(wanted); at != std::string::npos; at = stats.find(wanted, at + 1)) {
    total += std::stoll(stats.substr(stats.find("calls=", at) + 6));
  }
  return total;
}

/// The names of the group's consumers, with how many entries each has pending. The one that stands for nobody, which
/// holds what was given back, is none.
inline std::map<std::string, std::int64_t> consumers(Client& client) {
  std::map<std::string, std::int64_t> result;
  const Reply list = must(ask(client, {"XINFO", "CONSUMERS", kStream, kGroup}, Repeat::safe));
  if (list.is_error()) return result;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string name;
    std::int64_t pending = 0;
    for (std::size_t at = 0; at + 1 < list[i].size(); at += 2) {
      if (list[i][at].text() == "name") name = list[i][at + 1].text();
      if (list[i][at].text() == "pending") pending = list[i][at + 1].number().value_or(0);
    }
    if (name != "given-back") result.emplace(std::move(name), pending);
  }
  return result;
}

}  // namespace lrpc::queue::redis
