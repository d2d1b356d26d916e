// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/types.hpp>

#include "pipe/flow.hpp"
#include "shared/session.hpp"

namespace lrpc::queue::cli {

/// What the command line of `pipe` said.
struct PipeOptions {
  std::vector<std::string> files{};
  bool as_text = false;
  std::optional<std::string> exec{};
  std::optional<int> concurrency{};
  std::optional<int> max_retries{};
  std::optional<Duration> retry_delay{};
  std::optional<Duration> ack_timeout{};
  std::optional<Duration> handler_timeout{};
  std::optional<std::string> dead_letters{};
};

/// What the parts of a running pipe share: the room for messages, the counters, and why it ends early, if it does.
/// Thread-safe.
class PipeState {
 public:
  PipeState(Console& console, std::int64_t max_messages, std::int64_t max_bytes)
      : console_(console), flow_(max_messages, max_bytes, stop_.get_token()) {}

  [[nodiscard]] Flow& flow() noexcept { return flow_; }
  [[nodiscard]] Console& console() noexcept { return console_; }

  /// Triggered when no further message is to be read or begun.
  [[nodiscard]] std::stop_token stop_token() const noexcept { return stop_.get_token(); }
  /// False for the second and every later signal: those ask for an end at once.
  [[nodiscard]] bool stop_for_signal(int signal);
  /// Reports an error that ends the run.
  void stop_for_error(std::string_view text);
  /// The same for a stdout that nobody reads any more; reported once.
  void stop_for_lost_output();
  /// Reports an error after which the run goes on; its exit code will tell.
  void note_error(std::string_view text);

  /// The exit code of the run as it stands.
  [[nodiscard]] int exit_code() const noexcept;
  /// "published N handled N retried N dead N (N msg/s)", or as one line of JSON.
  [[nodiscard]] std::string summary(bool json) const;
  [[nodiscard]] std::string progress() const;

  std::atomic<std::int64_t> published{0};
  std::atomic<std::int64_t> handled{0};
  std::atomic<std::int64_t> retried{0};
  std::atomic<std::int64_t> dead{0};
  std::atomic<std::int64_t> running{0};  ///< Handlers at work.

 private:
  /// Settled messages per second since the start.
  [[nodiscard]] double rate() const;

  Console& console_;
  std::stop_source stop_;
  Flow flow_;
  std::atomic<int> signal_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> output_lost_{false};
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// Where the messages of a pipe go.
class PipeSink {
 public:
  PipeSink() = default;
  PipeSink(const PipeSink&) = delete;
  PipeSink& operator=(const PipeSink&) = delete;
  virtual ~PipeSink() = default;
  /// Begins to take messages.
  [[nodiscard]] virtual Result<void> start() = 0;
  /// Takes no more, waits for what is being handled, and leaves the rest in the channel.
  virtual void finish() = 0;
  /// Ends what is being handled now, for a program about to exit.
  virtual void kill() noexcept = 0;
};

/// Runs `pipe`; returns the exit code.
[[nodiscard]] int run_pipe(const PipeOptions& options, Session& session);

}  // namespace lrpc::queue::cli
