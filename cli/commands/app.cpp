// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "commands/app.hpp"

#include <fmt/format.h>

#include <lrpc/queue/version.hpp>

#include "commands/commands.hpp"

namespace lrpc::queue::cli {
namespace {

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

constexpr void (*kCommands[])(CLI::App&, Session&) = {add_pipe,     add_pub,    add_sub,   add_tail,  add_topics,
                                                      add_channels, add_stats,  add_depth, add_dlq,   add_drain,
                                                      add_rm,       add_doctor, add_bench, add_config};

}  // namespace

void build_app(CLI::App& app, Session& session) {
  app.footer(kFooter);
  app.fallthrough();  // global options may also follow the command
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("lrpc-queue {}", version()), "Print the version and exit");
  add_global_options(app, session.globals);
  for (const auto add : kCommands) add(app, session);
}

}  // namespace lrpc::queue::cli
