// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include "commands/commands.hpp"
#include "pub/pub_run.hpp"
#include "shared/durations.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kPubFooter =
    "Every BODY, or without one every line of standard input, is published as it comes; its id is printed once it is\n"
    "accepted, with --json as {\"id\":...}. One that is valid JSON is that value, byte for byte; any other is a JSON\n"
    "string, and with --text all are. \"--\" before the first BODY lets them begin with a dash.\n\n"
    "--batch N publishes up to N lines (or 1 MiB) at once, all or none on Redis: as many as can be read without\n"
    "waiting. A line above max_body_size or neither JSON nor UTF-8 is reported and passed over, and the exit code is "
    "1;\n"
    "any other error ends the command and names the line. SIGINT, SIGTERM and SIGHUP: reading stops, what is being\n"
    "published is finished, and the exit code is 128 + the signal.\n\n"
    "Examples:\n"
    "  lrpc-queue pub orders '{\"id\":1}' '{\"id\":2}' --redis localhost:6379\n"
    "  lrpc-queue pub orders --redis localhost:6379 --batch 1000 < orders.jsonl\n"
    "  lrpc-queue pub reminders 'call back' --delay 10m --header source=phone --key alice --redis localhost:6379\n"
    "  tail -F app.log | lrpc-queue pub log --text --redis localhost:6379 > /dev/null";

}  // namespace

void add_pub(CLI::App& app, Session& session) {
  auto options = std::make_shared<PubCommandOptions>();
  CLI::App* command = app.add_subcommand("pub", "Publish bodies to a topic");
  remote_footer(*command, kPubFooter);
  command->add_option("TOPIC", options->topic, "Name of the topic")->required()->type_name("");
  command->add_option("BODY", options->bodies, "Bodies to publish (default: the lines of standard input)")
      ->type_name("");
  command->add_flag("--text", options->as_text, "Take every body as text, JSON or not");
  command->add_option("--key", options->key, "Messages of the same key are handled in order")->type_name("TEXT");
  command->add_option("--header", options->headers, "A header; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  add_duration(*command, "--delay", options->delay, "Deliver this much later");
  add_duration(*command, "--ttl", options->ttl, "Time to live; 0 = for ever (default: message_ttl, 24h)");
  command->add_option("--batch", options->batch, "Lines published at once, at most (default 1)")
      ->check(CLI::Range(1, 10'000))
      ->type_name("N");
  command->callback([options, &session] { session.run = [options, &session] { return run_pub(*options, session); }; });
}

}  // namespace lrpc::queue::cli
