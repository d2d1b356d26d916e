// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>

#include <lrpc/queue/types.hpp>

#include "shared/console.hpp"
#include "shared/exit_code.hpp"

namespace lrpc::queue::cli {

/// What the parts of a command that runs for a while share: why it ends, if it does, and what became of its messages.
/// Thread-safe.
class RunState {
 public:
  explicit RunState(Console& console) : console_(console) {}
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;
  ~RunState() = default;

  [[nodiscard]] Console& console() noexcept { return console_; }

  /// Triggered when no further message is to be read or begun.
  [[nodiscard]] std::stop_token stop_token() const noexcept { return stop_.get_token(); }
  /// Asks for the end of a run that has done what it was asked for.
  void stop() { stop_.request_stop(); }
  /// False for the second and every later signal: those ask for an end at once.
  [[nodiscard]] bool stop_for_signal(int signal);
  /// Reports an error that ends the run; its exit code will be `exit_code`.
  void stop_for_error(std::string_view text, int exit_code = kExitError);
  /// The same for a stdout that nobody reads any more; reported once.
  void stop_for_lost_output();
  /// Reports an error after which the run goes on; its exit code will tell.
  void note_error(std::string_view text);

  /// The signal that asked for the end; 0 = none.
  [[nodiscard]] int signal() const noexcept { return signal_; }
  /// What the errors so far make the exit code.
  [[nodiscard]] int error_code() const noexcept { return error_code_; }
  /// The exit code of the run as it stands.
  [[nodiscard]] int exit_code() const noexcept { return signal_ != 0 ? kExitSignal + signal_ : error_code_.load(); }

  /// A message begins to be handled, and no longer is.
  void begin_message();
  void end_message();
  /// Messages being handled.
  [[nodiscard]] std::int64_t running() const;
  /// Waits until none is being handled.
  void wait_idle();
  /// Waits for a stop; false when before that no message was being handled for `idle` (unset: for ever).
  [[nodiscard]] bool wait_stop(std::optional<Duration> idle);

  std::atomic<std::int64_t> handled{0};
  std::atomic<std::int64_t> retried{0};
  std::atomic<std::int64_t> dead{0};

 private:
  Console& console_;
  std::stop_source stop_;
  std::atomic<int> signal_{0};
  std::atomic<int> error_code_{kExitOk};
  std::atomic<bool> output_lost_{false};
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::int64_t running_ = 0;
  std::chrono::steady_clock::time_point last_activity_ = std::chrono::steady_clock::now();
};

}  // namespace lrpc::queue::cli
