// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipe/flow.hpp"
#include "shared/handler_options.hpp"
#include "shared/run_state.hpp"
#include "shared/session.hpp"

namespace lrpc::queue::cli {

/// What the command line of `pipe` said.
struct PipeOptions {
  std::vector<std::string> files{};
  bool as_text = false;
  HandlerOptions handler{};
  std::optional<std::string> dead_letters{};
};

/// What the parts of a running pipe share: also the room for messages.
class PipeState : public RunState {
 public:
  PipeState(Console& console, std::int64_t max_messages, std::int64_t max_bytes)
      : RunState(console), flow_(max_messages, max_bytes, stop_token()) {}

  [[nodiscard]] Flow& flow() noexcept { return flow_; }
  /// "published N handled N retried N dead N (N msg/s)", or as one line of JSON.
  [[nodiscard]] std::string summary(bool json) const;
  [[nodiscard]] std::string progress() const;

  std::atomic<std::int64_t> published{0};

 private:
  /// Settled messages per second since the start.
  [[nodiscard]] double rate() const;

  Flow flow_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// Runs `pipe`; returns the exit code.
[[nodiscard]] int run_pipe(const PipeOptions& options, Session& session);

}  // namespace lrpc::queue::cli
