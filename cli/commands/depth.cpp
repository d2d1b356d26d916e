// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/commands.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kDepthFooter =
    "Prints ready + in flight + delayed messages, dead letters excluded, as a number; with --json one line\n"
    "{\"topic\":...,\"channel\":...,\"depth\":...}.\n\n"
    "Examples:\n"
    "  lrpc-queue depth orders billing --redis localhost:6379";

int depth(const ChannelName& name, Session& session) {
  return with_channel(session, "depth", name, [&](Channel<RawBody>& channel) {
    return detail::map_result(channel.depth(), [&](std::int64_t count) {
      return session.globals.json ? fmt::format("{},\"depth\":{}}}\n", json_begin(name), count)
                                  : fmt::format("{}\n", count);
    });
  });
}

}  // namespace

void add_depth(CLI::App& app, Session& session) {
  auto name = std::make_shared<ChannelName>();
  CLI::App* command = app.add_subcommand("depth", "Count the unfinished messages of a channel");
  remote_footer(*command, kDepthFooter);
  add_channel_name(*command, *name);
  command->callback([name, &session] { session.run = [name, &session] { return depth(*name, session); }; });
}

}  // namespace lrpc::queue::cli
