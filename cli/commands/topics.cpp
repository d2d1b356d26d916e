// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/commands.hpp"
#include "shared/name_list.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kTopicsFooter =
    "One name a line, sorted; with --json one line {\"topics\":[...]}.\n\n"
    "Examples:\n"
    "  lrpc-queue topics --redis localhost:6379";

int topics(Session& session) {
  const Result<Config> config = remote_config(session, "topics");
  if (!config) return session.report(config.error());
  Result<Queue> queue = Queue::open(*config);
  if (!queue) return session.report(queue.error());
  const auto names = queue->topics();
  if (!names) return session.report(names.error());
  return session.print(session.globals.json ? fmt::format("{{\"topics\":{}}}\n", json_array(*names)) : lines(*names));
}

}  // namespace

void add_topics(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("topics", "List the topics");
  remote_footer(*command, kTopicsFooter);
  command->callback([&session] { session.run = [&session] { return topics(session); }; });
}

}  // namespace lrpc::queue::cli
