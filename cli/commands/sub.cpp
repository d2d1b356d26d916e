// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <limits>
#include <memory>

#include "commands/commands.hpp"
#include "shared/durations.hpp"
#include "shared/remote.hpp"
#include "sub/sub_run.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kSubFooter =
    "Makes CHANNEL when it is missing, and takes its messages, in competition with all others who do. Without --exec\n"
    "bodies are printed, one a line, in order, JSON strings as their text; with --json each message as an object with\n"
    "the keys id, body, attempts, key, headers and timestamp (a body that is no JSON as \"body\":null and "
    "body_base64).\n"
    "A message is done once it is written.\n\n"
    "With --exec each body is handled by `sh -c CMD`: body on standard input (a JSON string as its text), "
    "LRPC_MSG_ID,\n"
    "LRPC_MSG_ATTEMPTS, LRPC_MSG_TOPIC, LRPC_MSG_CHANNEL and LRPC_MSG_KEY in the environment, standard output ours.\n"
    "Exit status 0 = done, 65 = dead letter, 75 and all others = retry. -v tells of failures and prints a summary.\n\n"
    "--max counts settled deliveries: a retry is one. SIGINT, SIGTERM and SIGHUP: no further message is taken, "
    "running\n"
    "commands may finish for close_timeout (30s), the rest stays in the channel, and the exit code is 0 (128 + the\n"
    "signal before --max is reached, or when commands had to be killed); a second signal ends it at once. On Kafka a\n"
    "consumer first joins its group, which takes seconds: that counts for --idle-exit.\n\n"
    "Examples:\n"
    "  lrpc-queue sub orders billing --redis localhost:6379\n"
    "  lrpc-queue sub orders billing --exec './bill.sh' --concurrency 8 --max-retries 3 --redis localhost:6379\n"
    "  lrpc-queue sub orders audit --json --max 100 --idle-exit 5s --redis localhost:6379 | jq .body";

}  // namespace

void add_sub(CLI::App& app, Session& session) {
  auto options = std::make_shared<SubOptions>();
  CLI::App* command = app.add_subcommand("sub", "Print or handle the messages of a channel");
  remote_footer(*command, kSubFooter);
  add_channel_name(*command, options->name);
  add_handler_options(*command, options->handler, WithoutExec::settings_allowed);
  command->add_option("--max", options->max, "Stop after so many deliveries (default: never)")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()).description("INT >= 1"))
      ->type_name("N");
  add_duration(*command, "--idle-exit", options->idle_exit, "Stop after this long without a message");
  command->callback([options, &session] { session.run = [options, &session] { return run_sub(*options, session); }; });
}

}  // namespace lrpc::queue::cli
