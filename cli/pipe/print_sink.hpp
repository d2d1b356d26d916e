// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue/channel.hpp>

#include "pipe/pipe_run.hpp"
#include "shared/raw_json.hpp"

namespace lrpc::queue::cli {

/// Prints one body a line, in order. What is ready is written together; a message is acked when it is written.
class PrintSink final : public PipeSink {
 public:
  PrintSink(Channel<RawJson> channel, PipeState& state) : channel_(std::move(channel)), state_(state) {}

  [[nodiscard]] Result<void> start() override;
  void finish() override;
  void kill() noexcept override {}  // a write under way ends with the program

 private:
  void run(const std::stop_token& stop);
  [[nodiscard]] Result<void> print(const std::vector<Message<RawJson>>& messages);

  Channel<RawJson> channel_;
  PipeState& state_;
  std::jthread thread_;
};

}  // namespace lrpc::queue::cli
