// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::cli {

/// What every command exits with. A command that a signal stopped before it was done exits with 128 + the signal.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;        ///< Usage or invalid configuration.
inline constexpr int kExitUnavailable = 3;  ///< The back end cannot be reached.
inline constexpr int kExitSignal = 128;

[[nodiscard]] constexpr int exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_config:
    case ErrorCode::invalid_argument:
      return kExitUsage;
    case ErrorCode::unavailable:
      return kExitUnavailable;
    default:
      return kExitError;
  }
}

}  // namespace lrpc::queue::cli
