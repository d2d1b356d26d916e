// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <lrpc/queue/types.hpp>

#include "shared/handler_options.hpp"
#include "shared/remote.hpp"
#include "shared/session.hpp"

namespace lrpc::queue::cli {

/// What the command line of `sub` said.
struct SubOptions {
  ChannelName name{};
  HandlerOptions handler{};
  std::optional<std::int64_t> max{};
  std::optional<Duration> idle_exit{};
};

/// Runs `sub`; returns the exit code.
[[nodiscard]] int run_sub(const SubOptions& options, Session& session);

}  // namespace lrpc::queue::cli
