// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "shared/session.hpp"

namespace lrpc::queue::cli {

/// Gives `app` all options and commands of lrpc-queue. Parsing a command sets `session.run`. Both references outlive
/// the run.
void build_app(CLI::App& app, Session& session);

}  // namespace lrpc::queue::cli
