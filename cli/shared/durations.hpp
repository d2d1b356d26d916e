// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <lrpc/queue/types.hpp>

namespace lrpc::queue::cli {

/// Adds an option whose value is a duration as in configuration files: "30s", "1m30s", "250ms" or a number of seconds.
CLI::Option* add_duration(CLI::App& app, const std::string& name, std::optional<Duration>& target,
                          const std::string& description);

/// "1m30s", "250ms", "0s".
[[nodiscard]] std::string format_duration(Duration duration);

}  // namespace lrpc::queue::cli
