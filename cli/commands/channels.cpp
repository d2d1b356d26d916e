// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "shared/name_list.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kChannelsFooter =
    "One name a line, sorted; with --json one line {\"topic\":...,\"channels\":[...]}. --add makes the channel first,\n"
    "unless there is one of that name: it gets what is published from then on (the first channel of a topic also what\n"
    "was published before).\n\n"
    "Examples:\n"
    "  lrpc-queue channels orders --redis localhost:6379\n"
    "  lrpc-queue channels orders --add billing --add audit --redis localhost:6379";

struct ChannelsOptions {
  std::string topic{};
  std::vector<std::string> add{};
};

int channels(const ChannelsOptions& options, Session& session) {
  for (const std::string& name : options.add) {
    if (const Result<void> valid = validate_name("channel", name); !valid) return session.report(valid.error());
  }
  const Result<Config> config = remote_config(session, "channels");
  if (!config) return session.report(config.error());
  Result<RemoteTopic> remote =
      options.add.empty() ? open_existing(*config, options.topic) : open_remote(*config, options.topic);
  if (!remote) return session.report(remote.error());
  for (const std::string& name : options.add) {
    if (const auto added = remote->topic.get_or_add_channel(name); !added) return session.report(added.error());
  }
  const auto names = remote->topic.channel_list();
  if (!names) return session.report(names.error());
  return session.print(session.globals.json ? fmt::format("{{\"topic\":{},\"channels\":{}}}\n",
                                                          json_quoted(options.topic), json_array(*names))
                                            : lines(*names));
}

}  // namespace

void add_channels(CLI::App& app, Session& session) {
  auto options = std::make_shared<ChannelsOptions>();
  CLI::App* command = app.add_subcommand("channels", "List the channels of a topic, or make one");
  remote_footer(*command, kChannelsFooter);
  command->add_option("TOPIC", options->topic, "Name of the topic")->required()->type_name("");
  command->add_option("--add", options->add, "Make this channel; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->callback([options, &session] { session.run = [options, &session] { return channels(*options, session); }; });
}

}  // namespace lrpc::queue::cli
