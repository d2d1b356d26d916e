// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/handler_options.hpp"

#include <limits>

#include "shared/durations.hpp"

namespace lrpc::queue::cli {

namespace {

template <class T>
void override_with(std::optional<T>& setting, const std::optional<T>& option) {
  if (option) setting = option;
}

}  // namespace

void HandlerOptions::apply(Config& config) const {
  override_with(config.max_in_flight, concurrency);
  override_with(config.max_retries, max_retries);
  override_with(config.retry_delay, retry_delay);
  override_with(config.ack_timeout, ack_timeout);
  override_with(config.handler_timeout, handler_timeout);
}

CLI::Option* add_handler_options(CLI::App& command, HandlerOptions& options, WithoutExec without_exec) {
  CLI::Option* const exec =
      command.add_option("--exec", options.exec, "Handle each body with this command")->type_name("CMD");
  command.add_option("--concurrency", options.concurrency, "Commands at once (default: max_in_flight, 10)")
      ->check(CLI::Range(1, 10'000))
      ->type_name("N")
      ->needs(exec);
  CLI::Option* const max_retries =
      command.add_option("--max-retries", options.max_retries, "Retries of a body; 0 none, -1 unlimited (default 5)")
          ->check(CLI::Range(-1, std::numeric_limits<int>::max()).description("INT >= -1"))
          ->type_name("N");
  CLI::Option* const retry_delay =
      add_duration(command, "--retry-delay", options.retry_delay, "Wait before a retry (default 1s)");
  CLI::Option* const ack_timeout = add_duration(command, "--ack-timeout", options.ack_timeout,
                                                "Lease of a body; renewed while it is handled (default 30s)");
  if (without_exec == WithoutExec::nothing_allowed) {
    for (CLI::Option* const option : {max_retries, retry_delay, ack_timeout}) option->needs(exec);
  }
  add_duration(command, "--handler-timeout", options.handler_timeout,
               "End a command that runs longer, and retry (default 0 = off)")
      ->needs(exec);
  return exec;
}

}  // namespace lrpc::queue::cli
