// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue::cli {

/// The options that say how messages are handled.
struct HandlerOptions {
  std::optional<std::string> exec{};
  std::optional<int> concurrency{};
  std::optional<int> max_retries{};
  std::optional<Duration> retry_delay{};
  std::optional<Duration> ack_timeout{};
  std::optional<Duration> handler_timeout{};

  /// Lays the options over the configuration.
  void apply(Config& config) const;
};

/// Whether the settings of the channel (retries, lease) make sense without --exec.
enum class WithoutExec { settings_allowed, nothing_allowed };

/// Adds the options to a command; returns --exec.
CLI::Option* add_handler_options(CLI::App& command, HandlerOptions& options, WithoutExec without_exec);

}  // namespace lrpc::queue::cli
