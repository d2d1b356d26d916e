// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <lrpc/queue/config.hpp>

namespace lrpc::queue::cli {

class Console;

/// The options that stand before or after any command.
struct GlobalOptions {
  std::optional<std::string> config_file{};
  std::optional<std::string> storage{};
  std::optional<std::string> redis{};
  std::vector<std::string> brokers{};
  std::optional<std::string> prefix{};
  bool json = false;
  bool verbose = false;
};

void add_global_options(CLI::App& app, GlobalOptions& options);

/// The first given option that says which queue to use; empty when none was given. For commands that use no queue.
[[nodiscard]] std::string_view given_queue_option(const GlobalOptions& options) noexcept;

/// The configuration: the file (else the defaults), the environment over it, the options over both. Logs go to
/// `console`, which must outlive the queue. An option that does not fit the chosen back end is `invalid_argument`.
[[nodiscard]] Result<Config> load_config(const GlobalOptions& options, Console& console);

}  // namespace lrpc::queue::cli
