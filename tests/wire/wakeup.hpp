// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::wire {

/// What the blocked receives of one channel sleep on. A counter instead of a flag: a wake between looking and sleeping
/// is never missed, and each wake reaches every sleeper.
class Wakeup {
 public:
  /// How often there was something to look for; taken before looking.
  [[nodiscard]] std::uint64_t mark() const {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }
  /// Something may have changed: look again.
  void wake() noexcept {
    {
      const std::lock_guard lock(mutex_);
      ++wakes_;
    }
    changed_.notify_all();
  }
  /// Sleeps until a wake since `mark`, the stop, or `until`.
  void wait(std::uint64_t mark, const std::stop_token& stop, SteadyTime until) {
    std::unique_lock lock(mutex_);
    const auto changed = [&] { return wakes_ != mark; };
    if (until == SteadyTime::max()) {
      changed_.wait(lock, stop, changed);
    } else {
      changed_.wait_until(lock, stop, until, changed);
    }
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t wakes_ = 0;
};

}  // namespace lrpc::queue::wire
