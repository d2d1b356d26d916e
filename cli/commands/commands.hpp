// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "shared/session.hpp"

/// \file
/// Every command, in the order of --help. Each function adds a subcommand with its options and examples to `app`; when
/// that subcommand was parsed, its callback sets `session.run`. Both references outlive the run.

namespace lrpc::queue::cli {

void add_pipe(CLI::App& app, Session& session);
void add_pub(CLI::App& app, Session& session);
void add_sub(CLI::App& app, Session& session);
void add_tail(CLI::App& app, Session& session);
void add_topics(CLI::App& app, Session& session);
void add_channels(CLI::App& app, Session& session);
void add_stats(CLI::App& app, Session& session);
void add_depth(CLI::App& app, Session& session);
void add_dlq(CLI::App& app, Session& session);
void add_drain(CLI::App& app, Session& session);
void add_rm(CLI::App& app, Session& session);
void add_doctor(CLI::App& app, Session& session);
void add_bench(CLI::App& app, Session& session);
void add_config(CLI::App& app, Session& session);

}  // namespace lrpc::queue::cli
