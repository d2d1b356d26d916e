// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "shared/console.hpp"
#include "shared/exit_code.hpp"
#include "shared/globals.hpp"

namespace lrpc::queue::cli {

/// One run of the program: what the command line said, and the chosen command.
struct Session {
  GlobalOptions globals{};
  Console console{};
  std::function<int()> run{};  ///< Set by the parsed command; returns the exit code.

  /// Prints `text` on stdout and returns the exit code of a command that has nothing else to do.
  int print(std::string_view text) {
    const Result<void> written = write_output(text);
    return written ? kExitOk : report(written.error());
  }
  /// Reports `error` and returns the exit code that goes with it.
  int report(const Error& error) {
    console.error(error.message);
    return exit_code_of(error.code);
  }
};

}  // namespace lrpc::queue::cli
