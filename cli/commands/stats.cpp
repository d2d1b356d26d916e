// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/commands.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kStatsFooter =
    "A table of the messages of CHANNEL, or of every channel of the topic: ready to be taken, in flight with a "
    "consumer,\n"
    "delayed (not due, or waiting for a retry), dead letters, and depth = ready + in flight + delayed. With --json "
    "one\n"
    "line a channel with the keys topic, channel, ready, in_flight, delayed, dead, depth.\n\n"
    "Examples:\n"
    "  lrpc-queue stats orders --redis localhost:6379\n"
    "  lrpc-queue stats orders billing --json --redis localhost:6379 | jq .dead";

struct StatsOptions {
  std::string topic{};
  std::string channel{};
};

struct Row {
  std::string channel{};
  ChannelStats stats{};
};

/// The figures of one channel; unset when it was deleted meanwhile and `may_be_gone`.
Result<std::optional<Row>> look(Topic<RawBody>& topic, const std::string& name, bool may_be_gone) {
  auto channel = topic.get_channel(name);
  Result<ChannelStats> stats = channel ? channel->stats() : std::unexpected(channel.error());
  if (stats) return Row{.channel = name, .stats = *stats};
  if (may_be_gone && stats.error().code == ErrorCode::channel_not_found) return std::nullopt;
  return std::unexpected(std::move(stats.error()));
}

std::string as_table(const std::vector<Row>& rows) {
  std::size_t width = 7;
  for (const Row& row : rows) width = std::max(width, row.channel.size());
  std::string text = fmt::format("{:<{}} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "channel", width, "ready", "in_flight",
                                 "delayed", "dead", "depth");
  for (const auto& [channel, s] : rows) {
    text += fmt::format("{:<{}} {:>10} {:>10} {:>10} {:>10} {:>10}\n", channel, width, s.ready, s.in_flight, s.delayed,
                        s.dead, s.depth);
  }
  return text;
}

std::string as_json(const std::vector<Row>& rows, const std::string& topic) {
  std::string text;
  for (const auto& [channel, s] : rows) {
    text +=
        fmt::format("{},\"ready\":{},\"in_flight\":{},\"delayed\":{},\"dead\":{},\"depth\":{}}}\n",
                    json_begin({.topic = topic, .channel = channel}), s.ready, s.in_flight, s.delayed, s.dead, s.depth);
  }
  return text;
}

int stats(const StatsOptions& options, Session& session) {
  Result<RemoteTopic> remote = open_existing(session, "stats", options.topic, options.channel);
  if (!remote) return session.report(remote.error());
  const bool all = options.channel.empty();
  auto names = all ? remote->topic.channel_list() : std::vector{options.channel};
  if (!names) return session.report(names.error());
  std::vector<Row> rows;
  for (const std::string& name : *names) {
    Result<std::optional<Row>> row = look(remote->topic, name, all);
    if (!row) return session.report(row.error());
    if (*row) rows.push_back(std::move(**row));
  }
  return session.print(session.globals.json ? as_json(rows, options.topic) : as_table(rows));
}

}  // namespace

void add_stats(CLI::App& app, Session& session) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* command = app.add_subcommand("stats", "Count the messages of a topic's channels");
  remote_footer(*command, kStatsFooter);
  command->add_option("TOPIC", options->topic, "Name of the topic")->required()->type_name("");
  command->add_option("CHANNEL", options->channel, "Name of the channel (default: all)")->type_name("");
  command->callback([options, &session] { session.run = [options, &session] { return stats(*options, session); }; });
}

}  // namespace lrpc::queue::cli
