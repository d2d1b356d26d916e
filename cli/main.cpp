// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include <lrpc/queue/version.hpp>

#include "commands/commands.hpp"

namespace {

using lrpc::queue::cli::Session;

constexpr const char* kFooter =
    "Settings come from --config, then LRPC_QUEUE_* in the environment, then the options; the later win.\n"
    "Exit codes: 0 ok, 1 runtime error, 2 usage or invalid configuration, 3 back end unavailable,\n"
    "128+N stopped by signal N before the work was done.\n\n"
    "Examples:\n"
    "  seq 100 | lrpc-queue pipe --exec './resize.sh' --concurrency 8 --dead-letters failed.jsonl\n"
    "  lrpc-queue pipe jobs.jsonl --exec 'curl -sf -d @- http://localhost:8080/' --max-retries 3 --retry-delay 5s\n"
    "  lrpc-queue sub orders billing --exec './bill.sh' --redis localhost:6379\n"
    "  lrpc-queue pub orders '{\"id\":1}' --redis localhost:6379\n"
    "  lrpc-queue stats orders --redis localhost:6379\n"
    "  lrpc-queue bench --messages 100000\n"
    "  lrpc-queue config check queue.yaml\n"
    "  lrpc-queue pipe --help";

constexpr void (*kCommands[])(CLI::App&, Session&) = {
    lrpc::queue::cli::add_pipe,  lrpc::queue::cli::add_pub,    lrpc::queue::cli::add_sub,
    lrpc::queue::cli::add_tail,  lrpc::queue::cli::add_topics, lrpc::queue::cli::add_channels,
    lrpc::queue::cli::add_stats, lrpc::queue::cli::add_depth,  lrpc::queue::cli::add_dlq,
    lrpc::queue::cli::add_drain, lrpc::queue::cli::add_rm,     lrpc::queue::cli::add_doctor,
    lrpc::queue::cli::add_bench, lrpc::queue::cli::add_config};

int run(int argc, char** argv) {
  Session session;
  CLI::App app("Message queues from the command line.", "lrpc-queue");
  app.footer(kFooter);
  app.fallthrough();  // global options may also follow the command
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("lrpc-queue {}", lrpc::queue::version()), "Print the version and exit");
  lrpc::queue::cli::add_global_options(app, session.globals);
  for (const auto add : kCommands) add(app, session);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return session.print(app.help());
  } catch (const CLI::CallForVersion& version) {
    return session.print(fmt::format("{}\n", version.what()));
  } catch (const CLI::ParseError& error) {
    // A mistyped command is also a missing one; only its name helps.
    const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
    const bool mistyped = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !unknown.empty();
    const char* const kind = mistyped && unknown.front().starts_with('-') ? "option" : "command";
    session.console.error(mistyped ? fmt::format("unknown {} \"{}\"", kind, unknown.front()) : error.what());
    session.console.line("Run lrpc-queue --help for more.");
    return lrpc::queue::cli::kExitUsage;
  }
  return session.run();
}

}  // namespace

int main(int argc, char** argv) {
  lrpc::queue::cli::open_standard_streams();
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));  // a lost reader is an error of the write, reported as such
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    static_cast<void>(lrpc::queue::cli::write_all(2, fmt::format("lrpc-queue: {}\n", error.what()), "standard error"));
    return lrpc::queue::cli::kExitError;
  }
}
