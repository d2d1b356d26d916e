// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
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
#include "shared/handler_command.hpp"
#include "shared/raw_json.hpp"

namespace lrpc::queue::cli {

/// Handles each message with a command, and sees a message off for good: acked, or given up and written to the
/// dead-letter file. A message given up is acked as well, after its record is written: the channel's own list of dead
/// letters would be memory that grows with the input, and gone with the process.
class ExecSink final : public PipeSink {
 public:
  struct Settings {
    ChannelPolicy policy{};   ///< Decides on retries, with the same functions as the queue.
    Duration message_ttl{0};  ///< A message that waited this long is given up; 0 = never.
    bool verbose = false;     ///< Tell of each failure.
  };
  ExecSink(Channel<RawJson> channel, const Settings& settings, HandlerCommand command, ChildProcesses& children,
           std::optional<DeadLetterFile> file, PipeState& state)
      : channel_(std::move(channel)),
        settings_(settings),
        command_(std::move(command)),
        children_(children),
        file_(std::move(file)),
        state_(state) {}

  [[nodiscard]] Result<void> start() override;
  void finish() override;
  void kill() noexcept override { children_.kill_all(); }

 private:
  void handle(const Message<RawJson>& message);
  void fail_delivery(const Message<RawJson>& message, const Failure& failure, const std::string& error);
  void give_up(const Message<RawJson>& message, DeadReason reason, std::string_view error);
  /// Leaves the message in the channel, the attempt not counted.
  void put_back(const Message<RawJson>& message);
  void could_not_start(const Message<RawJson>& message, const Error& error);
  [[nodiscard]] bool expired(const Message<RawJson>& message) const;
  [[nodiscard]] bool record(const DeadLetterRecord& letter);
  void record_what_the_queue_gave_up();

  Channel<RawJson> channel_;
  const Settings settings_;
  const HandlerCommand command_;
  ChildProcesses& children_;
  std::optional<DeadLetterFile> file_;
  PipeState& state_;
  std::optional<Subscription> subscription_;
  std::atomic<bool> killed_{false};
  std::atomic<bool> shortage_told_{false};
};

}  // namespace lrpc::queue::cli
