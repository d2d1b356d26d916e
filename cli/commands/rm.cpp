// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/commands.hpp"
#include "shared/confirm.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kRmFooter =
    "Removes the channel with all its messages and dead letters; its consumers end with an error. Asks first; without "
    "a\n"
    "terminal --yes is needed. Prints \"removed CHANNEL\", with --json one line "
    "{\"topic\":...,\"channel\":...,\"removed\":true}.\n\n"
    "Examples:\n"
    "  lrpc-queue rm orders test --redis localhost:6379\n"
    "  lrpc-queue rm orders test --yes --redis localhost:6379";

struct RmOptions {
  ChannelName name{};
  bool yes = false;
};

Result<void> ask(Topic<RawBody>& topic, const RmOptions& options, Session& session) {
  if (options.yes) return {};
  auto channel = topic.get_channel(options.name.channel);
  const Result<ChannelStats> stats = channel ? channel->stats() : std::unexpected(channel.error());
  if (!stats) return std::unexpected(stats.error());
  return confirm(options.yes,
                 fmt::format("Remove channel {} of topic {} with {} messages and {} dead letters?",
                             options.name.channel, options.name.topic, stats->depth, stats->dead),
                 session.console);
}

int rm(const RmOptions& options, Session& session) {
  if (const Result<void> asked = may_ask(options.yes, "rm"); !asked) return session.report(asked.error());
  Result<RemoteTopic> remote = open_existing(session, "rm", options.name.topic, options.name.channel);
  if (!remote) return session.report(remote.error());
  Result<void> done = ask(remote->topic, options, session);
  if (done) done = remote->topic.delete_channel(options.name.channel);
  if (!done) return session.report(done.error());
  return session.print(session.globals.json ? json_begin(options.name) + ",\"removed\":true}\n"
                                            : fmt::format("removed {}\n", options.name.channel));
}

}  // namespace

void add_rm(CLI::App& app, Session& session) {
  auto options = std::make_shared<RmOptions>();
  CLI::App* command = app.add_subcommand("rm", "Remove a channel");
  remote_footer(*command, kRmFooter);
  add_channel_name(*command, options->name);
  add_yes(*command, options->yes);
  command->callback([options, &session] { session.run = [options, &session] { return rm(*options, session); }; });
}

}  // namespace lrpc::queue::cli
