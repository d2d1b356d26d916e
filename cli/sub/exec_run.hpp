// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/subscription.hpp>

#include "shared/exec_handler.hpp"
#include "shared/raw_body.hpp"
#include "shared/run_state.hpp"
#include "shared/sink.hpp"

namespace lrpc::queue::cli {

/// Handles each message of a channel with a command; what the queue makes of failures is the queue's business.
class ExecRun final : public Sink {
 public:
  /// `max`: stop the run after so many deliveries. `verbose`: tell of each failure.
  ExecRun(Channel<RawBody> channel, HandlerCommand command, ChildProcesses& children, std::optional<std::int64_t> max,
          bool verbose, RunState& state)
      : channel_(std::move(channel)),
        handler_(std::move(command), children, state),
        state_(state),
        verbose_(verbose),
        left_(max) {}

  [[nodiscard]] Result<void> start() override;
  bool finish() override;
  void kill() noexcept override { handler_.kill(); }

 private:
  [[nodiscard]] ProcessRsp handle(const Message<RawBody>& message);
  /// Whether one more may be handled. The last one stops the hand-over of others.
  [[nodiscard]] bool take_turn();
  /// A message was handled after all, or was not; the last one that was ends the run.
  void end_turn(bool settled);
  /// Ends the run when the subscription ends by itself, as when somebody deletes the channel.
  void watch();

  Channel<RawBody> channel_;
  ExecHandler handler_;
  RunState& state_;
  const bool verbose_;
  std::mutex mutex_;
  std::optional<std::int64_t> left_;  // turns not taken; unset = without limit
  std::int64_t open_turns_ = 0;       // turns taken and not ended
  std::optional<Subscription> subscription_;
  std::jthread ending_;  // waits for an end that nobody here asked for
};

}  // namespace lrpc::queue::cli
