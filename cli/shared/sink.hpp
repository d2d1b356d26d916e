// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::cli {

/// Where the messages of a channel go.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;
  /// Begins to take messages.
  [[nodiscard]] virtual Result<void> start() = 0;
  /// Takes no more, waits for what is being handled, and leaves the rest in the channel. False when what was being
  /// handled had to be killed.
  virtual bool finish() = 0;
  /// Ends what is being handled now, for a program about to exit.
  virtual void kill() noexcept = 0;
};

}  // namespace lrpc::queue::cli
