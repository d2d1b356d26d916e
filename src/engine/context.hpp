// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/clock.hpp>
#include <lrpc/queue/config.hpp>
#include <lrpc/queue/hooks.hpp>

namespace lrpc::queue::detail {

/// What all parts of one queue share; constant after open.
struct Context {
  Config config;
  std::shared_ptr<Clock> clock;
  Logger logger;  // never empty
  std::shared_ptr<Backend> backend;
  Capabilities capabilities;

  /// A log line must not take the queue down, whatever the user's logger does.
  void log(LogLevel level, std::string_view text) const noexcept {
    try {
      logger(level, text);
    } catch (...) {  // nowhere left to report it
    }
  }

  /// Calls the observer, if there is one, and contains what it throws.
  template <class F>
  void observe(F&& call) const noexcept {
    if (!config.observer) return;
    try {
      call(*config.observer);
    } catch (...) {
      log(LogLevel::warning, "the observer threw an exception; it was ignored");
    }
  }
};

/// The logger that is used when the configuration names none: spdlog's default logger, from warning up.
[[nodiscard]] Logger default_logger();

/// Uniform in [0, 1), for jitter. Thread-safe.
[[nodiscard]] double random_unit() noexcept;

/// The text of the exception being handled; to be called in a catch block.
[[nodiscard]] std::string current_exception_text() noexcept;

/// The error that a user's callback left by throwing, or its own result: runs `call()` and contains exceptions.
template <class T, class F>
[[nodiscard]] Result<T> contain(F&& call) noexcept {
  try {
    return call();
  } catch (...) {
    return fail(ErrorCode::backend, current_exception_text());
  }
}

/// Set while the calling thread runs a handler or a callback of the user's on behalf of a queue: such a thread must not
/// wait for the end of a close that may be waiting for it.
[[nodiscard]] bool& in_user_code() noexcept;

/// A real-time deadline `timeout` from now, safe against overflow; unset = never.
[[nodiscard]] inline SteadyTime deadline_after(std::optional<Duration> timeout) noexcept {
  constexpr Duration kForever = std::chrono::hours(24 * 365 * 100);
  if (!timeout || *timeout >= kForever) return SteadyTime::max();
  return std::chrono::steady_clock::now() + *timeout;
}

}  // namespace lrpc::queue::detail
