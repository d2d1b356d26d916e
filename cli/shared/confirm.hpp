// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <CLI/CLI.hpp>

#include <lrpc/queue/error.hpp>

#include "shared/console.hpp"

namespace lrpc::queue::cli {

/// Adds --yes to a command that removes something.
void add_yes(CLI::App& command, bool& yes);

/// Whether somebody can be asked: `invalid_argument` naming --yes when stdin is no terminal and `yes` is not set. To be
/// called before anything is done.
[[nodiscard]] Result<void> may_ask(bool yes, std::string_view command);

/// Asks on the terminal; anything but "y" or "yes" is `cancelled`. Does not ask with `yes`.
[[nodiscard]] Result<void> confirm(bool yes, std::string_view question, Console& console);

}  // namespace lrpc::queue::cli
