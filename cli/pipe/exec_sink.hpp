// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/policy.hpp>
#include <lrpc/queue/subscription.hpp>

#include "pipe/dead_letter_file.hpp"
#include "pipe/pipe_run.hpp"
#include "shared/child.hpp"
#include "shared/exec_handler.hpp"
#include "shared/handler_command.hpp"
#include "shared/raw_body.hpp"
#include "shared/records.hpp"
#include "shared/sink.hpp"

namespace lrpc::queue::cli {

/// Handles each message with a command, and sees a message off for good: acked, or given up and written to the
/// dead-letter file. A message given up is acked as well, after its record is written: the channel's own list of dead
/// letters would be memory that grows with the input, and gone with the process.
class ExecSink final : public Sink {
 public:
  struct Settings {
    ChannelPolicy policy{};   ///< Decides on retries, with the same functions as the queue.
    Duration message_ttl{0};  ///< A message that waited this long is given up; 0 = never.
    bool verbose = false;     ///< Tell of each failure.
  };
  ExecSink(Channel<RawBody> channel, const Settings& settings, HandlerCommand command, ChildProcesses& children,
           std::optional<DeadLetterFile> file, PipeState& state)
      : channel_(std::move(channel)),
        settings_(settings),
        handler_(std::move(command), children, state),
        file_(std::move(file)),
        state_(state) {}

  [[nodiscard]] Result<void> start() override;
  bool finish() override;
  void kill() noexcept override { handler_.kill(); }

 private:
  void handle(const Message<RawBody>& message);
  void fail_delivery(const Message<RawBody>& message, const Failure& failure, const std::string& error);
  void give_up(const Message<RawBody>& message, DeadReason reason, std::string_view error);
  /// Leaves the message in the channel, the attempt not counted.
  void put_back(const Message<RawBody>& message);
  [[nodiscard]] bool expired(const Message<RawBody>& message) const;
  [[nodiscard]] bool record(const DeadLetterRecord& letter);
  void record_what_the_queue_gave_up();

  Channel<RawBody> channel_;
  const Settings settings_;
  ExecHandler handler_;
  std::optional<DeadLetterFile> file_;
  PipeState& state_;
  std::optional<Subscription> subscription_;
};

}  // namespace lrpc::queue::cli
