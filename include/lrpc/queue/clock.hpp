// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <lrpc/queue/types.hpp>

namespace lrpc::queue {

/// One reading of both clocks.
struct Instant {
  std::int64_t wall_ms = 0;  ///< Unix time in milliseconds: ids, timestamps, expiry.
  std::int64_t tick_ms = 0;  ///< Monotonic milliseconds: leases, delays, retries. Unaffected by clock changes.

  [[nodiscard]] std::int64_t wall_s() const noexcept {
    // Rounds towards minus infinity, so that instants before 1970 behave too.
    return wall_ms >= 0 ? wall_ms / 1000 : -((-wall_ms + 999) / 1000);
  }
};

/// The time by which messages live: timestamps, expiry, leases, delays, retries, handler_timeout. Injected through
/// `Config::clock`, so that tests do not sleep. The time-outs of calls (`try_next`, close_timeout, ...) are real time
/// and do not go through it. Implementations are thread-safe.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  /// The time now, exact to a millisecond.
  [[nodiscard]] virtual Instant now() const noexcept = 0;
  /// As `now`, but may lag by a scheduler tick (at most 10 ms) when that is cheaper. Never ahead of `now`.
  [[nodiscard]] virtual Instant coarse() const noexcept { return now(); }
  /// What `now` cuts off: 1 ms for a clock that runs, 0 for one that steps by whole milliseconds. A wait is made so
  /// much longer, so as never to end early.
  [[nodiscard]] virtual Duration granularity() const noexcept { return Duration(0); }
  /// How many milliseconds `coarse` may lag behind `now`.
  [[nodiscard]] virtual std::int64_t coarse_lag_ms() const noexcept { return 0; }
  /// The real instant at which `now().tick_ms` reaches `tick_ms`; `time_point::max()` when time passes only by
  /// announcement (see `on_jump`).
  [[nodiscard]] virtual std::chrono::steady_clock::time_point real(std::int64_t tick_ms) const noexcept = 0;

  /// Calls `listener` after each jump of a clock that does not run by itself. Returns a registration; dropping it
  /// ends the calls, waiting for one under way. A clock that runs by itself never calls and
  /// may return null. A listener must not register or
  /// deregister.
  [[nodiscard]] virtual std::shared_ptr<void> on_jump(std::function<void()> listener) = 0;
};

/// The machine's clocks; one shared object.
[[nodiscard]] const std::shared_ptr<Clock>& system_clock();

/// A clock that stands still until told to move: for tests. Starts at the machine's time.
class ManualClock final : public Clock {
 public:
  ManualClock();
  explicit ManualClock(TimePoint wall);
  ~ManualClock() override;

  [[nodiscard]] Instant now() const noexcept override;
  [[nodiscard]] std::chrono::steady_clock::time_point real(std::int64_t tick_ms) const noexcept override;
  [[nodiscard]] std::shared_ptr<void> on_jump(std::function<void()> listener) override;

  /// Moves both clocks forward and wakes whoever waits for a time that has come.
  void advance(Duration by);
  /// Moves only the wall clock, by a positive or negative amount, as an operator's clock change would.
  void shift_wall(Duration by);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace lrpc::queue
