// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "shared/console.hpp"
#include "shared/exit_code.hpp"
#include "shared/globals.hpp"

namespace lrpc::queue::cli {

/// One run of the program: what the command line said, and the chosen command.
struct Session {
  GlobalOptions globals{};
  Console console{};
  std::function<int()> run{};  ///< Set by the parsed command; returns the exit code.

  /// Reports `error` and returns the exit code that goes with it.
  int report(const Error& error) {
    console.error(error.message);
    return exit_code_of(error.code);
  }
};

}  // namespace lrpc::queue::cli
