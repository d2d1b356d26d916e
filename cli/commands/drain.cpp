// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/commands.hpp"
#include "shared/confirm.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kDrainFooter =
    "Removes all ready and delayed messages of the channel; those in flight stay with their consumers, dead letters "
    "are\n"
    "kept. Asks first; without a terminal --yes is needed. Prints \"dropped N\", with --json one line\n"
    "{\"topic\":...,\"channel\":...,\"dropped\":N}.\n\n"
    "Examples:\n"
    "  lrpc-queue drain orders test --redis localhost:6379\n"
    "  lrpc-queue drain orders test --yes --redis localhost:6379";

struct DrainOptions {
  ChannelName name{};
  bool yes = false;
};

Result<void> ask(Channel<RawBody>& channel, const DrainOptions& options, Session& session) {
  if (options.yes) return {};
  const Result<ChannelStats> stats = channel.stats();
  if (!stats) return std::unexpected(stats.error());
  return confirm(options.yes,
                 fmt::format("Remove the {} ready and {} delayed messages of channel {} of topic {}?", stats->ready,
                             stats->delayed, options.name.channel, options.name.topic),
                 session.console);
}

int drain(const DrainOptions& options, Session& session) {
  if (const Result<void> asked = may_ask(options.yes, "drain"); !asked) return session.report(asked.error());
  return with_channel(session, "drain", options.name, [&](Channel<RawBody>& channel) -> Result<std::string> {
    if (Result<void> agreed = ask(channel, options, session); !agreed) return std::unexpected(agreed.error());
    return detail::map_result(channel.drop_all(), [&](std::int64_t count) {
      return session.globals.json ? fmt::format("{},\"dropped\":{}}}\n", json_begin(options.name), count)
                                  : fmt::format("dropped {}\n", count);
    });
  });
}

}  // namespace

void add_drain(CLI::App& app, Session& session) {
  auto options = std::make_shared<DrainOptions>();
  CLI::App* command = app.add_subcommand("drain", "Remove the messages of a channel");
  remote_footer(*command, kDrainFooter);
  add_channel_name(*command, options->name);
  add_yes(*command, options->yes);
  command->callback([options, &session] { session.run = [options, &session] { return drain(*options, session); }; });
}

}  // namespace lrpc::queue::cli
