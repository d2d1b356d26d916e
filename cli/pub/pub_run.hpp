// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <lrpc/queue/types.hpp>

#include "shared/session.hpp"

namespace lrpc::queue::cli {

/// What the command line of `pub` said.
struct PubCommandOptions {
  std::string topic{};
  std::vector<std::string> bodies{};
  bool as_text = false;
  std::string key{};
  std::vector<std::string> headers{};
  std::optional<Duration> delay{};
  std::optional<Duration> ttl{};
  int batch = 1;
};

/// Runs `pub`; returns the exit code.
[[nodiscard]] int run_pub(const PubCommandOptions& options, Session& session);

}  // namespace lrpc::queue::cli
