// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "commands/commands.hpp"
#include "pipe/pipe_run.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kPipeFooter =
    "The queue is in memory and gone with the process; between processes use pub and sub. Options of the queue\n"
    "(--config), --json and -v: see lrpc-queue --help.\n\n"
    "Every line of the FILEs (\"-\" or none: standard input) is a body. A line that is valid JSON is that value, byte\n"
    "for byte; any other line, an empty one included, is a JSON string.\n\n"
    "With --exec each body is handled by `sh -c CMD`: body on standard input (a JSON string as its text), "
    "LRPC_MSG_ID,\n"
    "LRPC_MSG_ATTEMPTS, LRPC_MSG_TOPIC, LRPC_MSG_CHANNEL and LRPC_MSG_KEY in the environment, standard output ours.\n"
    "Exit status 0 = done, 65 = give up, 75 and all others = retry. Without --exec bodies are printed, one a line, in\n"
    "order, JSON strings as their text.\n\n"
    "Reading waits while 10,000 bodies or 64 MiB (or max_msg_size bodies) are unfinished. Bodies expire only when the\n"
    "configuration says so (message_ttl); they are given up then, with reason \"expired\". A line above max_body_size "
    "or\n"
    "neither JSON nor UTF-8 is reported and passed over, and the exit code is 1.\n\n"
    "A dead letter is a line of JSON with the keys id, body, attempts, reason, error, first_at, last_at, appended to\n"
    "FILE at once. The summary goes to standard error: published, handled (done), retried (sent back), dead (given "
    "up)\n"
    "and the rate of finished bodies; with --json as one line of JSON. Dead letters leave the exit code 0.\n\n"
    "SIGINT, SIGTERM and SIGHUP: reading stops, running commands may finish for close_timeout (30s), and the exit "
    "code\n"
    "is 128 + the signal; a second signal kills them. The same, with exit code 1, when nobody reads standard output.\n"
    "A command that is ended by --handler-timeout gets SIGTERM, with all its process group, and SIGKILL a second "
    "later.\n\n"
    "Examples:\n"
    "  seq 100 | lrpc-queue pipe --exec 'sleep 0.1; echo done $(cat)' --concurrency 20\n"
    "  lrpc-queue pipe jobs.jsonl --exec './work.sh' --max-retries 3 --retry-delay 5s --dead-letters failed.jsonl\n"
    "  jq -c .body failed.jsonl | lrpc-queue pipe --exec './work.sh' --handler-timeout 1m\n"
    "  tail -F app.log | lrpc-queue pipe --text --exec 'curl -sf -d @- http://localhost:8080/' --max-retries -1";

}  // namespace

void add_pipe(CLI::App& app, Session& session) {
  auto options = std::make_shared<PipeOptions>();
  CLI::App* command = app.add_subcommand("pipe", "Publish lines and handle them, in one process");
  command->footer(kPipeFooter);
  command->add_option("FILE", options->files, "Files of bodies, one a line")->type_name("");
  command->add_flag("--text", options->as_text, "Take every line as text, JSON or not");
  CLI::Option* exec = add_handler_options(*command, options->handler, WithoutExec::nothing_allowed);
  command->add_option("--dead-letters", options->dead_letters, "Append what is given up to this file, as JSON lines")
      ->type_name("FILE")
      ->needs(exec);
  command->callback([options, &session] { session.run = [options, &session] { return run_pipe(*options, session); }; });
}

}  // namespace lrpc::queue::cli
