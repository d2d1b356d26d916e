// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <utility>

#include <lrpc/queue/message.hpp>
#include <lrpc/queue/subscription.hpp>

#include "shared/child.hpp"
#include "shared/handler_command.hpp"
#include "shared/raw_body.hpp"
#include "shared/run_state.hpp"

namespace lrpc::queue::cli {

/// The handler of `--exec` in a subscription: runs the command for each message, and sees to it that the run ends when
/// commands cannot do their work. Thread-safe.
class ExecHandler {
 public:
  ExecHandler(HandlerCommand command, ChildProcesses& children, RunState& state)
      : command_(std::move(command)), children_(children), state_(state) {}

  /// Handles one message. Failures that are not the message's give `put_back`.
  [[nodiscard]] Verdict handle(const Message<RawBody>& message);

  /// Ends the subscription: commands that still run after close_timeout are killed. Returns when none runs; false when
  /// some were killed.
  bool finish(Subscription& subscription);
  /// Ends all commands now, for a program about to exit.
  void kill() noexcept;

 private:
  [[nodiscard]] Verdict could_not_start(const Error& error);

  const HandlerCommand command_;
  ChildProcesses& children_;
  RunState& state_;
  std::atomic<bool> killed_{false};
  std::atomic<bool> shortage_told_{false};
};

}  // namespace lrpc::queue::cli
